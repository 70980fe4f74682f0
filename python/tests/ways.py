"""Makes what the readers of docs/ways begin with: python -m tests.ways WAY, into the current folder."""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from onnx_compress import _samples, texts, waves


def falling(random: np.random.Generator, *shape: int, to: float = 0.9) -> np.ndarray:
    """Makes a weight whose singular values fall, as those of trained networks do."""
    rows, cols = shape[0], int(np.prod(shape[1:]))
    u, _, v = np.linalg.svd(random.standard_normal((rows, cols)), full_matrices=False)
    return (u * to ** np.arange(len(v)) @ v * 2).reshape(shape).astype(np.float32)


def save(nodes: list[Any], inputs: list[Any], outputs: Any, weights: dict[str, np.ndarray]) -> None:
    graph = helper.make_graph(nodes, "main_graph", inputs, outputs if isinstance(outputs, list) else [outputs], [numpy_helper.from_array(w, n) for n, w in weights.items()])
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


def transformer(names: str, width: int, heads: int, random: np.random.Generator, causal: bool = False) -> tuple[list[Any], dict[str, np.ndarray], str]:
    """Makes a block of attention and one of two layers upon `names`_in [batch,positions,width], as exporters of PyTorch write them."""
    weights = {f"{names}.{n}": falling(random, *shape, to=0.95) / 2 for n, shape in (("q", (width, width)), ("k", (width, width)), ("v", (width, width)), ("o", (width, width)), ("up", (width, 4 * width)), ("down", (4 * width, width)))}
    weights |= {f"{names}.split": np.array([0, 0, heads, width // heads], np.int64), f"{names}.join": np.array([0, 0, width], np.int64)}
    weights |= {f"{names}.scale": np.float32((width // heads) ** -0.5), f"{names}.g": np.ones(width, np.float32), f"{names}.b": np.zeros(width, np.float32)}
    nodes = []

    def add(op: str, out: str, *inputs: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(op, list(inputs), [f"{names}/{out}"], f"{names}/{out}", **attributes))
        return f"{names}/{out}"

    parts = {}
    for n in "qkv":
        x = add("Reshape", f"{n}_split", add("MatMul", n, f"{names}_in", f"{names}.{n}"), f"{names}.split")
        parts[n] = add("Transpose", f"{n}_heads", x, perm=[0, 2, 3, 1] if n == "k" else [0, 2, 1, 3])
    a = add("Mul", "scaled", add("MatMul", "qk", parts["q"], parts["k"]), f"{names}.scale")
    a = add("Softmax", "attention", add("Add", "masked", a, "causal" if causal else "mask"), axis=-1)
    a = add("Transpose", "rows", add("MatMul", "attended", a, parts["v"]), perm=[0, 2, 1, 3])
    a = add("MatMul", "o", add("Reshape", "joined", a, f"{names}.join"), f"{names}.o")
    a = add("LayerNormalization", "norm1", add("Add", "sum1", a, f"{names}_in"), f"{names}.g", f"{names}.b")
    b = add("MatMul", "down", add("Relu", "relu", add("MatMul", "up", a, f"{names}.up")), f"{names}.down")
    return nodes, weights, add("LayerNormalization", "norm2", add("Add", "sum2", a, b), f"{names}.g", f"{names}.b")


def stack(inputs: str, layers: int, random: np.random.Generator, width: int, causal: bool = False) -> tuple[list[Any], dict[str, np.ndarray], str]:
    """Puts such blocks upon each other."""
    nodes, weights = [], {}
    for i in range(layers):
        nodes.append(helper.make_node("Identity", [inputs], [f"layer.{i}_in"]))
        more, own, inputs = transformer(f"layer.{i}", width, 4, random, causal)
        nodes += more
        weights |= own
    return nodes, weights, inputs


def tickets() -> None:
    """A classifier of tickets in the shape of BERT, its tokenizer.json, and tickets.txt."""
    import tokenizers

    random = np.random.default_rng(3)
    topics = {
        "billing": "invoice charged refund payment card price twice".split(),
        "login": "password account locked reset email sign code".split(),
        "shipping": "parcel late delivery address courier lost tracking".split(),
        "fault": "broken screen noise battery stopped crash error".split(),
    }
    others = "my the is was please help why since yesterday again not and".split()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *others, *(w for list in topics.values() for w in list)]
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordPiece({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.save("tokenizer.json")
    lines, about = [], []
    for i in range(600):
        own = [str(w) for w in random.choice(list(topics.values())[i % 4], 3, replace=False)]
        lines.append(" ".join(random.permutation(own + [str(w) for w in random.choice(others, 4 + i % 5)])))
        about.append(i % 4)
    with open("tickets.txt", "w", encoding="utf-8") as f:
        f.write("\n".join(lines) + "\n")
    width = 64
    nodes = [
        helper.make_node("Gather", ["words", "input_ids"], ["a"], "embeddings/words"),
        helper.make_node("Gather", ["types", "token_type_ids"], ["b"], "embeddings/types"),
        helper.make_node("Add", ["a", "b"], ["c"]),
        helper.make_node("Cast", ["attention_mask"], ["d"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["d", "axes"], ["e"]),
        helper.make_node("Sub", ["one", "e"], ["f"]),
        helper.make_node("Mul", ["f", "far"], ["mask"]),
    ]
    weights = {
        "words": random.standard_normal((len(words), width)).astype(np.float32), "types": np.zeros((2, width), np.float32), "axes": np.array([1, 2], np.int64),
        "one": np.float32(1), "far": np.float32(-1e4), "first": np.array(0, np.int64), "head": np.zeros((4, width), np.float32), "bias": np.zeros(4, np.float32),
    }  # fmt: skip
    more, own, last = stack("c", 2, random, width)
    nodes += [*more, helper.make_node("Gather", [last, "first"], ["pooled"], "pooler", axis=1), helper.make_node("Gemm", ["pooled", "head", "bias"], ["logits"], "classifier", transB=1)]
    weights |= own
    inputs = [helper.make_tensor_value_info(n, TensorProto.INT64, ["batch", "sequence"]) for n in ("input_ids", "attention_mask", "token_type_ids")]
    save(nodes, inputs, helper.make_tensor_value_info("pooled", TensorProto.FLOAT, ["batch", width]), weights)
    # The last layer is fitted to the topics.
    seen = texts.encode(lines, "tokenizer.json", [_samples.Input(i.name, "int64", (-1, -1)) for i in inputs])
    x = ReferenceEvaluator("model.onnx").run(None, seen)[0].astype(np.float64)
    wanted = np.eye(4)[about] * 10
    solved = np.linalg.solve(x.T @ x + np.eye(width), x.T @ (wanted - 2.5))
    weights["head"], weights["bias"] = solved.T.astype(np.float32), np.full(4, 2.5, np.float32)
    save(nodes, inputs, helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 4]), weights)


def language() -> None:
    """A small language model, its tokenizer.json, and texts.txt."""
    sentences()
    random = np.random.default_rng(4)
    width, count = 64, 64
    nodes = [
        helper.make_node("Gather", ["words", "input_ids"], ["a"], "embeddings"),
        helper.make_node("Gather", ["places", "position_ids"], ["b"], "positions"),
        helper.make_node("Add", ["a", "b"], ["c"]),
        helper.make_node("Shape", ["input_ids"], ["s"], start=1, end=2),
        helper.make_node("Concat", ["s", "s"], ["ss"], axis=0),
        helper.make_node("ConstantOfShape", ["ss"], ["far"], value=numpy_helper.from_array(np.array([-1e4], np.float32))),
        helper.make_node("Trilu", ["far", "next"], ["causal"], upper=1),
    ]
    more, weights, last = stack("c", 2, random, width, causal=True)
    nodes += [*more, helper.make_node("MatMul", [last, "head"], ["logits"], "lm_head")]
    weights |= {
        "words": random.standard_normal((count, width)).astype(np.float32), "places": random.standard_normal((128, width)).astype(np.float32) / 4,
        "next": np.array(1, np.int64), "head": falling(random, width, count, to=0.95) * 4,
    }  # fmt: skip
    inputs = [helper.make_tensor_value_info(n, TensorProto.INT64, ["batch", "sequence"]) for n in ("input_ids", "position_ids")]
    save(nodes, inputs, helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", "sequence", count]), weights)


def png(path: str, pixels: np.ndarray) -> None:
    """Writes [height,width,3] bytes as a picture."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    with open(path, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b""))


def convolutions(inputs: str, random: np.random.Generator, *layers: tuple[int, list[int]]) -> tuple[list[Any], dict[str, np.ndarray], str]:
    """Puts convolutions of 3×3 upon each other, each of so many channels and with its strides."""
    nodes, weights, before = [], {}, 3
    for i, (channels, strides) in enumerate(layers):
        weights[f"w{i}"] = falling(random, channels, before, 3, 3, to=0.94) * (0.5 if i else 1)
        nodes += [helper.make_node("Conv", [inputs, f"w{i}"], [f"conv{i}"], f"conv{i}", strides=strides, pads=[1] * 4), helper.make_node("Relu", [f"conv{i}"], [f"relu{i}"])]
        inputs, before = f"relu{i}", channels
    return nodes, weights, inputs


def street() -> None:
    """A detector with a non-maximum suppression in it, and street/, photos of 80×60."""
    random = np.random.default_rng(5)
    os.mkdir("street")
    for i in range(120):
        pixels = np.full((60, 80, 3), random.integers(30, 90, 3), np.uint8) + random.integers(0, 20, (60, 80, 3)).astype(np.uint8)
        for _ in range(1 + i % 3):
            y, x, h, w = random.integers(0, 36), random.integers(0, 50), random.integers(12, 24), random.integers(12, 30)
            pixels[y : y + h, x : x + w] = random.integers(120, 255, 3)
        png(f"street/{i:03}.png", pixels)
    nodes, weights, last = convolutions("images", random, (32, [2, 2]), (64, [2, 2]), (64, [2, 2]), (64, [1, 1]))
    side = np.stack(np.meshgrid(np.arange(8), np.arange(8), indexing="ij"), -1).reshape(1, 64, 2) * 8.0 + 4
    nodes += [
        helper.make_node("Conv", [last, "wb"], ["a"], "head/boxes"),
        helper.make_node("Reshape", ["a", "four"], ["b"]),
        helper.make_node("Transpose", ["b"], ["c"], perm=[0, 2, 1]),
        helper.make_node("Tanh", ["c"], ["d"]),
        helper.make_node("Mul", ["d", "reach"], ["e"]),
        helper.make_node("Add", ["e", "grid"], ["f"]),
        helper.make_node("Conv", [last, "ws", "bs"], ["g"], "head/scores"),
        helper.make_node("Reshape", ["g", "three"], ["h"]),
        helper.make_node("Sigmoid", ["h"], ["i"]),
        helper.make_node("NonMaxSuppression", ["f", "i", "most", "overlap", "least"], ["found"], "nms"),
        helper.make_node("Gather", ["found", "box"], ["at"], axis=1),
        helper.make_node("Squeeze", ["f", "zero"], ["all"]),
        helper.make_node("Gather", ["all", "at"], ["boxes"], "pick_boxes"),
        helper.make_node("Gather", ["found", "class"], ["labels"], axis=1),
        helper.make_node("GatherND", ["i", "found_scores"], ["scores"], "pick_scores"),
    ]
    nodes.insert(-1, helper.make_node("Gather", ["found", "order"], ["found_scores"], axis=1))
    weights |= {
        "wb": falling(random, 4, 64, 1, 1), "ws": falling(random, 3, 64, 1, 1), "bs": np.zeros(3, np.float32),
        "four": np.array([0, 4, -1], np.int64), "three": np.array([0, 3, -1], np.int64), "reach": np.array([-8, -8, 8, 8], np.float32),
        "grid": np.concatenate([side - 8, side + 8], -1).astype(np.float32), "most": np.array([10], np.int64), "overlap": np.array([0.5], np.float32),
        "least": np.array([0.5], np.float32), "box": np.array(2, np.int64), "class": np.array(1, np.int64), "zero": np.array([0], np.int64), "order": np.array([0, 1, 2], np.int64),
    }  # fmt: skip
    inputs = [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 64, 64])]
    outputs = [helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["found", 4]), helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["found"]), helper.make_tensor_value_info("labels", TensorProto.INT64, ["found"])]
    # About four boxes of 64 are to be sure enough in the middle of the photos.
    save(nodes, inputs, helper.make_tensor_value_info("g", TensorProto.FLOAT, [1, 3, 8, 8]), weights)
    model = ReferenceEvaluator("model.onnx")
    seen = np.stack([model.run(None, {"images": random.random((1, 3, 8, 8)).repeat(8, 2).repeat(8, 3).astype(np.float32)})[0] for _ in range(8)])
    weights["bs"] = -np.quantile(seen, 0.97, axis=(0, 1, 3, 4)).astype(np.float32)
    save(nodes, inputs, outputs, weights)


def reading() -> None:
    """A reader of lines of text in the shape of PaddleOCR's, and lines/, pictures of lines, 48 high and of several widths."""
    random = np.random.default_rng(6)
    os.mkdir("lines")
    for i in range(90):
        width = (160, 240, 320)[i % 3]
        pixels = np.full((48, width, 3), random.integers(200, 250), np.uint8)
        for x in range(8, width - 24, 22):
            for _ in range(2):
                at, reach = random.integers(0, 12, 2), random.integers(3, 24, 2)
                pixels[8 + at[0] : 8 + at[0] + reach[0], x + at[1] // 2 : x + at[1] // 2 + reach[1] // 2 + 2] = random.integers(0, 90)
        png(f"lines/{i:03}.png", pixels)
    nodes, weights, last = convolutions("x", random, (32, [2, 2]), (64, [2, 1]), (64, [2, 2]), (64, [2, 1]))
    nodes += [
        helper.make_node("ReduceMean", [last], ["a"], axes=[2], keepdims=0),
        helper.make_node("Transpose", ["a"], ["b"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["b", "wo"], ["c"], "fc"),
        helper.make_node("Softmax", ["c"], ["softmax_0.tmp_0"], axis=-1),
    ]
    weights["wo"] = falling(random, 64, 97, to=0.95) * 8
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 3, 48, None])]
    save(nodes, inputs, helper.make_tensor_value_info("softmax_0.tmp_0", TensorProto.FLOAT, [None, None, 97]), weights)


def notebook() -> None:
    """A classifier of images."""
    from . import models

    onnx.save(models.classifier(), "model.onnx")


if __name__ == "__main__":
    {"texts": sentences, "sound": sound, "notebook": notebook, "tickets": tickets, "language": language, "detector": street, "ocr": reading}[sys.argv[1]]()
