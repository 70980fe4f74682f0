"""What becomes tokens."""

from __future__ import annotations

import contextlib
import io
import sys
import unittest
from typing import Any
from unittest import mock

import numpy as np

import onnx_compress
from onnx_compress import UsageError, texts
from onnx_compress._samples import Input

from . import models
from .test_compress import InFolder

try:
    import tokenizers
except ImportError:
    tokenizers = None  # type: ignore[assignment]

WORDS = "the a cat dog bird sat ran flew on over mat house tree and".split()
LINES = [f"the {a} {b} on the {c}" for a in ("cat", "dog", "bird") for b in ("sat", "ran", "flew") for c in ("mat", "house", "tree", "mat and the tree")]
BERT = [Input(n, "int64", (-1, -1)) for n in ("input_ids", "attention_mask", "token_type_ids")]


def word_piece() -> Any:
    vocabulary = {w: i for i, w in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}
    made = tokenizers.Tokenizer(tokenizers.models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    made.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return made


@unittest.skipIf(tokenizers is None, "the package tokenizers is not installed")
class TestTexts(InFolder):
    def setUp(self) -> None:
        super().setUp()
        word_piece().save("tokenizer.json")
        with open("texts.txt", "w", encoding="utf-8-sig") as f:
            f.write("\n\n".join(LINES) + "\n")

    def test_arrays(self) -> None:
        made = texts.encode(["the cat", "a dog sat on the mat"], "tokenizer.json", BERT)
        np.testing.assert_array_equal(made["input_ids"], [[2, 4, 6, 3, 0, 0, 0, 0], [2, 5, 7, 9, 12, 4, 14, 3]])
        np.testing.assert_array_equal(made["attention_mask"], [[1] * 4 + [0] * 4, [1] * 8])
        self.assertEqual(made["input_ids"].dtype, np.int64)
        self.assertFalse(made["token_type_ids"].any())
        pairs = texts.encode([("the cat", "a dog")], word_piece(), BERT)
        np.testing.assert_array_equal(pairs["token_type_ids"], [[0, 0, 0, 0, 1, 1, 1]])

    def test_lengths(self) -> None:
        long = ["cat " * 300]
        self.assertEqual(texts.encode(long, "tokenizer.json", BERT)["input_ids"].shape, (1, 128))
        self.assertEqual(texts.encode(long, ".", BERT, length=16)["input_ids"].shape, (1, 16))
        fixed = [Input("input_ids", "int32", (1, 32))]
        self.assertEqual(texts.encode(["cat"], "tokenizer.json", fixed)["input_ids"].shape, (1, 32))
        self.assertEqual(texts.encode(["cat"], "tokenizer.json", fixed)["input_ids"].dtype, np.int32)
        self.assertEqual(texts.encode("texts.txt", "tokenizer.json", BERT)["input_ids"].shape, (36, 11))
        self.assertEqual(len(texts.encode("texts.txt", "tokenizer.json", BERT, limit=5)["input_ids"]), 5)

    def test_other_names(self) -> None:
        old = [Input("input_word_ids:0", "int32", (-1, -1)), Input("bert/input_mask", "int32", (-1, -1)), Input("segment_ids", "int32", (-1, -1)), Input("position_ids", "int64", (-1, -1))]
        made = texts.encode(["the cat", "a"], "tokenizer.json", old)
        np.testing.assert_array_equal(made["bert/input_mask"], [[1, 1, 1, 1], [1, 1, 1, 0]])
        np.testing.assert_array_equal(made["position_ids"], [[0, 1, 2, 3], [0, 1, 2, 2]])

    def test_left_padding_of_the_tokenizer_stays(self) -> None:
        left = word_piece()
        left.enable_padding(direction="left", pad_id=1)
        made = texts.encode(["the cat", "a"], left, BERT)
        np.testing.assert_array_equal(made["input_ids"], [[2, 4, 6, 3], [1, 2, 5, 3]])
        self.assertIsNone(left.truncation)

    def test_faults(self) -> None:
        with open("latin.txt", "wb") as f:
            f.write("Grüße".encode("latin-1"))
        with open("bad.json", "w") as f:
            f.write("{}")
        pixels = [Input("pixels", "float32", (-1, 3, 4, 4)), *BERT]
        for words, call in (
            (r"pixels: float32\[\?,3,4,4\].*numpy.savez", lambda: texts.encode(LINES, "tokenizer.json", pixels)),
            ("no text in UTF-8", lambda: texts.encode("latin.txt", "tokenizer.json", BERT)),
            ("there are no texts", lambda: texts.encode([], "tokenizer.json", BERT)),
            ("text 0 is of the type int", lambda: texts.encode([3], "tokenizer.json", BERT)),
            ("there is no tokenizer none.json", lambda: texts.encode(LINES, "none.json", BERT)),
            ("bad.json is no tokenizer.json", lambda: texts.encode(LINES, "bad.json", BERT)),
            ("a length of 8.*the model fixes 32", lambda: texts.encode(LINES, "tokenizer.json", [Input("ids", "int64", (1, 32))], length=8)),
            ("texts need the tokenizer", lambda: onnx_compress.compress(models.encoder(), texts=LINES)),
        ):
            with self.subTest(words), self.assertRaisesRegex(UsageError, words):
                call()

    def test_the_same_by_either_door(self) -> None:
        """The command line's file and the function's samples give the same model."""
        models.saved(models.encoder(), self.folder / "model.onnx")
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            self.assertEqual(texts.main(["texts.txt", "--tokenizer", "tokenizer.json", "--model", "model.onnx", "-o", "samples.npz"]), 0)
        self.assertIn("samples.npz: 36 samples of input_ids int64[11], attention_mask int64[11], token_type_ids int64[11]\n", said.getvalue())
        options: Any = {"target": "params=0.95", "methods": "svd"}
        one = onnx_compress.compress("model.onnx", "samples.npz", **options)
        other = onnx_compress.compress("model.onnx", texts=LINES, tokenizer=word_piece(), **options)
        self.assertEqual(one.path.read_bytes(), other.path.read_bytes())


class TestWithoutTokenizers(unittest.TestCase):
    def test_words(self) -> None:
        with mock.patch.dict(sys.modules, {"tokenizers": None}), self.assertRaisesRegex(UsageError, "pip install tokenizers"):
            texts.encode(["a"], "tokenizer.json", BERT)
