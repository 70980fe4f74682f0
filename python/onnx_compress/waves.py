"""Waves of sound from WAV files, as models of speech and sound take them.

    python -m onnx_compress.waves recordings/ --model model.onnx --rate 16000 -o calib.npz

makes samples of a folder of recordings.
"""

from __future__ import annotations

import argparse
import math
import os
import pathlib
import struct
import sys
from typing import Iterable, Optional, Sequence, Union

import numpy as np

from . import _entry
from ._errors import UsageError
from ._samples import Array, Input

Waves = Union[str, "os.PathLike[str]", Iterable[Union[str, "os.PathLike[str]"]]]

#: Samples a second that models of speech take for the most part.
RATE = 16000
#: How many seconds of a file count at most where neither the model nor the caller says.
SECONDS = 10.0


def load(waves: Waves, inputs: Sequence[Input], rate: int = RATE, seconds: Optional[float] = None, limit: Optional[int] = None) -> dict[str, Array]:
    """Makes the arrays of a model's inputs from WAV files.

    waves are a folder, searched recursively in the order of the paths, a file, or several files. Channels are mixed to one, and what has
    another rate is resampled. All get the length that the model fixes, or that of so many seconds, or of the longest file up to ten
    seconds: longer ones are cut off at the end, shorter ones are followed by silence, which an attention mask leaves out. No more than limit files are taken.
    A model of streams, which keeps states from one piece to the next, gets all pieces of the files, of so many seconds each, no more than limit, spread over
    all: the states are zeros, as where a stream begins. A number that is the rate is filled in.
    """
    wave, mask, number, states = _roles(inputs)
    if rate < 1 or seconds is not None and not 0 < seconds < math.inf:
        raise UsageError(f"a rate of {rate} and {seconds} seconds: want positive numbers")
    size = -1 if wave.shape is None else wave.shape[1] if wave.shape[-1] == 1 else wave.shape[-1]
    if states and size <= 0 and seconds is None:
        raise UsageError(f"the model takes recordings piece by piece, and keeps {states[0].name} meanwhile; say how long a piece is, for example --seconds 0.032, or seconds=0.032")
    most = size if size > 0 else max(round((SECONDS if seconds is None else seconds) * rate), 1)
    if states:
        whole = [read(path, rate) for path in _files(waves)[:limit]]
        found = [one[at : at + most] for one in whole for at in range(0, len(one), most)]
        if limit is not None and len(found) > limit:
            found = [found[len(found) * i // limit] for i in range(limit)]
    else:
        found = [read(path, rate, most) for path in _files(waves)[:limit]]
    if size <= 0 and seconds is None:
        most = max(len(x) for x in found)
    x = np.zeros((len(found), most), np.float32)
    known = np.zeros((len(found), most), np.int64)
    for row, seen, one in zip(x, known, found):
        row[: len(one)], seen[: len(one)] = one, 1
    out: dict[str, Array] = {}
    for i in inputs:
        if i in states:
            out[i.name] = np.zeros((len(found), *(max(n, 1) for n in i.shape or ())), np.float32)
            continue
        if i is number:
            out[i.name] = np.full((len(found), *(i.shape or ())), rate, np.int64)
            continue
        values: Array = known if i is mask else x
        if i.shape is not None and len(i.shape) == 3:
            values = values[:, :, None] if i.shape[2] == 1 else values[:, None, :]
        out[i.name] = values
    return out


def _roles(inputs: Sequence[Input]) -> tuple[Input, Optional[Input], Optional[Input], list[Input]]:
    """Tells the input of the wave, and where there are any, those of its mask, of its rate, and of the states that a model of streams keeps."""

    def keeps(i: Input) -> bool:
        name = i.name.lower()
        return i.shape is not None and sum(n < 0 for n in i.shape) < 2 and (i.kind == "state" or name in ("h", "c", "h0", "c0", "hn", "cn") or any(word in name for word in ("state", "cache", "hidden")))

    floats = [i for i in inputs if i.type.startswith("float")]
    states = [i for i in floats if keeps(i)]
    sounds = [i for i in floats if i not in states]
    masks = [i for i in inputs if i not in floats and "mask" in i.name.lower()]
    rates = [i for i in inputs if i.type.startswith("int") and i.shape in ((), (1,)) and (i.name.lower() == "sr" or "sampl" in i.name.lower() and "rate" in i.name.lower())]
    fits = all(i.shape is None or len(i.shape) == 2 or len(i.shape) == 3 and 1 in i.shape[1:] for i in [*sounds, *masks])
    if len(sounds) != 1 or len(masks) > 1 or len(rates) > 1 or len(floats) + len(masks) + len(rates) != len(inputs) or not fits:
        arrays = ", ".join(f'"{i.name}": array' for i in inputs)
        raise UsageError(
            f"the model takes {', '.join(map(str, inputs))}, which is no wave [batch,samples] or [batch,1,samples] with its mask, rate and states; compute what it takes as you do to run it, "
            f'and save that: numpy.savez("calib.npz", **{{{arrays}}})'
        )
    return sounds[0], next(iter(masks), None), next(iter(rates), None), states


def _files(waves: Waves) -> list[pathlib.Path]:
    """Lists the files."""
    if not isinstance(waves, (str, os.PathLike)):
        out = [pathlib.Path(p) for p in waves]
    elif pathlib.Path(waves).is_dir():
        out = sorted(p for p in pathlib.Path(waves).rglob("*") if p.suffix.lower() in (".wav", ".wave") and not p.name.startswith("."))
    else:
        out = [pathlib.Path(waves)]
    if not out:
        raise UsageError(f"there are no WAV files in {waves if isinstance(waves, (str, os.PathLike)) else 'what was given'}; others can be made such by ffmpeg or sox")
    return out


def read(path: Union[str, os.PathLike[str]], rate: int = RATE, most: Optional[int] = None) -> Array:
    """Reads a WAV file of 8, 16, 24 or 32 bits, integers or floating-point: mixed to one channel, in [-1, 1], at a rate, no more than most samples."""
    data = pathlib.Path(path).read_bytes()
    if len(data) < 12 or data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise UsageError(f"{path} is no WAV file; ffmpeg or sox make one of it")
    form, body, at = b"", None, 12
    while at + 8 <= len(data) and body is None:
        name, size = struct.unpack_from("<4sI", data, at)
        piece = data[at + 8 : at + 8 + size]
        if name == b"fmt ":
            form = piece
        elif name == b"data":
            body = piece
        at += 8 + size + size % 2
    if len(form) < 16 or body is None:
        raise UsageError(f"{path}: the WAV file has no {'format' if len(form) < 16 else 'data'}; it is cut off")
    kind, channels, own, _, _, bits = struct.unpack_from("<HHIIHH", form)
    if kind == 0xFFFE and len(form) >= 26:  # extensible: the kind stands further behind
        kind = struct.unpack_from("<H", form, 24)[0]
    if channels < 1 or own < 1 or (kind, bits) not in [(1, 8), (1, 16), (1, 24), (1, 32), (3, 32), (3, 64)]:
        raise UsageError(f"{path}: a WAV file of the kind {kind} with {bits} bits, {channels} channels and a rate of {own}; want PCM of 8, 16, 24 or 32 bits, or floating-point (ffmpeg -i IN -c:a pcm_s16le OUT.wav)")
    width = channels * bits // 8
    body = body[: len(body) // width * width]
    if most is not None:  # so much of it as the filter of a resampling reaches
        body = body[: (math.ceil((most + 64) * own / rate) + 64) * width]
    x = _numbers(body, kind, bits).reshape(-1, channels).mean(1)
    if not len(x):
        raise UsageError(f"{path}: there is no sound in it")
    return resample(x, own, rate)[:most].astype(np.float32)


def _numbers(body: bytes, kind: int, bits: int) -> Array:
    if kind == 3:
        return np.frombuffer(body, f"<f{bits // 8}").astype(np.float64)
    if bits == 8:
        return (np.frombuffer(body, np.uint8) - 128.0) / 128
    if bits == 24:
        wide = np.zeros((len(body) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(body, np.uint8).reshape(-1, 3)
        return wide.view("<i4")[:, 0] / 2.0**31
    return np.frombuffer(body, f"<i{bits // 8}") / 2.0 ** (bits - 1)


def resample(x: Array, rate: int, to: int) -> Array:
    """Returns a wave at another rate, by a polyphase filter: a sinc under Kaiser's window (β = 5) of ten zeros to each side."""
    common = math.gcd(rate, to)
    up, down = to // common, rate // common
    if up == down:
        return x
    wide = max(up, down)
    half = 10 * wide
    taps = np.sinc(np.arange(-half, half + 1) / wide) * np.kaiser(2 * half + 1, 5.0)
    taps *= up / taps.sum()
    count = -(-len(x) * up // down)
    reach = half // up + 2
    padded = np.pad(x.astype(np.float64), reach)
    y = np.empty(count)
    # Output n = Σ over k of x[k]·taps[half + n·down − k·up]; outputs that are up apart see the same taps, and windows that are down apart.
    for n in range(min(up, count)):
        first = -((half - n * down) // up)
        last = (half + n * down) // up
        phase = taps[half + n * down - up * np.arange(first, last + 1)]
        windows = np.lib.stride_tricks.sliding_window_view(padded, len(phase))
        y[n::up] = windows[first + reach :: down][: len(range(n, count, up))] @ phase
    return y


def main(words: Optional[Sequence[str]] = None) -> int:
    """Is the command line."""
    parser = argparse.ArgumentParser(prog="python -m onnx_compress.waves", description="Makes samples for a model from WAV files.")
    parser.add_argument("waves", nargs="+", help="a folder, or files")
    parser.add_argument("--rate", type=int, default=RATE, help=f"samples a second that the model takes ({RATE})")
    parser.add_argument("--seconds", type=float, help=f"how much of a file counts (what the model fixes, or the longest up to {SECONDS:g})")
    return _entry.make(parser, words, lambda o, inputs: load(o.waves[0] if len(o.waves) == 1 else o.waves, inputs, o.rate, o.seconds, o.limit))


if __name__ == "__main__":
    sys.exit(main())
