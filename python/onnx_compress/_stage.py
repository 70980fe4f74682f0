"""A folder for one run of the program.

A compressed model records where its original and its samples lie, relative to itself. So that a run gives the bytes that the
command would give in the user's own folders, the run's folder holds links to the user's files at the places that these have
seen from where the result will go, and the program is told of the links. In what it says they get their own names back.
"""

from __future__ import annotations

import html
import mmap
import os
import pathlib
import shutil
import tempfile
import weakref
from typing import TYPE_CHECKING, Any, Union

from ._errors import UsageError

if TYPE_CHECKING:
    import onnx

PathLike = Union[str, "os.PathLike[str]"]


class Stage:
    """Folders for a result that will go to the folder home: .results for it, .told for what is said about it."""

    def __init__(self, home: PathLike) -> None:
        # The temporary folder may be a link, as on macOS.
        self._root = pathlib.Path(tempfile.mkdtemp(prefix="onnx-compress-")).resolve()
        self._clear = weakref.finalize(self, shutil.rmtree, self._root, ignore_errors=True)
        self.home = pathlib.Path(home).resolve()
        self.results = self._root.joinpath("files", *self.home.parts[1:])
        self.told = self._root / "told"
        self.results.mkdir(parents=True)
        self.told.mkdir()
        self._names = {
            str(self.results) + os.sep: "",
            str(self.told) + os.sep: "",
            str(self._root / "files"): self.home.drive,
        }
        self._given: set[str] = set()

    def close(self) -> None:
        """Removes the folder, as the end of this object does."""
        self._clear()

    def file(self, name: str) -> pathlib.Path:
        """Returns the path of a file of the run's own beside its results."""
        self._given.add(name)
        return self.results / name

    def place(self, path: PathLike) -> str:
        """Returns the path by which the program is told of a user's file or folder."""
        asked = os.fspath(path)
        real = pathlib.Path(os.path.abspath(asked))
        if not real.exists() or real.drive != self.home.drive:
            return asked  # the program has words for files that are not there
        real = real.parent.resolve() / real.name
        at = self._root.joinpath("files", *real.parts[1:])
        self._link(real, at)
        for name in _external(real):
            self._link(real.parent / name, at.parent / name)
        self._names[str(at)] = asked
        return str(at)

    def _link(self, real: pathlib.Path, at: pathlib.Path) -> None:
        """Makes a link, or a copy where the system allows none; of a folder that is here already, one of all that it lacks."""
        self._given.add(at.name)
        if at.is_dir() and not at.is_symlink():
            for entry in real.iterdir():
                self._link(entry, at / entry.name)
        elif not os.path.lexists(at):
            at.parent.mkdir(parents=True, exist_ok=True)
            try:
                at.symlink_to(real, target_is_directory=real.is_dir())
            except OSError:
                (shutil.copytree if real.is_dir() else shutil.copy2)(real, at)

    def model(self, model: Any) -> str:
        """Returns the path of a model, given as a path or an onnx.ModelProto, for the program."""
        if isinstance(model, (str, os.PathLike)):
            return self.place(model)
        if not hasattr(model, "SerializeToString"):
            raise UsageError(f"the model is of the type {type(model).__name__}; want a path or an onnx.ModelProto")
        try:
            data = _bytes_of(model)
        except ValueError as err:
            raise UsageError(f"the model cannot be held in one message ({err}); save it with its weights as external data, and give its path") from err
        count = sum(name.startswith("model") for name in self._given)
        path = self.file(f"model{count + 1 if count else ''}.onnx")
        path.write_bytes(data)
        return str(path)

    def produced(self) -> list[pathlib.Path]:
        """Lists the files that the program wrote beside each other, the result and its external data."""
        return [p for p in sorted(self.results.iterdir()) if p.is_file() and not p.is_symlink() and p.name not in self._given]

    def words(self, value: Any) -> Any:
        """Gives the user's names back to files in a text, or in all texts of a JSON value."""
        if isinstance(value, str):
            for ours in sorted(self._names, key=len, reverse=True):
                value = value.replace(ours, self._names[ours]).replace(html.escape(ours), html.escape(self._names[ours]))
            return value
        if isinstance(value, list):
            return [self.words(v) for v in value]
        if isinstance(value, dict):
            return {k: self.words(v) for k, v in value.items()}
        return value


def _bytes_of(model: onnx.ModelProto) -> bytes:
    return bytes(model.SerializeToString())


def _external(model: pathlib.Path) -> list[str]:
    """Lists what lies beside a model and is named in it: its external data must be linked too."""
    if model.suffix.lower() != ".onnx" or not model.is_file() or model.stat().st_size == 0:
        return []
    with open(model, "rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data.find(b"location") < 0:
            return []
        names = [n for n in os.listdir(model.parent) if n != model.name]
        return sorted(n for n in names if data.find(os.fsencode(n)) >= 0)
