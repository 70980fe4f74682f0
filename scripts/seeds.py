#!/usr/bin/env python3
"""Makes the seeds of the fuzz targets that other programs write: models and tensors of the onnx package, arrays of NumPy,
archives of Python. Needs onnx and numpy; writes to internal/seeds/testdata."""

import gzip
import io
import pathlib
import tarfile
import zipfile

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper as nh

ROOT = pathlib.Path(__file__).parent.parent / "internal" / "seeds" / "testdata"
random = np.random.default_rng(1)


def write(folder, name, data):
    path = ROOT / folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def value(name, *dims, kind=T.FLOAT):
    return h.make_tensor_value_info(name, kind, list(dims) if dims != (None,) else None)


def weight(name, *shape, kind=np.float32):
    return nh.from_array(random.standard_normal(shape).astype(kind), name)


def ints(name, *v):
    return nh.from_array(np.array(v, np.int64), name)


def model(name, nodes, inputs, outputs, weights=(), functions=(), sparse=(), opset=17):
    graph = h.make_graph(nodes, name, inputs, outputs, list(weights), sparse_initializer=list(sparse))
    imports = [h.make_opsetid("", opset)]
    if functions:
        imports.append(h.make_opsetid("local", 1))
    m = h.make_model(graph, opset_imports=imports, functions=list(functions), ir_version=8)
    write("models", name + ".onnx", m.SerializeToString())


def models():
    node = h.make_node
    model("conv", [node("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1]), node("Relu", ["c"], ["r"]), node("GlobalAveragePool", ["r"], ["p"]),
                   node("Flatten", ["p"], ["f"]), node("Gemm", ["f", "g"], ["y"], transB=1)],
          [value("x", "N", 3, 8, 8)], [value("y", "N", 5)], [weight("w", 4, 3, 3, 3), weight("b", 4), weight("g", 5, 4)])
    model("attention", [node("MatMul", ["x", "q"], ["a"]), node("MatMul", ["x", "k"], ["b"]), node("Transpose", ["b"], ["t"], perm=[0, 2, 1]),
                        node("MatMul", ["a", "t"], ["s"]), node("Softmax", ["s"], ["p"]), node("MatMul", ["p", "x"], ["y"])],
          [value("x", "N", "L", 6)], [value("y", "N", "L", 6)], [weight("q", 6, 6), weight("k", 6, 6)])
    model("embedding", [node("Gather", ["table", "i"], ["e"]), node("ReduceMean", ["e"], ["y"], axes=[1], keepdims=0)],
          [value("i", "N", 4, kind=T.INT64)], [value("y", "N", 6)], [weight("table", 9, 6)])
    branch = lambda op, out: h.make_graph([node(op, ["x", "w"] if op == "MatMul" else ["x"], [out])], out, [], [value(out, None)])
    model("if", [node("If", ["c"], ["y"], then_branch=branch("MatMul", "a"), else_branch=branch("Neg", "b"))],
          [value("c", kind=T.BOOL), value("x", 2, 6)], [value("y", 2, 6)], [weight("w", 6, 6)])
    body = h.make_graph([node("MatMul", ["s", "w"], ["t"]), node("Identity", ["go"], ["more"])], "body",
                        [value("i", kind=T.INT64), value("go", kind=T.BOOL), value("s", 2, 6)], [value("more", kind=T.BOOL), value("t", 2, 6)])
    model("loop", [node("Loop", ["n", "", "x"], ["y"], body=body)], [value("n", kind=T.INT64), value("x", 2, 6)], [value("y", 2, 6)], [weight("w", 6, 6)])
    own = [h.make_opsetid("", 17)]
    scaled = h.make_function("local", "Scaled", ["x"], ["y"], [node("Constant", [], ["c"], value_float=0.5), node("Mul", ["x", "c"], ["y"])], own)
    model("function", [node("Scaled", ["x"], ["s"], domain="local"), node("MatMul", ["s", "w"], ["y"])], [value("x", 2, 6)], [value("y", 2, 6)], [weight("w", 6, 6)], [scaled])
    model("shapes", [node("Shape", ["x"], ["s"]), node("Gather", ["s", "zero"], ["n"]), node("Concat", ["n", "rest"], ["to"], axis=0), node("Reshape", ["x", "to"], ["r"]),
                     node("Slice", ["r", "zero", "two", "one"], ["c"]), node("MatMul", ["c", "w"], ["y"])],
          [value("x", "N", 2, 3)], [value("y", "N", 4)], [ints("zero", 0), ints("one", 1), ints("two", 6), ints("rest", 6), weight("w", 6, 4)])
    model("half", [node("Conv", ["x", "w"], ["y"], strides=[2], group=2)], [value("x", 1, 4, 9, kind=T.FLOAT16)], [value("y", None, kind=T.FLOAT16)], [weight("w", 4, 2, 3, kind=np.float16)])
    model("transposed", [node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2], output_padding=[1, 1])], [value("x", 1, 3, 4, 4)], [value("y", None)], [weight("w", 3, 4, 3, 3)])
    model("quantized", [node("DequantizeLinear", ["q", "s", "z"], ["w"]), node("MatMul", ["x", "w"], ["y"])], [value("x", 2, 6)], [value("y", 2, 6)],
          [nh.from_array(random.integers(-9, 9, (6, 6)).astype(np.int8), "q"), weight("s"), nh.from_array(np.array(0, np.int8), "z")])
    model("recurrent", [node("LSTM", ["x", "w", "r"], ["y", "h"], hidden_size=3)], [value("x", 4, 1, 5)], [value("y", None), value("h", None)], [weight("w", 1, 12, 5), weight("r", 1, 12, 3)])
    sparse = h.make_sparse_tensor(h.make_tensor("w", T.FLOAT, [2], [1, 2]), h.make_tensor("at", T.INT64, [2], [1, 7]), [6, 6])
    model("sparse", [node("MatMul", ["x", "w"], ["y"])], [value("x", 2, 6)], [value("y", 2, 6)], sparse=[sparse])
    model("sequence", [node("SplitToSequence", ["x"], ["y"], axis=0)], [value("x", 2, 6)], [h.make_tensor_sequence_value_info("y", T.FLOAT, None)])
    external = T(name="w", data_type=1, dims=[6, 6], data_location=T.EXTERNAL)
    for key, text in (("location", "w.data"), ("offset", "0"), ("length", "144")):
        external.external_data.add(key=key, value=text)
    model("external", [node("MatMul", ["x", "w"], ["y"])], [value("x", 2, 6)], [value("y", 2, 6)], [external])
    model("einsum", [node("Einsum", ["x", "w"], ["y"], equation="ij,jk->ik")], [value("x", 2, 6)], [value("y", None)], [weight("w", 6, 6)])
    model("fields", [node("MatMul", ["x", "w"], ["y"])], [value("x", 2, 2)], [value("y", 2, 2)], [h.make_tensor("w", T.FLOAT, [2, 2], [1, 2, 3, 4])])


def arrays():
    kinds = {"f2": np.float16, "f4": np.float32, "f8": np.float64, "i8": np.int64, "u1": np.uint8, "b1": np.bool_, "big": ">f4", "complex": np.complex64, "text": "U3"}
    members = {}
    for name, kind in kinds.items():
        data = io.BytesIO()
        np.save(data, np.arange(12).reshape(3, 4).astype(kind))
        write("arrays", name + ".npy", data.getvalue())
        members[name] = data.getvalue()
    for name, array in {"columns": np.asfortranarray(np.arange(12.0).reshape(3, 4)), "scalar": np.array(3.0), "empty": np.zeros((0, 4)),
                        "records": np.zeros(2, [("a", "f4"), ("b", "i8")])}.items():
        data = io.BytesIO()
        np.save(data, array)
        write("arrays", name + ".npy", data.getvalue())
    for name, save in {"stored": np.savez, "packed": np.savez_compressed}.items():
        data = io.BytesIO()
        save(data, x=np.arange(12, dtype=np.float32).reshape(3, 4), y=np.arange(3))
        write("archives", name + ".npz", data.getvalue())


def archives():
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr(zipfile.ZipInfo("pkg/lib.so"), b"library", zipfile.ZIP_DEFLATED)
        z.writestr(zipfile.ZipInfo("lib.so"), b"library" * 9, zipfile.ZIP_DEFLATED)
    write("archives", "wheel.zip", data.getvalue())
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name in ("pkg/lib.so", "lib.so"):
            info = tarfile.TarInfo(name)
            info.size = 7
            tar.addfile(info, io.BytesIO(b"library"))
        link = tarfile.TarInfo("link.so")
        link.type, link.linkname = tarfile.SYMTYPE, "../lib.so"
        tar.addfile(link)
    write("archives", "package.tgz", gzip.compress(data.getvalue(), mtime=0))


def tensors():
    for kind in (np.float32, np.float16, np.float64, np.int64, np.int32, np.uint8, np.bool_):
        write("tensors", np.dtype(kind).name + ".pb", nh.from_array(np.arange(6).reshape(2, 3).astype(kind), "x").SerializeToString())
    write("tensors", "fields.pb", h.make_tensor("x", T.FLOAT, [2], [1, 2]).SerializeToString())
    write("tensors", "strings.pb", h.make_tensor("x", T.STRING, [2], [b"a", b"b"]).SerializeToString())


models()
arrays()
archives()
tensors()
