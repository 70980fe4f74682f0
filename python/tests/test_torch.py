"""Data loaders of torch itself, where it is installed: make doors."""

from __future__ import annotations

import pathlib
import unittest

import numpy as np

import onnx_compress
from onnx_compress import _samples

from . import models
from .test_compress import FAST, InFolder
from .test_samples import IMAGE, TOKENS

try:
    import torch
except ImportError as missing:
    torch, WHY = None, f"torch is not installed: {missing}"  # type: ignore[assignment,unused-ignore]
else:
    WHY = ""


@unittest.skipIf(WHY, WHY)
class TestTorch(InFolder):
    def test_data_loader(self) -> None:
        """A loader gives the bytes that its samples give as a file, with labels and without, in this process and by workers."""
        models.saved(models.classifier(), pathlib.Path("model.onnx"))
        images = torch.from_numpy(models.images())
        labels = torch.arange(len(images)) % 10
        np.savez("samples.npz", input=images.numpy())
        of_file = onnx_compress.compress("model.onnx", "samples.npz", **FAST)
        for name, tensors, workers in (("labels", (images, labels), 0), ("no labels", (images,), 0), ("workers", (images, labels), 2)):
            with self.subTest(name):
                loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*tensors), batch_size=48, num_workers=workers)
                small = onnx_compress.compress("model.onnx", loader, **FAST)
                self.assertEqual(small.path.read_bytes(), of_file.path.read_bytes())

    def test_shuffled(self) -> None:
        """A loader that shuffles gives the samples in its order, the last batch being smaller."""
        images = torch.arange(5 * 48, dtype=torch.float32).reshape(5, 3, 4, 4)
        loader = torch.utils.data.DataLoader(images, batch_size=2, shuffle=True, generator=torch.Generator().manual_seed(1))
        path = pathlib.Path("samples.npz")
        self.assertEqual(_samples.write(path, loader, IMAGE, None), 5)
        with np.load(path) as found:
            np.testing.assert_array_equal(np.sort(found["input"].ravel()), images.numpy().ravel())
            self.assertTrue((found["input"] != images.numpy()).any())

    def test_tensors(self) -> None:
        """Tensors with a gradient, of bfloat16, and dicts as transformers' collators give them."""
        image = torch.ones(2, 3, 4, 4, requires_grad=True)
        path = pathlib.Path("samples.npz")
        for given in (image, image.to(torch.bfloat16)):
            _samples.write(path, [given], IMAGE, None)
            with np.load(path) as found:
                np.testing.assert_array_equal(found["input"], np.ones((2, 3, 4, 4), np.float32))
        rows = [{"ids": torch.full((6,), i), "mask": torch.ones(6, dtype=torch.int64), "label": i} for i in range(4)]
        _samples.write(path, torch.utils.data.DataLoader(rows, batch_size=3), TOKENS, None)  # type: ignore[arg-type,unused-ignore]
        with np.load(path) as found:
            np.testing.assert_array_equal(found["ids"], np.arange(4)[:, None].repeat(6, 1))
            self.assertEqual(sorted(found), ["ids", "mask"])
