"""Exports a BERT sentence encoder to ONNX and tokenizes sentences for it. See minilm.sh, which calls this.

    python minilm.py MODEL_FOLDER TEXTS_FOLDER OUT_FOLDER

model.onnx: input_ids and attention_mask, int64 [batch, seq] -> embedding, float [batch, 384], the mean
of the last hidden states over the tokens, normalized. sentences.npz, to calibrate on, tune.npz and
unseen.npz: both inputs, [sentences, 64], no sentence in two of them.
"""

import pathlib
import random
import sys

import numpy as np

TOKENS = 64
SENTENCES = {"sentences": 1536, "tune": 2000, "unseen": 512}


def export(folder, path):
    import torch
    from transformers import BertModel

    class Encoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.bert = BertModel.from_pretrained(folder, attn_implementation="eager", add_pooling_layer=False)

        def forward(self, input_ids, attention_mask):
            hidden = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
            return torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1)

    example = torch.ones(2, 16, dtype=torch.long)
    axes = {0: "batch", 1: "seq"}
    torch.onnx.export(
        Encoder().eval(), (example, example), path, opset_version=17, dynamo=False,
        input_names=["input_ids", "attention_mask"], output_names=["embedding"],
        dynamic_axes={"input_ids": axes, "attention_mask": axes, "embedding": {0: "batch"}},
    )


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
    export(folder, str(out / "model.onnx"))


if __name__ == "__main__":
    main()
