#!/usr/bin/env python3
"""Times training steps of PyTorch on the CPU: forward, squared distance of centred scores, backward, Adam.

    python tune_step.py MODEL.onnx BATCH STEPS          (needs torch and onnx)

The network is that of the file, node by node; every float weight is a parameter. Two threads. Prints the median of the steps in
milliseconds.
"""
import sys
import time

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import helper, numpy_helper


def constants(graph):
    """What does not depend on the input, computed with the reference evaluator."""
    from onnx.reference import ReferenceEvaluator
    known = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    for n in graph.node:
        if all(i in known for i in n.input if i):
            single = helper.make_graph([n], "one", [], [helper.make_tensor_value_info(o, 0, None) for o in n.output],
                                       [numpy_helper.from_array(np.asarray(known[i]), i) for i in n.input if i])
            model = helper.make_model(single, opset_imports=[helper.make_opsetid("", 13)])
            for name, value in zip(n.output, ReferenceEvaluator(model).run(None, {})):
                known[name] = value
    return known


class Network:
    def __init__(self, path):
        self.graph = onnx.load(path).graph
        self.known = constants(self.graph)
        self.weights = {t.name: torch.nn.Parameter(torch.tensor(numpy_helper.to_array(t)))
                        for t in self.graph.initializer if t.data_type == onnx.TensorProto.FLOAT and len(t.dims)}

    def __call__(self, x):
        values = dict(self.weights)
        values[self.graph.input[0].name] = x
        for n in self.graph.node:
            if n.output[0] not in self.known:
                values[n.output[0]] = self.node(n, [values.get(i) for i in n.input])
        return values[self.graph.output[0].name]

    def node(self, n, x):
        a = {v.name: helper.get_attribute_value(v) for v in n.attribute}
        numbers = [self.known.get(i) for i in n.input]
        if n.op_type == "Conv":
            return F.conv2d(x[0], x[1], x[2] if len(x) > 2 else None, a.get("strides", 1), a.get("pads", [0, 0])[:2], a.get("dilations", 1), a.get("group", 1))
        if n.op_type == "Relu":
            return F.relu(x[0])
        if n.op_type == "Add":
            return x[0] + x[1]
        if n.op_type == "Slice":
            cut = [slice(None)] * x[0].dim()
            for begin, end, axis, step in zip(*(v.tolist() for v in numbers[1:5])):
                cut[axis] = slice(begin, min(end, 1 << 30), step)
            return x[0][tuple(cut)]
        if n.op_type == "Pad":
            pads, rank = numbers[1].tolist(), x[0].dim()
            return F.pad(x[0], [p for axis in reversed(range(rank)) for p in (pads[axis], pads[axis + rank])])
        if n.op_type == "AveragePool":
            return F.avg_pool2d(x[0], a["kernel_shape"], a.get("strides"))
        if n.op_type == "Flatten":
            return torch.flatten(x[0], 1)
        if n.op_type == "Gemm":
            return F.linear(x[0], x[1], x[2])
        raise ValueError("no rule for " + n.op_type)


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
