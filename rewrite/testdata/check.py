"""Checks models with the onnx package, for the tests of package rewrite.

usage: check.py FOLDER...

Each folder holds model.onnx, which must pass onnx.checker with full_check. Where it holds
output_*.pb too, the model is run by onnx.reference on input_*.pb (tensors that bear the
names of the graph inputs) and must give these outputs to a relative 1e-4. A line is
printed for each folder that fails.
"""

import glob
import os
import sys

import numpy as np
import onnx
import onnx.numpy_helper
import onnx.reference


def tensors(folder, kind):
    for path in sorted(glob.glob(os.path.join(folder, kind + "_*.pb"))):
        yield onnx.load_tensor(path)


def check(folder):
    path = os.path.join(folder, "model.onnx")
    onnx.checker.check_model(path, full_check=True)
    wanted = [onnx.numpy_helper.to_array(t) for t in tensors(folder, "output")]
    if not wanted:
        return
    feeds = {t.name: onnx.numpy_helper.to_array(t) for t in tensors(folder, "input")}
    for want, got in zip(wanted, onnx.reference.ReferenceEvaluator(path).run(None, feeds), strict=True):
        want, got = np.asarray(want, np.float64), np.asarray(got, np.float64)
        if want.shape != got.shape:
            raise ValueError(f"output of shape {got.shape}, {want.shape} is wanted")
        distance = np.abs(want - got).max(initial=0) / max(np.abs(want).max(initial=0), 1e-30)
        if not distance <= 1e-4:
            raise ValueError(f"an output moved by {distance:.2g}")


for folder in sys.argv[1:]:
    try:
        check(folder)
    except Exception as e:
        print(f"{folder}: {type(e).__name__}: {' '.join(str(e).split())}")
