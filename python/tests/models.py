"""Models and sources of samples for the tests."""

from __future__ import annotations

import pathlib
from typing import Any, Iterator

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def classifier(seed: int = 0) -> onnx.ModelProto:
    """Makes a small network with the inputs and outputs that torchvision's have when torch exports them."""
    random = np.random.default_rng(seed)

    def weight(name: str, *shape: int) -> onnx.TensorProto:
        # Of quickly falling singular values, as trained ones are.
        rows, cols = shape[0], int(np.prod(shape[1:]))
        u, _, v = np.linalg.svd(random.standard_normal((rows, cols)), full_matrices=False)
        s = 0.7 ** np.arange(len(v))
        return numpy_helper.from_array((u * s @ v * cols**0.5).reshape(shape).astype(np.float32), name)

    weights = [weight("w1", 16, 3, 7, 7), weight("w2", 32, 16, 3, 3), weight("w3", 32, 32, 3, 3), weight("w4", 10, 32)]
    nodes = [
        helper.make_node("Conv", ["input", "w1"], ["a"], "/conv1/Conv", strides=[2, 2], pads=[3, 3, 3, 3]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("MaxPool", ["b"], ["c"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["c", "w2"], ["d"], "/layer1/conv1/Conv", strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["d"], ["e"]),
        helper.make_node("Conv", ["e", "w3"], ["f"], "/layer1/conv2/Conv", pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["e", "f"], ["g"]),
        helper.make_node("GlobalAveragePool", ["g"], ["h"]),
        helper.make_node("Flatten", ["h"], ["i"]),
        helper.make_node("Gemm", ["i", "w4"], ["output"], "/fc/Gemm", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "main_graph",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch_size", 3, 64, 64])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch_size", 10])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def encoder(fixed: int = 0, inputs: tuple[str, ...] = ("input_ids", "attention_mask", "token_type_ids")) -> onnx.ModelProto:
    """Makes a network of tokens: embeddings of ids, masked means of them, and a layer."""
    random = np.random.default_rng(1)
    axis: Any = fixed or "sequence"
    weights = [
        numpy_helper.from_array(random.standard_normal((64, 24)).astype(np.float32), "words"),
        numpy_helper.from_array(random.standard_normal((24, 24)).astype(np.float32), "w"),
        numpy_helper.from_array(np.array([2], np.int64), "last"),
        numpy_helper.from_array(np.array([1], np.int64), "middle"),
    ]
    nodes = [
        helper.make_node("Gather", ["words", "input_ids"], ["a"], "embeddings"),
        helper.make_node("Cast", ["attention_mask"], ["m"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["m", "last"], ["n"]),
        helper.make_node("Mul", ["a", "n"], ["b"]),
        helper.make_node("ReduceSum", ["b", "middle"], ["c"], keepdims=0),
        helper.make_node("MatMul", ["c", "w"], ["sentence_embedding"], "dense"),
    ]
    if "token_type_ids" in inputs:
        nodes.insert(1, helper.make_node("Cast", ["token_type_ids"], ["unused"], to=TensorProto.FLOAT))
    graph = helper.make_graph(
        nodes,
        "main_graph",
        [helper.make_tensor_value_info(n, TensorProto.INT64, ["batch", axis]) for n in inputs],
        [helper.make_tensor_value_info("sentence_embedding", TensorProto.FLOAT, ["batch", 24])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def detector() -> onnx.ModelProto:
    """Makes a network that takes waves of any length and gives two scores."""
    random = np.random.default_rng(2)
    weights = [
        numpy_helper.from_array(random.standard_normal((16, 1, 64)).astype(np.float32) / 8, "w1"),
        numpy_helper.from_array(random.standard_normal((16, 16, 5)).astype(np.float32) / 9, "w2"),
        numpy_helper.from_array(random.standard_normal((2, 16)).astype(np.float32) / 4, "w3"),
        numpy_helper.from_array(np.array([1], np.int64), "middle"),
    ]
    nodes = [
        helper.make_node("Unsqueeze", ["waveform", "middle"], ["a"]),
        helper.make_node("Conv", ["a", "w1"], ["b"], "conv1", strides=[16]),
        helper.make_node("Relu", ["b"], ["c"]),
        helper.make_node("Conv", ["c", "w2"], ["d"], "conv2", strides=[2]),
        helper.make_node("Relu", ["d"], ["e"]),
        helper.make_node("GlobalAveragePool", ["e"], ["f"]),
        helper.make_node("Flatten", ["f"], ["g"]),
        helper.make_node("Gemm", ["g", "w3"], ["scores"], "fc", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "main_graph",
        [helper.make_tensor_value_info("waveform", TensorProto.FLOAT, ["batch", "samples"])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 2])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def saved(model: onnx.ModelProto, path: pathlib.Path) -> str:
    onnx.save(model, str(path))
    return str(path)


def images(n: int = 80, seed: int = 3) -> np.ndarray:
    """Makes smooth random images."""
    coarse = np.random.default_rng(seed).standard_normal((n, 3, 8, 8))
    return np.kron(coarse, np.ones((8, 8))).astype(np.float32)


class Tensor:
    """Looks to the package as a tensor of torch does that has a gradient."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array
        self.dtype = "torch." + str(array.dtype)

    def detach(self) -> Tensor:
        return self

    def cpu(self) -> Tensor:
        return self

    def numpy(self) -> np.ndarray:
        return self._array


class Loader:
    """Gives batches of images with their labels, as a data loader of torch does; a second time, too."""

    def __init__(self, array: np.ndarray, batch: int) -> None:
        self._array, self._batch = array, batch

    def __iter__(self) -> Iterator[list[Tensor]]:
        for i in range(0, len(self._array), self._batch):
            x = self._array[i : i + self._batch]
            yield [Tensor(x), Tensor(np.zeros(len(x), np.int64))]


class EagerTensor:
    """Looks to the package as a tensor of TensorFlow does: an array behind numpy(), and no gradient."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array

    def numpy(self) -> np.ndarray:
        return self._array


class Dataset:
    """Gives what a dataset of TensorFlow does: batches in a form of its own, with labels behind them."""

    def __init__(self, form: Any, batch: int, *arrays: np.ndarray) -> None:
        self._form, self._batch, self._arrays = form, batch, arrays

    def __iter__(self) -> Iterator[Any]:
        for i in range(0, len(self._arrays[0]), self._batch):
            parts = [EagerTensor(a[i : i + self._batch]) for a in self._arrays]
            yield self._form(parts, EagerTensor(np.zeros(len(parts[0].numpy()), np.int64)))
