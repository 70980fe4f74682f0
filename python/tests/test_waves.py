"""What becomes waves of sound."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import wave
from typing import Any

import numpy as np

import onnx_compress
from onnx_compress import UsageError, waves
from onnx_compress._samples import Input

from . import models
from .test_compress import InFolder

OPEN = [Input("waveform", "float32", (-1, -1))]


def tone(frequency: float, rate: int, seconds: float = 1.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * frequency * np.arange(round(rate * seconds)) / rate)


def write(path: str, x: np.ndarray, rate: int = 16000, bits: int = 16) -> None:
    """Writes a wave, or several channels of one, with the standard library."""
    frames = x if x.ndim == 2 else x[:, None]
    whole = np.round(frames * (2 ** (bits - 1) - 1)).astype(np.int64)
    with wave.open(path, "wb") as w:
        w.setnchannels(frames.shape[1])
        w.setsampwidth(bits // 8)
        w.setframerate(rate)
        data = (whole + 128).astype(np.uint8).tobytes() if bits == 8 else b"".join(int(v).to_bytes(bits // 8, "little", signed=True) for v in whole.ravel())
        w.writeframes(data)


class TestWaves(InFolder):
    def test_widths(self) -> None:
        x = tone(440, 16000, 0.1)
        for bits in (8, 16, 24, 32):
            write("a.wav", x, bits=bits)
            np.testing.assert_allclose(waves.read("a.wav"), x, atol=2.0 ** (2 - bits) + 1e-7)

    def test_channels(self) -> None:
        x = tone(440, 16000, 0.1)
        write("a.wav", np.stack([x, -x / 2, x], 1))
        np.testing.assert_allclose(waves.read("a.wav"), x / 2, atol=1e-4)

    def test_forms_that_the_standard_library_lacks(self) -> None:
        x = tone(440, 16000, 0.1).astype("<f4")
        extensible = struct.pack("<HHIIHHHHIH14s", 0xFFFE, 1, 16000, 64000, 4, 32, 22, 32, 4, 3, b"\x00" * 14)
        body = b"WAVE" + b"fmt " + struct.pack("<I", len(extensible)) + extensible + b"LIST" + struct.pack("<I", 3) + b"abc\x00" + b"data" + struct.pack("<I", 4 * len(x)) + x.tobytes()
        with open("a.wav", "wb") as f:
            f.write(b"RIFF" + struct.pack("<I", len(body)) + body)
        np.testing.assert_allclose(waves.read("a.wav"), x)

    def test_resampling(self) -> None:
        """Tones keep what they are, and those that the new rate cannot hold are gone."""
        for rate, to in ((44100, 16000), (8000, 16000), (48000, 16000), (22050, 16000), (16000, 44100)):
            for frequency in (100, 1000, 3000):
                y, want = waves.resample(tone(frequency, rate), rate, to), tone(frequency, to)
                self.assertEqual(len(y), len(want))
                inner = slice(to // 10, -to // 10)
                self.assertLess(np.sqrt(np.mean((y - want)[inner] ** 2)), 0.002, (rate, to, frequency))
        gone = waves.resample(tone(12000, 44100), 44100, 16000)
        self.assertLess(np.abs(gone[1600:-1600]).max(), 0.005)

    def test_only_what_counts_is_resampled(self) -> None:
        write("a.wav", tone(440, 44100, 3.0), 44100)
        np.testing.assert_allclose(waves.read("a.wav", 16000, 5000), waves.read("a.wav", 16000)[:5000], atol=1e-6)

    def test_streams(self) -> None:
        """Models that keep a state get all pieces of a recording, and the rate."""
        write("a.wav", tone(440, 16000, 0.1))
        silero = [Input("input", "float32", (-1, -1)), Input("state", "float32", (2, -1, 128)), Input("sr", "int64", ())]
        with self.assertRaisesRegex(UsageError, "keeps state meanwhile; say how long a piece is, for example --seconds"):
            waves.load("a.wav", silero)
        made = waves.load("a.wav", silero, seconds=0.032)
        self.assertEqual({k: v.shape for k, v in made.items()}, {"input": (4, 512), "state": (4, 2, 1, 128), "sr": (4,)})
        np.testing.assert_array_equal(made["input"].ravel()[:1600], waves.read("a.wav"))
        self.assertEqual((set(made["sr"]), made["state"].any()), ({16000}, False))
        np.testing.assert_array_equal(waves.load("a.wav", silero, seconds=0.032, limit=2)["input"], made["input"][::2])

    def test_lengths(self) -> None:
        os.mkdir("sounds")
        write("sounds/b.wav", tone(440, 16000, 0.2))
        write("sounds/a.WAV", tone(440, 16000, 0.1))
        x = waves.load("sounds", OPEN)["waveform"]
        self.assertEqual(x.shape, (2, 3200))
        self.assertFalse(x[0, 1600:].any())
        self.assertEqual(waves.load("sounds", OPEN, seconds=0.05)["waveform"].shape, (2, 800))
        self.assertEqual(waves.load("sounds", OPEN, limit=1)["waveform"].shape, (1, 1600))
        self.assertEqual(waves.load(["sounds/b.wav"], [Input("x", "float32", (1, 1, 1000))])["x"].shape, (1, 1, 1000))
        self.assertEqual(waves.load("sounds/b.wav", [Input("x", "float32", (-1, 4000, 1))])["x"].shape, (1, 4000, 1))
        both = waves.load("sounds", [Input("input_values", "float32", (-1, -1)), Input("attention_mask", "int64", (-1, -1))])
        self.assertEqual(both["attention_mask"].sum(1).tolist(), [1600, 3200])

    def test_faults(self) -> None:
        write("empty.wav", np.zeros(0))
        with open("text.wav", "w") as f:
            f.write("no sound")
        with open("mp3.wav", "wb") as f:
            f.write(b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0" + struct.pack("<HHIIHH", 85, 1, 16000, 0, 1, 0) + b"data\0\0\0\0")
        os.mkdir("none")
        for words, call in (
            ("no sound in it", lambda: waves.read("empty.wav")),
            ("no WAV file; ffmpeg or sox", lambda: waves.read("text.wav")),
            ("of the kind 85 with 0 bits.*ffmpeg", lambda: waves.read("mp3.wav")),
            ("no WAV files in none", lambda: waves.load("none", OPEN)),
            (r"which is no wave.*numpy.savez\(\"calib.npz\", \*\*\{\"mel\": array\}\)", lambda: waves.load("none", [Input("mel", "float32", (-1, 80, 3000))])),
            ("a rate of 0", lambda: waves.load("none", OPEN, 0)),
        ):
            with self.subTest(words), self.assertRaisesRegex(UsageError, words):
                call()

    def test_the_same_by_either_door(self) -> None:
        """The command line's file and the function's samples give the same model."""
        models.saved(models.detector(), self.folder / "model.onnx")
        os.mkdir("sounds")
        for i in range(40):
            write(f"sounds/{i:02}.wav", tone(200 + 50 * i, 8000, 0.5), 8000)
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            self.assertEqual(waves.main(["sounds", "--model", "model.onnx", "-o", "samples.npz"]), 0)
        self.assertEqual(said.getvalue(), "samples.npz: 40 samples of waveform float32[8000]\nNext: onnx-compress model.onnx --calib samples.npz\n")
        options: Any = {"target": "macs=0.9", "methods": "svd"}
        one = onnx_compress.compress("model.onnx", "samples.npz", **options)
        other = onnx_compress.compress("model.onnx", waves="sounds", **options)
        self.assertEqual(one.path.read_bytes(), other.path.read_bytes())
        with contextlib.redirect_stderr(said):
            self.assertEqual(waves.main(["sounds", "--model", "model.onnx", "-o", "samples.npz"]), 2)
            self.assertEqual(waves.main(["sounds", "--model", "nothing.onnx", "-o", "other.npz"]), 1)
        self.assertIn("(--force)", said.getvalue())
        for words, wrong in (("rate says how waves", {"rate": 8000}), ("want one of them", {"waves": "sounds", "samples": "samples.npz"})):
            with self.assertRaisesRegex(UsageError, words):
                onnx_compress.compress("model.onnx", **wrong, **options)
