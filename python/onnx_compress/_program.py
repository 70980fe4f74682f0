"""Finds the program that the wheel brings, and runs it."""

from __future__ import annotations

import importlib.metadata
import os
import pathlib
import shutil
import signal
import subprocess
import sysconfig
from typing import IO, Any, Mapping, Optional

from ._errors import CompressError, UsageError, error_of
from ._progress import Bar, wanted

#: How long an interrupted program may take to clear up, in seconds.
GRACE = 5.0


def program() -> str:
    """Returns the path of the program: the one that was installed with this package, else the one on the PATH."""
    name = "onnx-compress.exe" if os.name == "nt" else "onnx-compress"
    places = [pathlib.Path(sysconfig.get_path("scripts"), name)]
    try:
        installed = importlib.metadata.files("onnx-compress") or []
        places = [pathlib.Path(str(f.locate())) for f in installed if f.name == name] + places
    except importlib.metadata.PackageNotFoundError:
        pass  # the package runs from its sources
    for place in places:
        if place.is_file():
            return str(place.resolve())
    found = shutil.which(name)
    if found is None:
        raise CompressError(
            f"the program {name} is neither at {places[0]} nor on the PATH: "
            "install the wheel again, pip install --force-reinstall onnx_compress-….whl"
        )
    return found


def words_of(options: Mapping[str, Any]) -> list[str]:
    """Writes options as the words of a command line; what they mean is for the program to say.

    A name is that of a flag, with _ for - and perhaps a _ behind a Python keyword: for_="cpu". True is the flag alone, a list
    repeats it, and a dict is NAME=VALUE of each entry, with an x between the numbers of a shape. None leaves it out.
    """
    out = []
    for name, value in options.items():
        flag = "--" + name.rstrip("_").replace("_", "-")
        for word in _values(value):
            out.append(flag if word is True else f"{flag}={_plain(word)}")
    return out


def _values(value: Any) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, Mapping):
        return [f"{k}={'x'.join(map(str, v)) if isinstance(v, (list, tuple)) else _plain(v)}" for k, v in value.items()]
    if isinstance(value, (list, tuple)):
        return list(value)
    return [value]


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (str, os.PathLike)):
        return os.fspath(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, int):
        return str(value)
    raise UsageError(f"an option is {value!r}, of the type {type(value).__name__}; want text, a path, a number, True, or a list or dict of these")


def run(args: list[str], said: pathlib.Path, progress: Optional[bool]) -> str:
    """Runs the program, with its standard output in the file said, raises what its exit code means, and returns its remarks.

    Whatever ends this function early, such as KeyboardInterrupt, ends the program too.
    """
    bar = Bar() if wanted(progress) else None
    env = {**os.environ, "ONNX_COMPRESS_PROGRESS": "lines"}
    with open(said, "wb") as out:
        child = subprocess.Popen([program(), *args], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE, env=env)
        assert child.stderr is not None
        try:
            words = _listen(child.stderr, bar)
            code = child.wait()
        except BaseException:
            _end(child)
            raise
        finally:
            child.stderr.close()
            if bar is not None:
                bar.close()
    if code != 0:
        raise error_of(code, words.replace("onnx-compress: ", "", 1).strip())
    return words.rstrip()


def _listen(stream: IO[bytes], bar: Optional[Bar]) -> str:
    """Reads what the program says until it ends: its progress goes to the bar, all else is returned."""
    words = []
    for raw in stream:
        text = raw.decode("utf-8", "replace")
        if not text.startswith("\x1e"):
            words.append(text)
            continue
        stage, done, total = text[1:].rstrip("\n").rsplit("\t", 2)
        if bar is not None:
            bar.update(stage, int(done), int(total))
    return "".join(words)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Has the program break off, and where it does not, ends it; its worker ends with it."""
    if os.name == "nt":
        child.terminate()
    else:
        child.send_signal(signal.SIGINT)
    try:
        child.wait(GRACE)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        if child.stderr is not None:
            child.stderr.read()  # which ends when the worker has, soon after
