"""Makes models of real sizes and data for them: seeded weights whose spectra decay, in the shapes of networks that people have.

usage: large.py FOLDER NAME...

Of every NAME it writes FOLDER/NAME/model.onnx, what does not stand there already. The transformers have their weights beside them, in
model.data, written piece by piece; images.npz and tokens.npz are made once.
"""

import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

DECAY = 0.7  # singular value i of a weight falls as (i+1)^-DECAY


class Net:
    """A graph on its way. Weights go into the message, or to a file of external data."""

    def __init__(self, seed, data=None):
        self.rng, self.data, self.at = np.random.default_rng(seed), data, 0
        self.nodes, self.weights, self.bases = [], [], {}

    def weight(self, out, rows, shape, gain=1.0):
        """A matrix of out rows and the given columns, as a tensor: of each size one is made, the others are it with rows and columns in another order."""
        if (out, rows) not in self.bases:
            r = min(out, rows)
            left, right = (self.rng.standard_normal((n, r), dtype=np.float32) for n in (out, rows))
            w = (left * (np.arange(1, r + 1, dtype=np.float32) ** -DECAY)) @ right.T
            self.bases[out, rows] = w / w.std()
        w = self.bases[out, rows][self.rng.permutation(out)][:, self.rng.permutation(rows)]
        w *= gain / np.sqrt(rows)
        return self.constant(w.reshape(shape) if shape[0] == out else np.ascontiguousarray(w.T).reshape(shape))

    def constant(self, array):
        array, name = np.asarray(array, order="C"), f"w{len(self.weights)}"
        if self.data is None or array.nbytes < 1024:
            self.weights.append(numpy_helper.from_array(array, name))
            return name
        t = TensorProto(name=name, data_type=helper.np_dtype_to_tensor_dtype(array.dtype), dims=array.shape, data_location=TensorProto.EXTERNAL)
        self.data.write(b"\0" * (-self.at % 4096))
        self.at += -self.at % 4096
        for key, value in (("location", pathlib.Path(self.data.name).name), ("offset", self.at), ("length", array.nbytes)):
            t.external_data.add(key=key, value=str(value))
        self.data.write(memoryview(array).cast("B"))
        self.at += array.nbytes
        self.weights.append(t)
        return name

    def op(self, kind, *inputs, **attributes):
        out = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [out], f"{kind.lower()}{len(self.nodes)}", **attributes))
        return out

    def conv(self, x, cin, cout, k, stride=1, gain=2**0.5):
        w, b = self.weight(cout, cin * k * k, (cout, cin, k, k), gain), self.constant(np.zeros(cout, np.float32))
        return self.op("Conv", x, w, b, kernel_shape=[k, k], strides=[stride] * 2, pads=[k // 2] * 4)

    def gemm(self, x, cin, cout):
        return self.op("Gemm", x, self.weight(cout, cin, (cout, cin)), self.constant(np.zeros(cout, np.float32)), transB=1)

    def matmul(self, x, cin, cout, gain=1.0):
        y = self.op("MatMul", x, self.weight(cout, cin, (cin, cout), gain))
        return self.op("Add", y, self.constant(np.zeros(cout, np.float32)))

    def norm(self, x, d):
        return self.op("LayerNormalization", x, self.constant(np.ones(d, np.float32)), self.constant(np.zeros(d, np.float32)), axis=-1)

    def ints(self, *values):
        return self.constant(np.array(values, np.int64))

    def gelu(self, x):
        erf = self.op("Erf", self.op("Mul", x, self.constant(np.float32(0.5**0.5))))
        return self.op("Mul", self.op("Mul", x, self.op("Add", erf, self.constant(np.float32(1)))), self.constant(np.float32(0.5)))

    def attention(self, x, d, heads, mask=None):
        q, k, v = (self.op("Transpose", self.op("Reshape", self.matmul(x, d, d), self.ints(0, 0, heads, d // heads)), perm=p)
                   for p in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]))
        scores = self.op("Mul", self.op("MatMul", q, k), self.constant(np.float32((d / heads) ** -0.5)))
        scores = self.op("Softmax", self.op("Add", scores, mask) if mask else scores, axis=-1)
        y = self.op("Transpose", self.op("MatMul", scores, v), perm=[0, 2, 1, 3])
        return self.matmul(self.op("Reshape", y, self.ints(0, 0, d)), d, d, 0.3)

    def block(self, x, d, heads, mask=None):
        x = self.op("Add", x, self.attention(self.norm(x, d), d, heads, mask))
        y = self.gelu(self.matmul(self.norm(x, d), d, 4 * d))
        return self.op("Add", x, self.matmul(y, 4 * d, d, 0.3))

    def save(self, path, inputs, y, output):
        infos = [helper.make_tensor_value_info(n, t, s) for n, t, s in inputs]
        graph = helper.make_graph(self.nodes + [helper.make_node("Identity", [y], ["y"], "result")], path.parent.name, infos,
                                  [helper.make_tensor_value_info("y", TensorProto.FLOAT, output)], self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        path.write_bytes(model.SerializeToString())


IMAGE = [("x", TensorProto.FLOAT, ["batch", 3, 224, 224])]


def resnet(n, path, blocks, bottleneck):
    x = n.op("Relu", n.conv("x", 3, 64, 7, 2))
    x, cin = n.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]), 64
    for stage, count in enumerate(blocks):
        c = 64 << stage
        cout = 4 * c if bottleneck else c
        for i in range(count):
            s = 2 if stage and not i else 1
            if bottleneck:
                y = n.op("Relu", n.conv(n.op("Relu", n.conv(x, cin, c, 1)), c, c, 3, s))
                y = n.conv(y, c, cout, 1, 1, 0.5)
            else:
                y = n.conv(n.op("Relu", n.conv(x, cin, c, 3, s)), c, c, 3, 1, 0.5)
            x = n.op("Relu", n.op("Add", y, x if cin == cout and s == 1 else n.conv(x, cin, cout, 1, s, 1.0)))
            cin = cout
    x = n.op("Flatten", n.op("GlobalAveragePool", x))
    n.save(path, IMAGE, n.gemm(x, cin, 1000), ["batch", 1000])


def vit(n, path):
    d = 768
    x = n.op("Conv", "x", n.weight(d, 768, (d, 3, 16, 16)), n.constant(np.zeros(d, np.float32)), kernel_shape=[16, 16], strides=[16, 16])
    x = n.op("Transpose", n.op("Reshape", x, n.ints(0, d, 196)), perm=[0, 2, 1])
    x = n.op("Add", x, n.constant(n.rng.standard_normal((1, 196, d), dtype=np.float32) * 0.1))
    for _ in range(12):
        x = n.block(x, d, 12)
    x = n.op("ReduceMean", n.norm(x, d), axes=[1], keepdims=0)
    n.save(path, IMAGE, n.gemm(x, d, 1000), ["batch", 1000])


def bert(n, path):
    d, ids = 768, ["batch", "seq"]
    x = n.op("Gather", n.weight(30522, d, (30522, d), d**0.5), "input_ids")
    x = n.norm(x, d)
    off = n.op("Sub", n.constant(np.float32(1)), n.op("Cast", n.op("Unsqueeze", "attention_mask", n.ints(1, 2)), to=TensorProto.FLOAT))
    mask = n.op("Mul", off, n.constant(np.float32(-1e4)))
    for _ in range(12):
        x = n.block(x, d, 12, mask)
    n.save(path, [("input_ids", TensorProto.INT64, ids), ("attention_mask", TensorProto.INT64, ids)], n.norm(x, d), [*ids, d])


def transformer(n, path, blocks, d=2048):
    x = "x"
    for _ in range(blocks):
        x = n.block(x, d, d // 128)
    n.save(path, [("x", TensorProto.FLOAT, ["batch", 128, d])], n.matmul(n.norm(x, d), d, 8192), ["batch", 128, 8192])


def gated(n, path, d=4096, hidden=11008):
    """One block of a language model of 7 billion weights, of which there are 32."""
    x = n.op("Add", "x", n.attention(n.norm("x", d), d, d // 128, None))
    y = n.norm(x, d)
    gate, up = n.matmul(y, d, hidden), n.matmul(y, d, hidden)
    y = n.op("Mul", n.op("Mul", gate, n.op("Sigmoid", gate)), up)
    n.save(path, [("x", TensorProto.FLOAT, ["batch", 128, d])], n.op("Add", x, n.matmul(y, hidden, d, 0.3)), ["batch", 128, d])


def layer(n, path):
    n.save(path, [("x", TensorProto.FLOAT, ["batch", 128, 16, 16])], n.conv("x", 128, 128, 3), ["batch", 128, 16, 16])


MODELS = {
    "layer": lambda n, p: layer(n, p),
    "resnet18": lambda n, p: resnet(n, p, [2, 2, 2, 2], False),
    "resnet50": lambda n, p: resnet(n, p, [3, 4, 6, 3], True),
    "vit-b16": lambda n, p: vit(n, p),
    "bert-base": lambda n, p: bert(n, p),
    "transformer-1g": lambda n, p: transformer(n, p, 5),
    "transformer-3g": lambda n, p: transformer(n, p, 16),
    "transformer-6g": lambda n, p: transformer(n, p, 32),
    "transformer-7b-block": lambda n, p: gated(n, p),
}


def data(folder):
    rng = np.random.default_rng(1)
    if not (folder / "images.npz").exists():  # smooth, as images are, with some grain
        x = sum(np.kron(rng.standard_normal((256, 3, 224 // s, 224 // s), dtype=np.float32), np.ones((s, s), np.float32)) * s / 40 for s in (1, 4, 16, 56))
        np.savez(folder / "images.npz", x=x)
    if not (folder / "tokens.npz").exists():
        ids = (30521 * rng.random((256, 128)) ** 3).astype(np.int64)
        np.savez(folder / "tokens.npz", input_ids=ids, attention_mask=np.ones_like(ids))
    if not (folder / "states.npz").exists():  # what a block of a language model reads: some directions are far larger than others
        scale = np.arange(1, 4097, dtype=np.float32) ** -0.3
        np.savez(folder / "states.npz", x=rng.standard_normal((72, 128, 4096), dtype=np.float32) * rng.permutation(scale))


def main(folder, names):
    folder.mkdir(parents=True, exist_ok=True)
    data(folder)
    for seed, name in enumerate(MODELS):
        path = folder / name / "model.onnx"
        if name not in names or path.exists():
            continue
        path.parent.mkdir(exist_ok=True)
        if name.startswith("transformer"):
            with open(path.parent / "model.data", "wb", 1 << 22) as f:
                MODELS[name](Net(seed, f), path)
        else:
            MODELS[name](Net(seed), path)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), sys.argv[2:])
