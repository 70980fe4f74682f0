"""Tokens of texts, as models of language take them.

    python -m onnx_compress.texts texts.txt --tokenizer tokenizer.json --model model.onnx -o calib.npz

makes samples of a file with a text in every line. It needs the package tokenizers of Hugging Face, whose files tokenizer.json
it reads: WordPiece, BPE, Unigram and the rest.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import sys
from typing import TYPE_CHECKING, Any, Iterable, Optional, Sequence, Union

import numpy as np

from . import _entry
from ._errors import UsageError
from ._samples import Array, Input

if TYPE_CHECKING:
    import tokenizers

Texts = Union[str, "os.PathLike[str]", Iterable[Any]]
Tokenizer = Union[str, "os.PathLike[str]", "tokenizers.Tokenizer"]

#: How many tokens a text has at most where neither the model nor the caller says.
LENGTH = 128

# What models call their inputs, by what these are of an encoding.
_NAMES = {
    "ids": ("input_ids", "input_word_ids", "ids", "tokens"),
    "attention_mask": ("attention_mask", "input_mask", "mask"),
    "type_ids": ("token_type_ids", "input_type_ids", "segment_ids", "type_ids"),
    "positions": ("position_ids",),
}


def encode(texts: Texts, tokenizer: Tokenizer, inputs: Sequence[Input], length: Optional[int] = None, limit: Optional[int] = None) -> dict[str, Array]:
    """Makes the arrays of a model's inputs from texts.

    texts are a file with one a line, empty ones left out, or anything to run through that gives texts, or pairs of them. tokenizer is
    a tokenizer.json, a folder with one, or a tokenizers.Tokenizer. All are padded to the longest, or to the length that the model
    fixes; longer ones than that, or than length (128), are cut off. No more than limit texts are taken.
    """
    roles = {i.name: _role(i, inputs) for i in inputs}
    size = _size(inputs, length)
    lines = _lines(texts, limit)
    encoder = _tokenizer(tokenizer)
    encoder.enable_truncation(size or length or LENGTH)
    padding = encoder.padding or {}
    encoder.no_padding()
    encoded = encoder.encode_batch(lines)
    longest = size or max(len(e.ids) for e in encoded)
    if longest == 0:
        raise UsageError("the tokenizer makes no tokens of these texts")
    fill = padding.get("pad_id", _pad_id(encoder))
    for e in encoded:
        e.pad(longest, pad_id=fill, pad_type_id=padding.get("pad_type_id", 0), direction=padding.get("direction", "right"))
    types = {"int32": np.int32, "int64": np.int64}
    return {i.name: np.array([_column(e, roles[i.name]) for e in encoded]).astype(types.get(i.type, np.int64)) for i in inputs}


def _column(encoding: tokenizers.Encoding, role: str) -> Any:
    if role == "positions":
        mask = np.array(encoding.attention_mask)
        return np.maximum(np.cumsum(mask) - 1, 0)
    return getattr(encoding, role)


def _role(i: Input, inputs: Sequence[Input]) -> str:
    """Says what an input takes of an encoding."""
    name = i.name.partition(":")[0].replace("/", ".").rpartition(".")[2].lower()
    known = [(len(n), role) for role, names in _NAMES.items() for n in names if name == n or name.endswith("_" + n)]
    role = max(known)[1] if known else "ids" if len(inputs) == 1 and i.type.startswith("int") else ""
    if not role or (i.shape is not None and len(i.shape) != 2):
        raise UsageError(
            f"the input {i} of the model takes neither tokens nor a mask, types or positions of them, two axes each; "
            'prepare its samples as you run the model, and save them: numpy.savez("calib.npz", **{"' + i.name + '": array, ...})'
        )
    return role


def _size(inputs: Sequence[Input], length: Optional[int]) -> Optional[int]:
    """Returns the number of tokens that the model fixes."""
    fixed = {i.shape[1] for i in inputs if i.shape is not None and i.shape[1] > 0}
    if length is not None and (length < 1 or fixed and length not in fixed):
        raise UsageError(f"a length of {length}: want a positive number" + (f", and the model fixes {max(fixed)}" if fixed else ""))
    return max(fixed) if fixed else None


def _lines(texts: Texts, limit: Optional[int]) -> list[Any]:
    """Lists the texts."""
    out: list[Any] = []
    if isinstance(texts, (str, os.PathLike)):
        try:
            with open(texts, encoding="utf-8-sig") as f:
                for line in f:
                    if line.strip() and (limit is None or len(out) < limit):
                        out.append(line.strip())
        except UnicodeDecodeError as err:
            raise UsageError(f"{os.fspath(texts)} is no text in UTF-8: {err}") from err
    else:
        for k, text in enumerate(texts):
            if limit is not None and len(out) >= limit:
                break
            if not (isinstance(text, str) or isinstance(text, (tuple, list)) and len(text) == 2 and all(isinstance(part, str) for part in text)):
                raise UsageError(f"text {k} is of the type {type(text).__name__}; want a string, or a pair of them")
            out.append(text if isinstance(text, str) else tuple(text))
    if not out:
        raise UsageError(f"there are no texts in {os.fspath(texts)}" if isinstance(texts, (str, os.PathLike)) else "there are no texts in what was given")
    return out


def _tokenizer(given: Tokenizer) -> tokenizers.Tokenizer:
    """Returns a tokenizer of our own, whose padding and truncation may be set."""
    try:
        import tokenizers
    except ImportError as err:
        raise UsageError("the package tokenizers is not installed, which reads tokenizer.json: pip install tokenizers") from err
    if not isinstance(given, (str, os.PathLike)):
        return tokenizers.Tokenizer.from_str(given.to_str())
    path = pathlib.Path(given)
    if path.is_dir():
        path = path / "tokenizer.json"
    if not path.is_file():
        raise UsageError(f"there is no tokenizer {path}; want the tokenizer.json that came with the model (tokenizer.save_pretrained of transformers writes one)")
    try:
        return tokenizers.Tokenizer.from_file(str(path))
    except Exception as err:  # the package raises no class of its own
        raise UsageError(f"{path} is no tokenizer.json that the package tokenizers reads: {err}") from err


def _pad_id(encoder: tokenizers.Tokenizer) -> int:
    """Returns the token that fills up where the tokenizer says none; a mask makes models pass over it."""
    for token in ("[PAD]", "<pad>", "<|endoftext|>", "</s>"):
        found = encoder.token_to_id(token)
        if found is not None:
            return int(found)
    return 0


def main(words: Optional[Sequence[str]] = None) -> int:
    """Is the command line."""
    parser = argparse.ArgumentParser(prog="python -m onnx_compress.texts", description="Makes samples for a model from a file with a text in every line.")
    parser.add_argument("texts", help="the file, in UTF-8")
    parser.add_argument("--tokenizer", required=True, help="tokenizer.json, or the folder that it is in")
    parser.add_argument("--length", type=int, help=f"how many tokens of a text count ({LENGTH}, or what the model fixes)")
    return _entry.make(parser, words, lambda o, inputs: encode(o.texts, o.tokenizer, inputs, o.length, o.limit))


if __name__ == "__main__":
    sys.exit(main())
