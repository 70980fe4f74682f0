"""Samples from Python's objects, as an .npz file that numpy.savez could have written."""

from __future__ import annotations

import json
import os
import pathlib
import tempfile
import zipfile
from typing import IO, Any, Iterable, Iterator, Mapping, NamedTuple, Optional, Union

import numpy as np
import numpy.typing as npt

from . import _program
from ._errors import UsageError

Array = npt.NDArray[Any]
Samples = Union[str, "os.PathLike[str]", Mapping[str, Any], Iterable[Any]]

#: How many samples are taken of a source that is run through, unless said otherwise: more than calibrate, judge and verify by default.
LIMIT = 4096


class Input(NamedTuple):
    """An input of a model: its shape has -1 for sizes that are open, and is None where nothing is known of it; its kind is what inspect says that it takes."""

    name: str
    type: str
    shape: Optional[tuple[int, ...]]
    kind: str = ""

    def __str__(self) -> str:
        sizes = "" if self.shape is None else "[" + ",".join("?" if n < 0 else str(n) for n in self.shape) + "]"
        return f"{self.name}: {self.type}{sizes}"


def inputs_of(path: str) -> list[Input]:
    """Returns the inputs of the model at path."""
    with tempfile.TemporaryDirectory(prefix="onnx-compress-") as folder:
        said = pathlib.Path(folder, "said")
        _program.run(["inspect", path, "--json", "--no-config"], said, False)
        found = json.loads(said.read_text(encoding="utf-8"))["inputs"]
    return [Input(i["name"], i["type"], None if i["shape"] is None else tuple(i["shape"]), i.get("kind", "")) for i in found]


def array_of(value: Any) -> Array:
    """Makes a NumPy array of anything that can become one, tensors of torch and TensorFlow among it."""
    if hasattr(value, "detach"):  # of torch, perhaps with a gradient, or on another device
        value = value.detach().cpu()
        if str(getattr(value, "dtype", "")) == "torch.bfloat16":
            value = value.float()
    if hasattr(value, "numpy") and not isinstance(value, np.ndarray):
        value = value.numpy()
    array = np.asarray(value)
    if array.dtype.hasobject or array.dtype.kind in "USV":
        raise UsageError(f"the samples have {array.dtype} where numbers are wanted: {str(value)[:80]!r}")
    return array


def write(path: pathlib.Path, samples: Union[Mapping[str, Any], Iterable[Any]], inputs: list[Input], limit: Optional[int]) -> int:
    """Writes samples for the inputs of a model to an .npz file, and returns how many they are.

    A dict of arrays is all samples, one array per input. Otherwise samples are run through: each item is a dict by the inputs' names, or
    an array, or a tuple or list of arrays in the order of the inputs, of which what stands behind the inputs, such as labels, does not
    count; a dict or a tuple of arrays may be what labels stand behind. An array with as many axes as its input is a batch, whose first axis numbers samples; with one axis less it is one sample.
    With a limit no more than that are taken of what is run through.
    """
    if not inputs:
        raise UsageError("the model has no inputs to feed")
    if isinstance(samples, Mapping):
        arrays = {i.name: array_of(v) for i, v in zip(inputs, _by_name(samples, inputs, "the samples"))}
        store(path, arrays)
        return max((len(a) for a in arrays.values() if a.ndim), default=0)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".samples-") as folder:
        columns = [_Column(i, pathlib.Path(folder, str(k))) for k, i in enumerate(inputs)]
        try:
            count = _gather(samples, columns, limit)
            with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
                for column in columns:
                    column.store(archive)
        finally:
            for column in columns:
                column.close()
    return count


def store(path: pathlib.Path, arrays: Mapping[str, Array]) -> None:
    """Writes arrays as numpy.savez does, to the byte, whatever their names are."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, array in arrays.items():
            with archive.open(name + ".npy", "w", force_zip64=True) as out:
                np.lib.format.write_array(out, array, allow_pickle=False)


def _gather(samples: Iterable[Any], columns: list[_Column], limit: Optional[int]) -> int:
    """Runs through samples, and returns how many were taken."""
    count = 0
    try:
        items = iter(samples)
    except TypeError as err:
        raise UsageError(f"the samples are of the type {type(samples).__name__}; want a path, a dict of arrays, or something to run through, such as a list or a data loader") from err
    for k, item in enumerate(items):
        batches = [c.batch(array_of(v), f"item {k}") for c, v in zip(columns, _parts(item, [c.input for c in columns], f"item {k}"))]
        sizes = {len(b) for b in batches}
        if len(sizes) > 1:
            raise UsageError(f"item {k} has {' and '.join(f'{len(b)} samples for {c.input.name}' for c, b in zip(columns, batches))}; every input needs as many")
        room = len(batches[0]) if limit is None else limit - count
        for column, batch in zip(columns, batches):
            column.add(batch[:room], f"item {k}")
        count += min(room, len(batches[0]))
        if limit is not None and count >= limit:
            break
    if count == 0:
        raise UsageError("there are no samples in what was given; a generator that was run through before has none left")
    return count


def _parts(item: Any, inputs: list[Input], what: str) -> Iterator[Any]:
    """Yields what an item has for every input."""
    if isinstance(item, Mapping):
        yield from _by_name(item, inputs, what)
    elif isinstance(item, (tuple, list)) and item and isinstance(item[0], (Mapping, tuple)):  # inputs and labels, as in TensorFlow's datasets
        yield from _parts(item[0], inputs, what)
    elif isinstance(item, (tuple, list)) and not (item and np.isscalar(item[0])):
        if len(item) < len(inputs):
            raise UsageError(f"{what} has {len(item)} arrays, the model has {len(inputs)} inputs ({', '.join(map(str, inputs))})")
        yield from item[: len(inputs)]
    elif len(inputs) > 1:
        raise UsageError(f"{what} is one array, but the model has {len(inputs)} inputs ({', '.join(map(str, inputs))}); give dicts by these names, or tuples in this order")
    else:
        yield item


def _by_name(item: Mapping[str, Any], inputs: list[Input], what: str) -> Iterator[Any]:
    for i in inputs:
        if i.name in item:
            yield item[i.name]
        elif len(inputs) == 1 and len(item) == 1:
            yield next(iter(item.values()))
        else:
            raise UsageError(f"{what}: there is nothing for the input {i}; the names are {', '.join(map(str, item))}")


class _Column:
    """The array of one input, which grows in a file."""

    def __init__(self, of: Input, path: pathlib.Path) -> None:
        self.input = of
        self._file: IO[bytes] = open(path, "w+b")
        self._dtype: Optional[np.dtype[Any]] = None
        self._shape: tuple[int, ...] = ()
        self._count = 0

    def batch(self, array: Array, what: str) -> Array:
        """Returns an array whose first axis numbers samples."""
        shape = self.input.shape
        if shape is None or array.ndim == len(shape) > 0:
            if array.ndim == 0:
                raise UsageError(f"{what}: a single number for the input {self.input}; want an array whose first axis numbers the samples")
            return array
        if array.ndim == len(shape) - 1:
            return array[None]
        raise UsageError(f"{what}: an array of the shape {_text(array.shape)} for the input {self.input}; want {len(shape)} axes for a batch, or {max(len(shape) - 1, 0)} for one sample")

    def add(self, batch: Array, what: str) -> None:
        if self._dtype is None:
            self._dtype, self._shape = batch.dtype, batch.shape[1:]
        if batch.shape[1:] != self._shape:
            raise UsageError(
                f"{what}: samples of the shape {_text(batch.shape[1:])} for the input {self.input}, after others of {_text(self._shape)}; bring all to one shape, by padding or cutting"
            )
        self._file.write(np.ascontiguousarray(batch, self._dtype).tobytes())
        self._count += len(batch)

    def store(self, archive: zipfile.ZipFile) -> None:
        """Writes the array as numpy.savez does, to the byte."""
        assert self._dtype is not None
        header = {"descr": np.lib.format.dtype_to_descr(self._dtype), "fortran_order": False, "shape": (self._count, *self._shape)}
        self._file.seek(0)
        with archive.open(self.input.name + ".npy", "w", force_zip64=True) as out:
            np.lib.format.write_array_header_1_0(out, header)  # type: ignore[arg-type, unused-ignore]
            while piece := self._file.read(1 << 20):
                out.write(piece)

    def close(self) -> None:
        self._file.close()


def _text(shape: tuple[int, ...]) -> str:
    return "[" + ",".join(map(str, shape)) + "]"
