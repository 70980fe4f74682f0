"""Compares the gradient of a training step with PyTorch's.

    python gradients.py ORIGINAL.onnx COMPRESSED.onnx FOLDER LOSS VALUE

FOLDER holds the gradients, one TensorProto to a file, and FOLDER/inputs the inputs in the same way. LOSS is logits (the mean squared
distance of centred scores) or cosine; VALUE is its value there, with a weight that is taken to be the ratio to the value here.
Prints, each time for the gradient where that is largest, the distance relative in the Euclidean norm from PyTorch's in float32,
from PyTorch's in float64, and between these two; then how many gradients were compared.
"""

import pathlib
import sys

import numpy as np
import onnx
import torch
from network import Network
from onnx import numpy_helper


def tensors(folder):
    read = [onnx.TensorProto.FromString(p.read_bytes()) for p in pathlib.Path(folder).glob("*.pb")]
    return {t.name: numpy_helper.to_array(t) for t in read}


def gradients(original, small, inputs, kind, dtype):
    """The loss and its gradient with respect to every parameter, by name."""
    net, teacher = Network(small, dtype), Network(original, dtype)
    x = [torch.tensor(inputs[i.name]) for i in net.graph.input]
    x = [v.to(dtype) if v.is_floating_point() else v for v in x]
    with torch.no_grad():
        t = teacher(*x).flatten(1)
    y = net(*x).flatten(1)
    if kind == "cosine":
        loss = (1 - torch.cosine_similarity(y, t)).mean()
    else:
        d = y - t
        d = d - d.mean(1, keepdim=True)
        loss = (d * d).mean()
    loss.backward()
    return loss.item(), {k: w.grad.double().numpy() for k, w in net.weights.items() if w.grad is not None}


def main():
    original, small, folder, kind, value = sys.argv[1:]
    torch.set_num_threads(2)
    own, inputs = tensors(folder), tensors(pathlib.Path(folder) / "inputs")
    loss, single = gradients(original, small, inputs, kind, torch.float32)
    _, double = gradients(original, small, inputs, kind, torch.float64)
    own = {k: v.astype(np.float64) * loss / float(value) for k, v in own.items()}
    largest = max(np.linalg.norm(g) for g in double.values())

    def scale(k, g):
        # A gradient that is zero by the mathematics, as that of a bias that softmax takes away again, has no norm to divide by.
        return np.linalg.norm(g) if np.linalg.norm(double[k]) > 1e-12 * largest else largest

    def farthest(a, b):
        return max(np.linalg.norm(a[k] - b[k]) / scale(k, b[k]) for k in own)

    print(farthest(own, single), farthest(own, double), farthest(single, double), len(own))


if __name__ == "__main__":
    main()
