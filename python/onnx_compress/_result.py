"""What comes of compressing a model."""

from __future__ import annotations

import functools
import html
import json
import os
import pathlib
import shutil
import tempfile
from typing import TYPE_CHECKING, Any, Optional

from . import _program
from ._errors import UsageError
from ._stage import PathLike, Stage

if TYPE_CHECKING:
    import onnx


class Compressed:
    """A compressed model, and all that is known of it.

    Its file lies in a temporary folder, which goes with this object, unless an output was named: save it.
    """

    def __init__(self, stage: Optional[Stage], files: list[pathlib.Path], report: dict[str, Any], plan: dict[str, Any], text: str) -> None:
        self._stage = stage  # whose folder the files lie in, if it is still there
        self._files = files
        #: The result as the command gives it with --json (docs/json.md: onnx-compress/result/1).
        self.report = report
        #: The chosen methods and ranks, as the command saves them with --plan and takes them with --from-plan.
        self.plan = plan
        #: What the command prints.
        self.text = text

    @property
    def path(self) -> pathlib.Path:
        """The model's file."""
        return self._files[0]

    @functools.cached_property
    def model(self) -> onnx.ModelProto:
        """The model as an onnx.ModelProto, read when it is first asked for; needs the package onnx."""
        try:
            import onnx
        except ImportError as err:
            raise ImportError(f"the package onnx is not installed, which reads {self.path}: pip install onnx") from err
        return onnx.load(os.fspath(self.path))

    @property
    def verdict(self) -> str:
        """What was gained, what it cost, and what to try next, in sentences."""
        verdict = self.report.get("verdict") or {}
        lines = [verdict.get("gained"), verdict.get("cost")]
        for step in verdict.get("next") or []:
            lines.append(f"Next: {step['why']}:\n  {step['command']}" if step.get("command") else f"Next: {step['why']}")
        return "\n".join(line for line in lines if line)

    @functools.cached_property
    def page(self) -> str:
        """The page for people about the result, as HTML."""
        with tempfile.TemporaryDirectory(prefix="onnx-compress-") as folder:
            result, page = pathlib.Path(folder, "result.json"), pathlib.Path(folder, "page.html")
            result.write_text(json.dumps(self.report), encoding="utf-8")
            _program.run(["report", str(result), "-o", str(page), "--no-config"], pathlib.Path(folder, "said"), False)
            return page.read_text(encoding="utf-8")

    def save(self, path: PathLike, force: bool = False) -> pathlib.Path:
        """Writes the model to a file, whole or not at all, with its external data beside it if it has any, and returns its path.

        A file that exists is replaced only with force.
        """
        self._files = put(self._files, pathlib.Path(path), force)
        return self.path

    def _repr_html_(self) -> str:
        return f'<iframe srcdoc="{html.escape(self.page)}" style="width:100%;height:40em;border:0" title="onnx-compress"></iframe>'

    def __repr__(self) -> str:
        return f"<onnx_compress.Compressed {self.path}: {self.report['verdict']['gained'] if self.report.get('verdict') else ''}>"

    def __str__(self) -> str:
        return self.text


def free(path: pathlib.Path, force: bool, model: Any = None) -> pathlib.Path:
    """Returns where a model may be written, and refuses other places."""
    path = pathlib.Path(os.path.abspath(path))
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name a file in it")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: there is no folder {path.parent}")
    if isinstance(model, (str, os.PathLike)) and path.exists() and os.path.exists(model) and os.path.samefile(path, model):
        raise UsageError(f"{path} is the model itself; choose another file")
    if os.path.lexists(path) and not force:
        raise FileExistsError(f"{path}: file already exists; choose another name, or allow it to be replaced (force=True)")
    return path


def put(files: list[pathlib.Path], path: pathlib.Path, force: bool) -> list[pathlib.Path]:
    """Copies a model's files, of which the first is the model itself, so that the model is the last to come to its place."""
    path = free(path, force)
    targets = [path, *(path.parent / f.name for f in files[1:])]
    for source, target in reversed(list(zip(files, targets))):
        if not (target.exists() and os.path.samefile(source, target)):
            _replace(source, target)
    return targets


def _replace(source: pathlib.Path, target: pathlib.Path) -> None:
    handle, waiting = tempfile.mkstemp(dir=target.parent, prefix="." + target.name + ".")
    os.close(handle)
    try:
        shutil.copyfile(source, waiting)
        shutil.copymode(source, waiting)
        os.replace(waiting, target)
    except BaseException:
        os.unlink(waiting)
        raise
