"""A network of an ONNX file in PyTorch, node by node; its float initializers of more than one number are parameters."""

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
            model = helper.make_model(single, opset_imports=[helper.make_opsetid("", 17)])
            for name, value in zip(n.output, ReferenceEvaluator(model).run(None, {})):
                known[name] = value
    return known


class Network:
    def __init__(self, path, dtype=torch.float32):
        self.graph = onnx.load(path).graph
        self.known = constants(self.graph)
        self.weights = {t.name: torch.nn.Parameter(torch.tensor(numpy_helper.to_array(t), dtype=dtype))
                        for t in self.graph.initializer if t.data_type == onnx.TensorProto.FLOAT and np.prod(t.dims) > 1}
        others = {k: torch.as_tensor(np.array(v)) for k, v in self.known.items() if k not in self.weights}
        self.others = {k: v.to(dtype) if v.is_floating_point() else v for k, v in others.items()}
        self.dtype = dtype

    def __call__(self, *inputs):
        values = {**self.others, **self.weights}
        for i, x in zip(self.graph.input, inputs):
            values[i.name] = x
        for n in self.graph.node:
            if n.output[0] not in self.known:
                values[n.output[0]] = self.node(n, [values.get(i) for i in n.input])
        return values[self.graph.output[0].name]

    def node(self, n, x):
        a = {v.name: helper.get_attribute_value(v) for v in n.attribute}
        rule = getattr(self, n.op_type.lower(), None) or SIMPLE.get(n.op_type)
        if rule is None:
            raise ValueError("no rule for " + n.op_type)
        return rule(a, *x)

    def cast(self, a, x):
        return x.to({1: self.dtype, 7: torch.int64, 9: torch.bool}[a["to"]])

    def conv(self, a, x, w, b=None):
        pads = a.get("pads", [0, 0, 0, 0])
        half = len(pads) // 2
        if pads[:half] != pads[half:]:
            x, pads = F.pad(x, [p for axis in reversed(range(half)) for p in (pads[axis], pads[axis + half])]), [0] * len(pads)
        return F.conv2d(x, w, b, a.get("strides", 1), pads[:half], a.get("dilations", 1), a.get("group", 1))

    def slice(self, a, x, begins, ends, axes, steps):
        cut = [slice(None)] * x.dim()
        for begin, end, axis, step in zip(*(v.tolist() for v in (begins, ends, axes, steps))):
            cut[axis] = slice(begin, min(end, 1 << 30), step)
        return x[tuple(cut)]

    def pad(self, a, x, pads, value=None):
        pads, rank = pads.tolist(), x.dim()
        return F.pad(x, [p for axis in reversed(range(rank)) for p in (pads[axis], pads[axis + rank])])

    def gather(self, a, x, i):
        axis = a.get("axis", 0) % x.dim()
        out = x.index_select(axis, i.reshape(-1))
        return out.reshape(x.shape[:axis] + i.shape + x.shape[axis + 1:])

    def unsqueeze(self, a, x, axes):
        for axis in sorted(axes.tolist()):
            x = x.unsqueeze(axis)
        return x

    def reshape(self, a, x, shape):
        return x.reshape([x.shape[i] if n == 0 else n for i, n in enumerate(shape.tolist())])

    def reducesum(self, a, x, axes=None):
        return x.sum(axes.tolist(), keepdim=bool(a.get("keepdims", 1)))

    def gemm(self, a, x, w, b=None):
        x, w = (x.T if a.get("transA") else x), (w.T if a.get("transB") else w)
        y = a.get("alpha", 1.0) * (x @ w)
        return y if b is None else y + a.get("beta", 1.0) * b


SIMPLE = {
    "Relu": lambda a, x: F.relu(x),
    "Add": lambda a, x, y: x + y,
    "Sub": lambda a, x, y: x - y,
    "Mul": lambda a, x, y: x * y,
    "Div": lambda a, x, y: x / y,
    "Erf": lambda a, x: torch.erf(x),
    "Equal": lambda a, x, y: x == y,
    "Where": lambda a, c, x, y: torch.where(c, x, y),
    "Clip": lambda a, x, low=None, high=None: x.clamp(None if low is None else low.item(), None if high is None else high.item()),
    "MatMul": lambda a, x, y: x @ y,
    "Concat": lambda a, *x: torch.cat(x, a["axis"]),
    "Shape": lambda a, x: torch.tensor(x.shape),
    "Expand": lambda a, x, shape: x.expand(torch.broadcast_shapes(x.shape, tuple(shape.tolist()))),
    "Transpose": lambda a, x: x.permute(a["perm"]),
    "Softmax": lambda a, x: F.softmax(x, a.get("axis", -1)),
    "ConstantOfShape": lambda a, shape: torch.full(shape.tolist(), numpy_helper.to_array(a["value"]).item()),
    "ReduceL2": lambda a, x: x.norm(dim=a["axes"], keepdim=bool(a.get("keepdims", 1))),
    "LayerNormalization": lambda a, x, w, b: F.layer_norm(x, w.shape, w, b, a["epsilon"]),
    "AveragePool": lambda a, x: F.avg_pool2d(x, a["kernel_shape"], a.get("strides")),
    "GlobalAveragePool": lambda a, x: x.mean((2, 3), keepdim=True),
    "MaxPool": lambda a, x: F.max_pool2d(x, a["kernel_shape"], a.get("strides"), a.get("pads", [0, 0])[:2], ceil_mode=bool(a.get("ceil_mode"))),
    "Flatten": lambda a, x: torch.flatten(x, 1),
    "Identity": lambda a, x: x,
}
