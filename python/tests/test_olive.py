"""The pass of Olive, with Olive, where it is installed: make doors."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import unittest
from typing import Any

import numpy as np

import onnx_compress

from . import models
from .test_compress import FAST, InFolder

os.environ.setdefault("OLIVE_DISABLE_TELEMETRY", "1")
try:
    import olive.workflows
except ImportError as missing:
    WHY = f"olive-ai is not installed: {missing}"
else:
    WHY = ""


@unittest.skipIf(WHY, WHY)
class TestOlive(InFolder):
    def setUp(self) -> None:
        super().setUp()
        models.saved(models.classifier(), pathlib.Path("model.onnx"))
        np.savez("samples.npz", input=models.images())

    def configuration(self, **settings: Any) -> dict[str, Any]:
        return {
            "input_model": {"type": "ONNXModel", "model_path": "model.onnx"},
            "passes": {"small": {"type": "OnnxCompress", **settings}},
            "output_dir": "out",
            "cache_dir": "cache",
        }

    def test_pass(self) -> None:
        """A workflow gives the chains that compress gives."""
        from onnx_compress import olive as door

        found = olive.workflows.run(self.configuration(target="macs=0.8", samples="samples.npz", options={"methods": "svd"}), package_config=door.package_config())
        want = onnx_compress.compress("model.onnx", "samples.npz", **FAST)
        got = onnx_compress.inspect("out/model.onnx")
        self.assertEqual(got["sites"], onnx_compress.inspect(want.path)["sites"])
        self.assertEqual(pathlib.Path(found.get_best_candidate().model_path).resolve(), self.folder / "out")

    def test_command(self) -> None:
        """The two lines of the documents, with two targets and a configuration of data."""
        config = self.configuration(target=["macs=0.9", "params=0.9"], data_config="noise", options={"methods": "svd", "calib_samples": 40})
        config["data_configs"] = [{"name": "noise", "type": "DummyDataContainer", "load_dataset_config": {"input_shapes": [[2, 3, 64, 64]], "input_names": ["input"], "input_types": ["float32"], "max_samples": 40}}]
        pathlib.Path("run.json").write_text(json.dumps(config), encoding="utf-8")
        packages = subprocess.run([sys.executable, "-m", "onnx_compress.olive"], check=True, stdout=subprocess.PIPE).stdout
        pathlib.Path("packages.json").write_bytes(packages)
        subprocess.run([pathlib.Path(sys.executable).with_name("olive"), "run", "--config", "run.json", "--package-config", "packages.json"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        small = onnx_compress.inspect("out/model.onnx")
        self.assertLess(sum(s["params"] for s in small["sites"]), sum(s["params"] for s in onnx_compress.inspect("model.onnx")["sites"]))

    def test_refused(self) -> None:
        """Two ways to give samples are one too many, and an error has the program's words."""
        from onnx_compress import olive as door

        for settings, words in (({"samples": "samples.npz", "data_config": {"name": "x", "type": "DummyDataContainer"}}, "two ways"), ({"target": "mcs=0.5"}, 'did you mean "macs"')):
            with self.subTest(words), self.assertRaisesRegex(Exception, words):
                olive.workflows.run(self.configuration(**settings), package_config=door.package_config())
