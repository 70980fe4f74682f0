"""Compares the gradient of a training step with PyTorch's.

    python gradients.py ORIGINAL.onnx COMPRESSED.onnx INPUTS.npz FOLDER LOSS GIVEN

FOLDER holds the gradients, one TensorProto to a file. LOSS is logits (the mean squared distance of centred scores) or cosine; GIVEN
is its value there, with a weight that is taken to be the ratio to the value here. Prints the largest error of a gradient, relative
in the Euclidean norm, the ratio, and how many gradients were compared.
"""

import pathlib
import sys

import numpy as np
import onnx
import torch
from network import Network
from onnx import numpy_helper


def main():
    original, small, inputs, folder, kind, given = sys.argv[1:]
    torch.set_num_threads(2)
    net, teacher = Network(small), Network(original)
    arrays = np.load(inputs)
    x = [torch.tensor(arrays[i.name]) for i in net.graph.input]
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
    ratio = float(given) / loss.item()
    worst, name, count = 0.0, "", 0
    largest = max(w.grad.norm().item() for w in net.weights.values() if w.grad is not None)
    for path in sorted(pathlib.Path(folder).iterdir()):
        own = onnx.TensorProto.FromString(path.read_bytes())
        there = net.weights[own.name].grad.numpy().astype(np.float64)
        here = numpy_helper.to_array(own).astype(np.float64) / ratio
        off = np.linalg.norm(here - there) / max(np.linalg.norm(there), 1e-6 * largest)
        count += 1
        if not off <= worst:
            worst, name = off, own.name
    print(worst, ratio, count, name)


if __name__ == "__main__":
    main()
