"""The functions of the package, with the program."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from typing import Any

import numpy as np
import onnx

import onnx_compress
from onnx_compress import _program
from onnx_compress._errors import error_of

from . import models

FAST: dict[str, Any] = {"methods": "svd", "target": "macs=0.8"}


def steady(text: str) -> list[str]:
    """Takes the lines that depend on no time."""
    return [" ".join(line.split()) for line in text.splitlines() if line.startswith(("  MACs", "  parameters", "  file", "calibrated on", "verified on", "  output", "It gives"))]


class InFolder(unittest.TestCase):
    """A test whose current folder is its own."""

    def setUp(self) -> None:
        held = tempfile.TemporaryDirectory()
        self.addCleanup(held.cleanup)
        self.folder = pathlib.Path(held.name).resolve()
        before = os.getcwd()
        os.chdir(self.folder)
        self.addCleanup(os.chdir, before)

    def command(self, *words: str) -> str:
        return subprocess.run([_program.program(), *words], check=True, stdout=subprocess.PIPE, text=True).stdout

    def left_over(self) -> list[str]:
        return [n for n in os.listdir(tempfile.gettempdir()) if n.startswith("onnx-compress-")]


class TestCompress(InFolder):
    def test_three_lines(self) -> None:
        """The result is the command's, to the byte, whatever form model and samples have."""
        model, batch = models.classifier(), models.images()
        models.saved(model, self.folder / "model.onnx")
        np.savez("samples.npz", input=batch)
        printed = self.command("model.onnx", "--calib", "samples.npz", "-o", "model.small.onnx", "--methods=svd", "--target=macs=0.8", "--plan=plan.json")
        want = pathlib.Path("model.small.onnx").read_bytes()
        for name, given, samples in (
            ("arrays", "model.onnx", batch),
            ("generator", "model.onnx", (x for x in batch)),
            ("dicts", model, [{"input": x} for x in batch]),
            ("whole", "model.onnx", {"input": batch}),
            ("loader", "model.onnx", models.Loader(batch, 32)),
            ("path", pathlib.Path("model.onnx"), "samples.npz"),
            ("link to the folder", f"{self.folder}/model.onnx", pathlib.Path("samples.npz")),
        ):
            with self.subTest(name):
                small = onnx_compress.compress(given, samples, **FAST)
                self.assertEqual(small.path.read_bytes(), want)
                self.assertEqual(small.plan, json.loads(pathlib.Path("plan.json").read_text()))
                self.assertEqual(steady(small.text.replace(f"{self.folder}/", "")), steady(printed))

    def test_what_comes_of_it(self) -> None:
        models.saved(models.classifier(), self.folder / "model.onnx")
        small = onnx_compress.compress("model.onnx", models.images(), **FAST)
        self.assertEqual(small.report["output"]["path"], "model.small.onnx")
        self.assertLess(small.report["output"]["macs"], small.report["input"]["macs"])
        self.assertIn(small.report["verdict"]["gained"], small.verdict)
        self.assertIn(small.report["verdict"]["cost"], small.verdict)
        self.assertIn("Next: ", small.verdict)
        self.assertIsInstance(small.model, onnx.ModelProto)
        self.assertTrue(small._repr_html_().startswith("<iframe srcdoc=\"&lt;!"), small._repr_html_()[:80])
        self.assertNotIn(tempfile.gettempdir(), json.dumps([small.report, small.plan]) + small.text + small.page)
        saved = small.save("kept.onnx")
        self.assertEqual(saved, self.folder / "kept.onnx")
        with self.assertRaisesRegex(FileExistsError, "force=True"):
            small.save("kept.onnx")
        small.save("kept.onnx", force=True)
        # The record leads from there to the model, as that of the command would.
        self.assertIn("fresh", subprocess.run([_program.program(), "status", "kept.onnx", "--any-data"], stdout=subprocess.PIPE, text=True).stdout)
        temporary = small._stage.results
        self.assertTrue(temporary.exists())
        del small
        self.assertFalse(temporary.exists())

    def test_output(self) -> None:
        """The record of a named output leads to its source from there."""
        os.mkdir("out")
        models.saved(models.classifier(), self.folder / "model.onnx")
        small = onnx_compress.compress("model.onnx", models.images(), output="out/small.onnx", **FAST)
        self.assertEqual(small.path, self.folder / "out" / "small.onnx")
        record = {p.key: p.value for p in small.model.metadata_props}
        self.assertEqual(record["onnx_compress.source"], "../model.onnx")
        self.assertEqual(os.listdir("out"), ["small.onnx"])
        self.assertTrue(small._repr_html_())
        never = iter([models.images()])
        for error, output in ((FileExistsError, "out/small.onnx"), (onnx_compress.UsageError, "model.onnx"), (IsADirectoryError, "out"), (FileNotFoundError, "none/x.onnx")):
            with self.assertRaises(error):
                onnx_compress.compress("model.onnx", never, output=output, force=output == "model.onnx", **FAST)
        self.assertEqual(len(list(never)), 1)  # it is refused before anything is done
        onnx_compress.compress("model.onnx", models.images(), output="out/small.onnx", force=True, **FAST)

    def test_external_data(self) -> None:
        """Weights beside the model are found, and those of the result go with it."""
        onnx.save(models.classifier(), "model.onnx", save_as_external_data=True, location="weights.bin", size_threshold=64)
        self.assertTrue(os.path.exists("weights.bin"))
        small = onnx_compress.compress("model.onnx", models.images(), output="small.onnx", **FAST)
        onnx.checker.check_model(str(small.path))

    def test_from_a_folder_of_samples(self) -> None:
        """Samples may lie around the model."""
        os.makedirs("sets/test_data_set_0")
        models.saved(models.classifier(), self.folder / "sets" / "model.onnx")
        x = onnx.numpy_helper.from_array(models.images(8), "input")
        pathlib.Path("sets/test_data_set_0/input_0.pb").write_bytes(x.SerializeToString())
        for model, samples in (("sets/model.onnx", "sets"), ("sets/model.onnx", self.folder / "sets")):
            small = onnx_compress.compress(model, samples, **FAST)
            self.assertIn("sets", small.report["calibration"]["source"])

    def test_options(self) -> None:
        """Options are the command's words."""
        self.assertEqual(
            _program.words_of({"input_shape": {"x": (1, 3, 8, 8)}, "weight": {"a": 0.5}, "for_": "cpu", "keep": ["a*", "b"], "no_refit": True, "time": False, "threads": 2, "memory": None}),
            ["--input-shape=x=1x3x8x8", "--weight=a=0.5", "--for=cpu", "--keep=a*", "--keep=b", "--no-refit", "--time=false", "--threads=2"],
        )
        model = models.classifier()
        small = onnx_compress.compress(model, models.images(), keep=["/fc/*"], labels=np.zeros(80, np.int64), no_refit=True, **FAST)
        self.assertIsNone(small.report["refit"])
        self.assertEqual(small.report["verification"]["classes"]["accuracy"]["labelled"], small.report["verification"]["samples"])

    def test_errors(self) -> None:
        """Exit codes are exceptions with the program's words, which name files as the user does, and nothing is left over."""
        model, batch = models.classifier(), models.images()
        models.saved(model, self.folder / "model.onnx")
        before = self.left_over()
        for error, words, call in (
            (onnx_compress.UsageError, 'unknown kind "mac".*did you mean "macs"', lambda: onnx_compress.compress("model.onnx", batch, "mac=0.5")),
            (onnx_compress.UsageError, "unknown flag: --methodz.*--methods", lambda: onnx_compress.compress("model.onnx", batch, methodz="svd")),
            (onnx_compress.UnmetError, "nothing was written", lambda: onnx_compress.compress("model.onnx", batch, "bytes=100")),
            (onnx_compress.FailedError, "missing.onnx", lambda: onnx_compress.compress("missing.onnx", "samples.npz", "macs=0.5")),
            (onnx_compress.UsageError, "no --target", lambda: onnx_compress.compress("model.onnx")),
            (onnx_compress.UsageError, "is what .plan has", lambda: onnx_compress.compress("model.onnx", batch, plan="x.json")),
            (onnx_compress.UsageError, "of the type int; want a path or an onnx.ModelProto", lambda: onnx_compress.compress(3, batch)),
            (onnx_compress.BoundError, "agree: required", lambda: onnx_compress.verify("model.onnx", models.classifier(9), batch, require="agree=100%")),
        ):
            with self.subTest(words), self.assertRaisesRegex(error, words) as caught:
                call()
            self.assertNotIn(tempfile.gettempdir(), str(caught.exception).replace(str(self.folder), ""))
            if error is onnx_compress.BoundError:
                self.assertEqual(caught.exception.report["samples"], 80)
        self.assertEqual(self.left_over(), before)
        self.assertEqual(sorted(os.listdir(".")), ["model.onnx"])

    def test_classes_of_errors(self) -> None:
        for code, error in enumerate("FailedError UsageError UnmetError StaleError BoundError DamageError CrashError StoppedError".split(), 1):
            found = error_of(code, "words")
            self.assertIs(type(found), getattr(onnx_compress, error))
            self.assertEqual((found.code, str(found)), (code, "words"))
        self.assertIsInstance(error_of(-9, ""), onnx_compress.CrashError)

    def test_verify_and_inspect(self) -> None:
        models.saved(models.classifier(), self.folder / "model.onnx")
        small = onnx_compress.compress("model.onnx", models.images(), **FAST)
        compared = onnx_compress.verify("model.onnx", small, models.images(20, 9))
        self.assertEqual((compared["samples"], compared["original"]), (20, "model.onnx"))
        found = onnx_compress.inspect(models.classifier())
        self.assertEqual(found["inputs"], [{"name": "input", "type": "float32", "shape": [-1, 3, 64, 64], "kind": "images"}])
        self.assertEqual(len(found["sites"]), 4)

    @unittest.skipIf(os.name == "nt", "signals are those of other systems")
    def test_interrupt(self) -> None:
        """Ctrl-C ends the program, and nothing is left over."""
        started: list[subprocess.Popen[bytes]] = []

        class Recorded(subprocess.Popen):  # type: ignore[type-arg]
            def __init__(self, *args: Any, **options: Any) -> None:
                super().__init__(*args, **options)
                if "compress" in args[0]:
                    started.append(self)
                    signal.setitimer(signal.ITIMER_REAL, 1.0)

        def interrupt(*_: Any) -> None:
            raise KeyboardInterrupt

        before = self.left_over()
        path = models.saved(models.classifier(), self.folder / "model.onnx")
        self.addCleanup(signal.signal, signal.SIGALRM, signal.signal(signal.SIGALRM, interrupt))
        self.addCleanup(signal.setitimer, signal.ITIMER_REAL, 0)
        self.addCleanup(setattr, _program.subprocess, "Popen", subprocess.Popen)
        _program.subprocess.Popen = Recorded  # type: ignore[misc]
        begun = time.monotonic()
        with self.assertRaises(KeyboardInterrupt):
            onnx_compress.compress(path, models.images(1000), tune=True, tune_epochs=100000)
        self.assertLess(time.monotonic() - begun, 60)
        self.assertTrue(started)
        self.assertTrue(all(p.returncode is not None for p in started))
        self.assertEqual(self.left_over(), before)
        self.assertEqual(os.listdir("."), ["model.onnx"])


class TestWithoutOnnx(InFolder):
    def test_paths_need_no_onnx(self) -> None:
        """The package onnx is asked for only where a ModelProto is."""
        models.saved(models.classifier(), self.folder / "model.onnx")
        np.save("x.npy", models.images(40))
        code = (
            "import sys; sys.modules['onnx'] = None\n"
            "import numpy, onnx_compress\n"
            "s = onnx_compress.compress('model.onnx', numpy.load('x.npy'), 'macs=0.8', methods='svd', progress=False)\n"
            "try: s.model\n"
            "except ImportError as e: print(e)\n"
        )
        said = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True).stdout
        self.assertIn("pip install onnx", said)


if __name__ == "__main__":
    unittest.main()
