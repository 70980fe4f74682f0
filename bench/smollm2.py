"""Exports SmolLM2-135M to ONNX, and cuts texts into rows of its tokens.

    smollm2.py PACKAGE DOCS FORTUNES OUT

PACKAGE has the weights as a GGUF file; DOCS has the pages of Debian's handbook, FORTUNES its sayings. Rows of calib.npz and test.npz are of
different documents. calib128.npz has the first 128 rows of calib.npz, and test48.npz every fourth of test.npz.
"""

import html
import pathlib
import random
import re
import sys

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

LENGTH = 128  # tokens in a row


class Logits(torch.nn.Module):
    """The model from tokens and their mask to logits, without a cache."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask):
        count = input_ids.shape[1]
        causal = torch.ones(count, count, dtype=torch.bool).tril()
        visible = causal & attention_mask[:, None, None, :].bool()
        bias = torch.where(visible, 0.0, torch.finfo(torch.float32).min)
        return self.model(input_ids=input_ids, attention_mask=bias, use_cache=False).logits


def export(model, path):
    """Writes the model with open sizes of the batch and of the text."""
    tokens = torch.randint(10, 1000, (2, 16))
    names = ["input_ids", "attention_mask", "logits"]
    torch.onnx.export(
        Logits(model), (tokens, torch.ones_like(tokens)), str(path), input_names=names[:2], output_names=names[2:],
        dynamic_axes={name: {0: "batch", 1: "seq"} for name in names}, opset_version=17, dynamo=False,
    )


def pages(folder):
    """Yields the paragraphs of each page that has enough of them."""
    for path in sorted(folder.glob("*.html")):
        source = path.read_text(encoding="utf-8", errors="ignore")
        found = re.findall(r'<div class="para">(.*?)</div>', source, re.DOTALL)
        plain = (" ".join(html.unescape(re.sub("<[^>]+>", "", one)).split()) for one in found)
        text = "\n\n".join(one for one in plain if len(one) > 60)
        if len(text) > 2000:
            yield text


def sayings(folder):
    """Returns the longer sayings, each once."""
    found = set()
    for path in folder.iterdir():
        if path.is_file() and not path.suffix:
            found.update(one.strip() for one in path.read_text(encoding="utf-8", errors="ignore").split("\n%\n"))
    return sorted(one for one in found if 200 <= len(one) < 3000)


def shuffled(items, seed):
    items = list(items)
    random.Random(seed).shuffle(items)
    return items


def rows(texts, encode):
    """Cuts texts, one behind the other, into full rows."""
    out, rest = [], []
    for text in texts:
        rest += encode(text) + encode("\n\n")
        while len(rest) >= LENGTH:
            out.append(rest[:LENGTH])
            rest = rest[LENGTH:]
    return out


def main():
    package, docs, fortunes, out = map(pathlib.Path, sys.argv[1:])
    weights = next(package.glob("*.gguf")).name
    model = AutoModelForCausalLM.from_pretrained(package, gguf_file=weights, attn_implementation="eager", torch_dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(package, gguf_file=weights)
    export(model, out / "model.onnx")

    def encode(text):
        return tokenizer(text, add_special_tokens=False).input_ids

    handbook, short = shuffled(pages(docs), 1), shuffled(sayings(fortunes), 2)
    first, second = len(handbook) * 2 // 3, len(short) * 2 // 3
    learn = shuffled(rows(handbook[:first], encode) + rows(short[:second], encode), 3)[:640]
    test = shuffled(rows(handbook[first:], encode), 4)[:96] + shuffled(rows(short[second:], encode), 5)[:96]
    for name, kept in (("calib", learn), ("calib128", learn[:128]), ("test", test), ("test48", test[::4])):
        tokens = np.array(kept, np.int64)
        np.savez(out / f"{name}.npz", input_ids=tokens, attention_mask=np.ones_like(tokens))
        print(f"{name}.npz: {len(tokens)} rows")


if __name__ == "__main__":
    main()
