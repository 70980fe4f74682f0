"""Writes a BERT sentence encoder as ONNX and tokenizes sentences for it. See minilm.sh, which calls this.

    python minilm.py MODEL_FOLDER TEXTS_FOLDER OUT_FOLDER

model.onnx: input_ids and attention_mask, int64 [batch, seq] -> embedding, float [batch, 384], the mean
of the last hidden states over the tokens, normalized. sentences.npz, to calibrate on, tune.npz and
unseen.npz: both inputs, [sentences, 64], no sentence in two of them.
"""

import json
import math
import pathlib
import random
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

TOKENS = 64
SENTENCES = {"sentences": 1536, "tune": 2000, "unseen": 512}


class Encoder:
    """Writes BERT as exporters of PyTorch do: MatMul and Add for a linear layer, Reshape and Transpose for heads, GELU by Erf."""

    def __init__(self, folder):
        self.config = json.loads((folder / "config.json").read_text())
        self.weights = tensors(folder / "model.safetensors")
        self.nodes, self.constants, self.count = [], {}, 0

    def constant(self, name, value):
        self.constants[name] = numpy_helper.from_array(np.asarray(value), name)
        return name

    def op(self, kind, *inputs, name=None, **attributes):
        self.count += 1
        name = name or "%s_%d" % (kind, self.count)
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name, **attributes))
        return name

    def weight(self, name):
        return self.weights[name]

    def linear(self, x, name):
        w = self.constant(name + ".weight", np.ascontiguousarray(self.weight(name + ".weight").T))
        b = self.constant(name + ".bias", self.weight(name + ".bias"))
        return self.op("Add", self.op("MatMul", x, w, name=name), b)

    def norm(self, x, name):
        scale = self.constant(name + ".weight", self.weight(name + ".weight"))
        bias = self.constant(name + ".bias", self.weight(name + ".bias"))
        return self.op("LayerNormalization", x, scale, bias, axis=-1, epsilon=self.config["layer_norm_eps"])

    def embed(self, ids):
        words = self.op("Gather", self.constant("words", self.weight("embeddings.word_embeddings.weight")), ids)
        kind = self.constant("kind", self.weight("embeddings.token_type_embeddings.weight")[0])
        table = self.constant("positions", self.weight("embeddings.position_embeddings.weight"))
        length = self.op("Gather", self.op("Shape", ids), self.constant("second", np.int64(1)))
        length = self.op("Unsqueeze", length, self.constant("first", np.array([0])))
        positions = self.op("Slice", table, "first", length, self.constant("rows", np.array([0])))
        return self.norm(self.op("Add", self.op("Add", words, kind), positions), "embeddings.LayerNorm")

    def attend(self, x, mask, name):
        heads = self.config["num_attention_heads"]
        size = self.config["hidden_size"] // heads
        split = self.constant("heads", np.array([0, 0, heads, size]))

        def cut(which, *perm):
            return self.op("Transpose", self.op("Reshape", self.linear(x, "%s.self.%s" % (name, which)), split), perm=perm)

        scores = self.op("MatMul", cut("query", 0, 2, 1, 3), cut("key", 0, 2, 3, 1))
        scores = self.op("Div", scores, self.constant("root", np.float32(math.sqrt(size))))
        shares = self.op("Softmax", self.op("Add", scores, mask), axis=-1)
        mixed = self.op("Transpose", self.op("MatMul", shares, cut("value", 0, 2, 1, 3)), perm=(0, 2, 1, 3))
        mixed = self.op("Reshape", mixed, self.constant("joined", np.array([0, 0, heads * size])))
        return self.norm(self.op("Add", self.linear(mixed, name + ".output.dense"), x), name + ".output.LayerNorm")

    def think(self, x, name):
        y = self.linear(x, name + ".intermediate.dense")
        erf = self.op("Erf", self.op("Div", y, self.constant("root2", np.float32(math.sqrt(2)))))
        y = self.op("Mul", self.op("Mul", y, self.op("Add", erf, self.constant("one", np.float32(1)))), self.constant("half", np.float32(0.5)))
        return self.norm(self.op("Add", self.linear(y, name + ".output.dense"), x), name + ".output.LayerNorm")

    def pool(self, x):
        mask = self.op("Unsqueeze", self.op("Cast", "attention_mask", to=TensorProto.FLOAT), self.constant("last", np.array([-1])))
        tokens = self.constant("tokens", np.array([1]))
        mean = self.op("Div", self.op("ReduceSum", self.op("Mul", x, mask), tokens, keepdims=0), self.op("ReduceSum", mask, tokens, keepdims=0))
        norm = self.op("Clip", self.op("ReduceL2", mean, axes=[1], keepdims=1), self.constant("least", np.float32(1e-12)))
        self.op("Div", mean, norm, name="embedding")

    def model(self):
        mask = self.op("Cast", self.op("Unsqueeze", "attention_mask", self.constant("inner", np.array([1, 2]))), to=TensorProto.FLOAT)
        mask = self.op("Mul", self.op("Sub", self.constant("one", np.float32(1)), mask), self.constant("never", np.float32(np.finfo(np.float32).min)))
        x = self.embed("input_ids")
        for i in range(self.config["num_hidden_layers"]):
            name = "encoder.layer.%d" % i
            x = self.think(self.attend(x, mask, name + ".attention"), name)
        self.pool(x)
        ids = [helper.make_tensor_value_info(n, TensorProto.INT64, ["batch", "seq"]) for n in ("input_ids", "attention_mask")]
        out = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", self.config["hidden_size"]])
        graph = helper.make_graph(self.nodes, "encoder", ids, [out], list(self.constants.values()))
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def tensors(path):
    """The float32 tensors of a file of safetensors."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    found = {}
    for name, t in json.loads(data[8 : 8 + size]).items():
        if name != "__metadata__" and t["dtype"] == "F32":
            begin, end = t["data_offsets"]
            found[name] = np.frombuffer(data[8 + size + begin : 8 + size + end], np.float32).reshape(t["shape"])
    return found


def sentences(folder):
    """The texts of 30 to 220 characters, each once, in an order of their own."""
    found = set()
    for path in sorted(pathlib.Path(folder).iterdir()):
        if path.suffix or not path.is_file():
            continue
        for text in path.read_text(encoding="utf-8", errors="ignore").split("\n%\n"):
            text = " ".join(text.split())
            if 30 <= len(text) <= 220:
                found.add(text)
    ordered = sorted(found)
    random.Random(0).shuffle(ordered)
    return ordered


def tokenize(folder, texts, out):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(pathlib.Path(folder) / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    rows = [ids for ids in (tokenizer.encode(t).ids for t in texts) if len(ids) <= TOKENS]
    if len(rows) < sum(SENTENCES.values()):
        sys.exit(f"only {len(rows)} sentences of at most {TOKENS} tokens; wanted {sum(SENTENCES.values())}")
    begin = 0
    for name, count in SENTENCES.items():
        save(rows[begin : begin + count], out / f"{name}.npz")
        begin += count


def save(rows, path):
    ids = np.zeros((len(rows), TOKENS), np.int64)
    mask = np.zeros_like(ids)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
        mask[i, : len(row)] = 1
    np.savez(path, input_ids=ids, attention_mask=mask)


def main():
    folder, texts, out = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
    tokenize(folder, sentences(texts), out)
    model = Encoder(pathlib.Path(folder)).model()
    onnx.checker.check_model(model)
    onnx.save(model, str(out / "model.onnx"))


if __name__ == "__main__":
    main()
