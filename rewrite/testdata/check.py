"""Checks models with the onnx package, for the tests of package rewrite.

usage: check.py FOLDER...

Each folder holds model.onnx, which must pass onnx.checker with full_check. Where it holds
output_*.pb or original.onnx too, the model is run by onnx.reference on input_*.pb (tensors
that bear the names of the graph inputs) and must give these outputs, or those of the
original, to a relative 1e-4 (half types, which round the factors: 2e-3 and 2e-2). A line
is printed for each folder that fails.
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


TOLERANCE = {"float16": 2e-3, "bfloat16": 2e-2}


def run(path, feeds):
    return onnx.reference.ReferenceEvaluator(path).run(None, feeds)


def check(folder):
    path = os.path.join(folder, "model.onnx")
    onnx.checker.check_model(path, full_check=True)
    feeds = {t.name: onnx.numpy_helper.to_array(t) for t in tensors(folder, "input")}
    wanted = [onnx.numpy_helper.to_array(t) for t in tensors(folder, "output")]
    original = os.path.join(folder, "original.onnx")
    if os.path.exists(original):
        wanted = run(original, feeds)
    if not wanted:
        return
    for want, got in zip(wanted, run(path, feeds), strict=True):
        want, got = np.asarray(want), np.asarray(got)
        if want.shape != got.shape or want.dtype != got.dtype:
            raise ValueError(f"output {got.dtype}{got.shape}, wanted {want.dtype}{want.shape}")
        tolerance = TOLERANCE.get(want.dtype.name, 1e-4)
        want, got = want.astype(np.float64), got.astype(np.float64)
        distance = np.abs(want - got).max(initial=0) / max(np.abs(want).max(initial=0), 1e-30)
        if not distance <= tolerance:
            raise ValueError(f"an output moved by {distance:.2g}")


for folder in sys.argv[1:]:
    try:
        check(folder)
    except Exception as e:
        print(f"{folder}: {type(e).__name__}: {' '.join(str(e).split())}")
