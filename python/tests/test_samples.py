"""What becomes samples."""

from __future__ import annotations

import io
import pathlib
import tempfile
import unittest
from typing import Any, Optional

import numpy as np

from onnx_compress import UsageError, _progress, _samples
from onnx_compress._samples import Input

from .models import Dataset, Loader, Tensor

IMAGE = [Input("input", "float32", (-1, 3, 4, 4))]
TOKENS = [Input("ids", "int64", (-1, -1)), Input("mask", "int64", (-1, -1))]


class TestSamples(unittest.TestCase):
    def setUp(self) -> None:
        held = tempfile.TemporaryDirectory()
        self.addCleanup(held.cleanup)
        self.path = pathlib.Path(held.name, "samples.npz")

    def written(self, samples: Any, inputs: list[Input], limit: Optional[int] = None) -> dict[str, np.ndarray]:
        _samples.write(self.path, samples, inputs, limit)
        with np.load(self.path) as found:
            return dict(found)

    def test_same_bytes_as_savez(self) -> None:
        ids, mask = np.arange(12).reshape(4, 3), np.ones((4, 3), np.int64)
        other = self.path.with_name("other.npz")
        np.savez(other, ids=ids, mask=mask)
        for samples in (zip(ids, mask), [(ids[:3], mask[:3]), (ids[3:], mask[3:])], [{"mask": m, "ids": i} for i, m in zip(ids, mask)], {"mask": mask, "ids": ids}):
            self.written(samples, TOKENS)
            self.assertEqual(self.path.read_bytes(), other.read_bytes())

    def test_names(self) -> None:
        """Names that numpy.savez has for its own arguments, or that are paths."""
        inputs = [Input(n, "float32", (-1, 2)) for n in ("file", "allow_pickle", "model/x:0")]
        x = np.ones((3, 2), np.float32)
        for samples in ({i.name: x for i in inputs}, [{i.name: row for i in inputs} for row in x]):
            self.assertEqual(list(self.written(samples, inputs)), [i.name for i in inputs])

    def test_forms(self) -> None:
        x = np.arange(5 * 48, dtype=np.float32).reshape(5, 3, 4, 4)
        for name, samples in (
            ("array", x),
            ("batches", [x[:2], x[2:]]),
            ("labelled", [(x[:3], np.array([1, 2, 3])), (x[3:], np.array([4, 5]))]),
            ("other names", [{"pixels": a} for a in x]),
            ("column by column", [np.asfortranarray(a) for a in x]),
        ):
            with self.subTest(name):
                np.testing.assert_array_equal(self.written(samples, IMAGE)["input"], x)

    def test_loaders(self) -> None:
        """What loaders of torch and datasets of TensorFlow give, with labels and without, is the same as arrays."""
        x = np.arange(5 * 48, dtype=np.float32).reshape(5, 3, 4, 4)
        ids, mask = np.arange(12).reshape(4, 3), np.ones((4, 3), np.int64)
        for name, samples, inputs, wanted in (
            ("torch", Loader(x, 2), IMAGE, {"input": x}),
            ("torch, a dict a batch", [{"input": Tensor(x[:3])}, {"input": Tensor(x[3:])}], IMAGE, {"input": x}),
            ("images and labels", Dataset(lambda p, y: (p[0], y), 2, x), IMAGE, {"input": x}),
            ("images alone", Dataset(lambda p, y: p[0], 2, x), IMAGE, {"input": x}),
            ("inputs in the order of the model's", Dataset(lambda p, y: (*p, y), 3, ids, mask), TOKENS, {"ids": ids, "mask": mask}),
            ("a tuple of inputs, and labels", Dataset(lambda p, y: ((p[0], p[1]), y), 3, ids, mask), TOKENS, {"ids": ids, "mask": mask}),
            ("a dict of inputs, and labels", Dataset(lambda p, y: ({"mask": p[1], "ids": p[0]}, y), 3, ids, mask), TOKENS, {"ids": ids, "mask": mask}),
        ):
            with self.subTest(name):
                found = self.written(samples, inputs)
                self.assertEqual(list(found), list(wanted))
                for column, array in wanted.items():
                    np.testing.assert_array_equal(found[column], array)

    def test_limit(self) -> None:
        def endless() -> Any:
            while True:
                yield np.zeros((3, 3, 4, 4), np.float32)

        self.assertEqual(self.written(endless(), IMAGE, 7)["input"].shape, (7, 3, 4, 4))

    def test_faults(self) -> None:
        one = np.zeros((3, 4, 4), np.float32)
        for words, samples, inputs in (
            ("there are no samples", iter(()), IMAGE),
            (r"item 0: an array of the shape \[4,4\] for the input input: float32\[\?,3,4,4\]; want 4 axes for a batch, or 3 for one", [one[0]], IMAGE),
            (r"item 1: samples of the shape \[3,4,5\].*after others of \[3,4,4\]", [one, np.zeros((3, 4, 5))], IMAGE),
            ("item 0 has 1 arrays, the model has 2 inputs", [(one,)], TOKENS),
            ("item 0 is one array, but the model has 2 inputs", [np.zeros(3, int)], TOKENS),
            ("there is nothing for the input mask: int64.*the names are ids, type", [{"ids": np.zeros(3, int), "type": one}], TOKENS),
            ("2 samples for ids and 3 samples for mask", [(np.zeros((2, 3), int), np.zeros((3, 3), int))], TOKENS),
            ("where numbers are wanted", ["text"], IMAGE),
            ("of the type int; want a path", 3, IMAGE),
        ):
            with self.subTest(words), self.assertRaisesRegex(UsageError, words):
                _samples.write(self.path, samples, inputs, None)


class TestProgress(unittest.TestCase):
    def test_look(self) -> None:
        self.assertEqual(_progress.line("calibrate", 9, 20, 3.6, 70), "calibrate:  45%|██████████▎            | 9/20 [00:03<00:04,  2.50it/s]")
        self.assertEqual(_progress.line("x", 1, 4, 3700, 60), "x:  25%|████            | 1/4 [1:01:40<3:05:00, 3700.00s/it]")
        self.assertEqual(_progress.line("search", 0, 0, 61, 60), "search [01:01]")
        self.assertEqual(len(_progress.line("calibrate", 5, 20, 1, 30)), 30)
        self.assertIn("100%|", _progress.line("x", 4, 4, 0, 60))

    def test_line_is_taken_back(self) -> None:
        to = io.StringIO()
        bar = _progress.Bar(to)
        bar.update("calibrate: of all", 1, 2)
        bar.update("search", 0, 0)
        bar.close()
        self.assertTrue(to.getvalue().endswith(" \r"))
        self.assertFalse(_progress.wanted(False))
        self.assertTrue(_progress.wanted(True))


if __name__ == "__main__":
    unittest.main()
