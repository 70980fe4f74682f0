"""A model that optimum exported, and optimum's runtime over what it becomes, where it is installed: make doors."""

from __future__ import annotations

import pathlib
import shutil
import unittest

import numpy as np

import onnx_compress

from .test_compress import InFolder

try:
    import torch
    from optimum.exporters.onnx import onnx_export_from_model
    from optimum.onnxruntime import ORTModelForFeatureExtraction
    from transformers import BertConfig, BertModel
except ImportError as missing:
    WHY = f"optimum-onnx is not installed: {missing}"
else:
    WHY = ""


@unittest.skipIf(WHY, WHY)
class TestOptimum(InFolder):
    def test_encoder(self) -> None:
        """What the documents do: export, compress on what a tokenizer gives, and load the folder again."""
        torch.manual_seed(0)
        sizes = {"vocab_size": 300, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128, "max_position_embeddings": 64}
        onnx_export_from_model(BertModel(BertConfig(**sizes)).eval(), "encoder", task="feature-extraction")
        rng = np.random.default_rng(1)
        ids = rng.integers(1, 300, (80, 16))
        texts = [{"input_ids": row[None], "attention_mask": np.ones_like(row)[None], "token_type_ids": np.zeros_like(row)[None]} for row in ids]

        small = onnx_compress.compress("encoder/model.onnx", texts, target="params=0.8", methods="svd")
        shutil.copytree("encoder", "small")
        small.save("small/model.onnx", force=True)

        inputs = {name: torch.from_numpy(np.concatenate([t[name] for t in texts[:4]])) for name in texts[0]}
        was, now = (ORTModelForFeatureExtraction.from_pretrained(folder)(**inputs).last_hidden_state.numpy() for folder in ("encoder", "small"))
        self.assertLess(pathlib.Path("small/model.onnx").stat().st_size, 0.85 * pathlib.Path("encoder/model.onnx").stat().st_size)
        self.assertEqual(now.shape, (4, 16, 64))
        cosine = (was * now).sum() / np.sqrt((was**2).sum() * (now**2).sum())
        self.assertGreater(cosine, 0.9)
        self.assertFalse(np.array_equal(was, now))
