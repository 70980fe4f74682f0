"""What the command lines that make samples have in common."""

from __future__ import annotations

import argparse
import os
import pathlib
import shlex
import sys
from typing import Any, Callable, Optional, Sequence

from ._errors import CompressError, UsageError
from ._samples import LIMIT, Array, Input, inputs_of, store


def make(parser: argparse.ArgumentParser, words: Optional[Sequence[str]], arrays: Callable[[Any, list[Input]], dict[str, Array]]) -> int:
    """Writes the arrays that the words of a command line ask for, and returns its exit code."""
    parser.add_argument("--model", required=True, help="the ONNX model, whose inputs say what is made")
    parser.add_argument("-o", "--output", required=True, help="the .npz file to write")
    parser.add_argument("--limit", type=int, default=LIMIT, help=f"how many samples are made at most ({LIMIT})")
    parser.add_argument("--force", action="store_true", help="replace the output if it exists")
    o = parser.parse_args(words)
    try:
        path = pathlib.Path(o.output)
        if path.suffix != ".npz":
            raise UsageError(f"--output {o.output}: want a name that ends in .npz")
        if path.exists() and not o.force:
            raise UsageError(f"{o.output}: file already exists (--force)")
        if o.limit < 1:
            raise UsageError(f"--limit {o.limit}: want a whole number from 1")
        made = arrays(o, inputs_of(o.model))
        waiting = path.with_name(f".{path.name}.{os.getpid()}.npz")
        try:
            store(waiting, made)
            os.replace(waiting, path)
        finally:
            waiting.unlink(missing_ok=True)
    except (CompressError, OSError) as err:
        print(f"{parser.prog}: {err}", file=sys.stderr)
        return err.code if isinstance(err, CompressError) else 1
    count = len(next(iter(made.values())))
    print(f"{path}: {count} samples of " + ", ".join(f"{n} {a.dtype}[{','.join(map(str, a.shape[1:]))}]" for n, a in made.items()))
    print(f"Next: onnx-compress {shlex.quote(o.model)} --calib {shlex.quote(str(path))}")
    return 0
