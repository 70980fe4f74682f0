"""Makes what the readers of docs/ways begin with: python -m tests.ways WAY, into the current folder."""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from onnx_compress import _samples, waves


def falling(random: np.random.Generator, *shape: int, to: float = 0.9) -> np.ndarray:
    """Makes a weight whose singular values fall, as those of trained networks do."""
    rows, cols = shape[0], int(np.prod(shape[1:]))
    u, _, v = np.linalg.svd(random.standard_normal((rows, cols)), full_matrices=False)
    return (u * to ** np.arange(len(v)) @ v * 2).reshape(shape).astype(np.float32)


def save(nodes: list[Any], inputs: list[Any], output: Any, weights: dict[str, np.ndarray]) -> None:
    graph = helper.make_graph(nodes, "main_graph", inputs, [output], [numpy_helper.from_array(w, n) for n, w in weights.items()])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), "model.onnx")


def sentences() -> None:
    """A sentence encoder, its tokenizer.json, and texts.txt."""
    import tokenizers

    random = np.random.default_rng(1)
    who = "cat dog bird horse fish child teacher doctor farmer pilot".split()
    does = "sees hears finds likes follows paints feeds remembers".split()
    what = "house tree river garden boat bridge mountain letter".split()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "a", "and", *who, *does, *what]
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordPiece({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.save("tokenizer.json")
    lines = [f"the {a} {b} the {c}" + (f" and a {d}" if i % 3 else "") for i, (a, b, c, d) in enumerate((a, b, c, what[(i * 3) % 8]) for i, a in enumerate(who) for b in does for c in what)]
    with open("texts.txt", "w", encoding="utf-8") as f:
        f.write("\n".join(random.permutation(lines)[:400]) + "\n")
    nodes = [
        helper.make_node("Gather", ["words", "input_ids"], ["a"], "embeddings"),
        helper.make_node("MatMul", ["a", "w1"], ["b"], "layer1"),
        helper.make_node("Tanh", ["b"], ["c"]),
        helper.make_node("MatMul", ["c", "w2"], ["d"], "layer2"),
        helper.make_node("Tanh", ["d"], ["e"]),
        helper.make_node("Cast", ["attention_mask"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["f", "last"], ["g"]),
        helper.make_node("Mul", ["e", "g"], ["h"]),
        helper.make_node("ReduceSum", ["h", "middle"], ["i"], keepdims=0),
        helper.make_node("LpNormalization", ["i"], ["sentence_embedding"], axis=-1, p=2),
    ]
    weights = {
        "words": random.standard_normal((len(words), 64)).astype(np.float32),
        "w1": falling(random, 64, 128),
        "w2": falling(random, 128, 64),
        "last": np.array([2], np.int64),
        "middle": np.array([1], np.int64),
    }
    inputs = [helper.make_tensor_value_info(n, TensorProto.INT64, ["batch", "sequence"]) for n in ("input_ids", "attention_mask")]
    save(nodes, inputs, helper.make_tensor_value_info("sentence_embedding", TensorProto.FLOAT, ["batch", 64]), weights)


def sound() -> None:
    """A detector of two kinds of sound, and recordings/ of both: voices that glide, and noise."""
    import struct
    import wave

    random = np.random.default_rng(2)
    os.mkdir("recordings")
    for i in range(240):
        n, t = 8000, np.arange(8000) / 8000
        pitch = 2 * np.pi * np.cumsum(120 + 100 * random.random() + 30 * np.sin(2 * np.pi * 3 * t)) / 8000
        x = sum(np.sin(k * pitch) / k for k in range(1, 8)) * 0.2 if i % 2 else 0.1 * np.cumsum(random.standard_normal(n)) / 20
        x = np.clip(x + 0.01 * random.standard_normal(n), -1, 1)
        with wave.open(f"recordings/{i:03}.wav", "wb") as w:
            w.setparams((1, 2, 8000, n, "NONE", ""))
            w.writeframes(struct.pack(f"<{n}h", *(int(v * 32767) for v in x)))
    nodes = [
        helper.make_node("Unsqueeze", ["waveform", "middle"], ["a"]),
        helper.make_node("Conv", ["a", "w1"], ["b"], "conv1", strides=[160]),
        helper.make_node("Relu", ["b"], ["c"]),
        helper.make_node("Conv", ["c", "w2"], ["d"], "conv2", pads=[2, 2]),
        helper.make_node("Relu", ["d"], ["e"]),
        helper.make_node("Conv", ["e", "w3"], ["f"], "conv3", pads=[2, 2]),
        helper.make_node("Relu", ["f"], ["g"]),
        helper.make_node("GlobalAveragePool", ["g"], ["h"]),
        helper.make_node("Flatten", ["h"], ["i"]),
        helper.make_node("Gemm", ["i", "w4", "b4"], ["scores"], "fc", transB=1),
    ]
    weights = {
        "middle": np.array([1], np.int64),
        "b4": np.zeros(2, np.float32),
        "w1": falling(random, 64, 1, 400, to=0.97),
        "w2": falling(random, 64, 64, 5, to=0.92),
        "w3": falling(random, 64, 64, 5, to=0.92),
        "w4": random.standard_normal((2, 64)).astype(np.float32),
    }
    inputs = [helper.make_tensor_value_info("waveform", TensorProto.FLOAT, ["batch", "samples"])]
    output = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 2])
    save(nodes, inputs, output, weights)
    # Both classes are to come out as often.
    heard = waves.load("recordings", [_samples.Input("waveform", "float32", (-1, -1))], limit=60)
    scores = ReferenceEvaluator("model.onnx").run(None, heard)[0]
    weights["b4"][1] = np.median(scores[:, 0] - scores[:, 1])
    save(nodes, inputs, output, weights)


def notebook() -> None:
    """A classifier of images."""
    from . import models

    onnx.save(models.classifier(), "model.onnx")


if __name__ == "__main__":
    {"texts": sentences, "sound": sound, "notebook": notebook}[sys.argv[1]]()
