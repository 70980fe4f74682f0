"""Runs ONNX files in every runtime that is installed and compares the outputs with ONNX Runtime's.

    python runtimes.py MODEL.onnx ...

Prints a Markdown table; exits 1 when a runtime differs by more than 1e-4 of the largest output, or cannot load a file.
"""
import importlib.metadata
import sys

import numpy as np
import onnx
import onnxruntime

TOLERANCE = 1e-4


def onnx_runtime(path, x):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def openvino(path, x):
    import openvino as ov
    # CPUs with bfloat16 units compute in it unless told otherwise.
    compiled = ov.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return compiled([x])[0]


def opencv(path, x):
    import cv2
    net = cv2.dnn.readNetFromONNX(path)
    # One sample at a time: the batch of a network with a free first axis is fixed when it is loaded.
    rows = []
    for sample in x:
        net.setInput(sample[None])
        rows.append(net.forward().copy())
    return np.concatenate(rows)


def tract(path, x):
    import tract
    model = tract.onnx().load(path)
    model.set_input_fact(0, ",".join(map(str, x.shape)) + ",f32")
    return model.into_model().into_runnable().run([x])[0].to_numpy()


def reference(path, x):
    from onnx.reference import ReferenceEvaluator
    evaluator = ReferenceEvaluator(path)
    return evaluator.run(None, {evaluator.input_names[0]: x})[0]


RUNTIMES = [("OpenVINO", "openvino", openvino), ("OpenCV DNN", "opencv-python-headless", opencv), ("tract", "tract", tract), ("onnx.reference", "onnx", reference)]


def sample(path):
    """Four seeded normal inputs of the shape that the model declares, its first axis being the batch."""
    dims = onnx.load(path).graph.input[0].type.tensor_type.shape.dim
    return np.random.default_rng(0).standard_normal([4] + [d.dim_value for d in dims[1:]]).astype(np.float32)


def main(paths):
    worst = 0.0
    print("| file | " + " | ".join(f"{name} {importlib.metadata.version(package)}" for name, package, _ in RUNTIMES) + " |")
    print("|---" * (len(RUNTIMES) + 1) + "|")
    for path in paths:
        onnx.checker.check_model(path, full_check=True)
        x = sample(path)
        want = onnx_runtime(path, x)
        cells = []
        for _, _, run in RUNTIMES:
            difference = float(np.abs(run(path, x) - want).max() / np.abs(want).max())
            worst = max(worst, difference)
            cells.append(f"{difference:.1e}")
        print(f"| {path.split('/')[-1]} | " + " | ".join(cells) + " |")
    return 0 if worst <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
