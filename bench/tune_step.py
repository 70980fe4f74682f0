#!/usr/bin/env python3
"""Times training steps of PyTorch on the CPU: forward, squared distance of centred scores, backward, Adam.

    python tune_step.py MODEL.onnx BATCH STEPS          (needs torch and onnx)

The network is that of the file, node by node; every float weight is a parameter. Two threads. Prints the median of the steps in
milliseconds.
"""
import sys
import time

import numpy as np
import torch
from network import Network


def main():
    path, batch, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(2)
    net = Network(path)
    x, t = torch.randn(batch, 3, 32, 32), torch.randn(batch, 10)
    adam = torch.optim.Adam(net.weights.values(), 1e-3)
    times = []
    for _ in range(steps + 3):
        begin = time.perf_counter()
        adam.zero_grad()
        d = net(x) - t
        d = d - d.mean(1, keepdim=True)
        (d * d).mean().backward()
        adam.step()
        times.append(1e3 * (time.perf_counter() - begin))
    print(f"{np.median(times[3:]):.2f}")


if __name__ == "__main__":
    main()
