"""Compresses a model in parts on a cluster of Ray: the units of `onnx-compress shard` as tasks.

    onnx-compress scale ray model.onnx --calib images/ --target macs=0.5 --parts 16 > compress.py
    python compress.py

prints a script that calls compress() with the flags as they stand there, and with what its units need.
"""

from __future__ import annotations

import os
import subprocess
from typing import Any, Mapping, Sequence

import ray  # type: ignore[import-not-found,import-untyped,unused-ignore]

from ._program import program


class Failed(Exception):
    """A unit ended with a code that may be another one the next time: what it wanted of memory or disk was not there."""


def run(folder: str, words: Sequence[str], *after: Any) -> None:
    """Runs a unit of work in a folder, as a task of Ray, when the tasks are done that stand behind it."""
    code = subprocess.run([program(), "shard", *words], cwd=folder).returncode
    if 2 <= code <= 6:
        raise RuntimeError(f"onnx-compress shard {words[0]} ended with {code}, and would again")
    if code:
        raise Failed(f"onnx-compress shard {words[0]} ended with {code}")


def compress(
    model: str, output: str, *, parts: int, unit: Sequence[str], whole: Sequence[str], log: Sequence[str] = (), cpus: int = 4, memory: Mapping[str, int]
) -> None:
    """Compresses a model in so many parts; the bytes are those of one command with the flags in whole.

    unit are the flags of the parts, and log those of all commands; memory says how many bytes a unit of each kind needs:
    calibrate, merge, factor, write. Paths are seen from the current folder, which all nodes have. What a unit wrote lies in
    MODEL.parts, and is not made again.

    Raises what ray.get raises of a task that failed four times, or once for what would not come right.
    """
    folder = os.path.splitext(model)[0] + ".parts"
    os.makedirs(folder, exist_ok=True)
    stats = f"{folder}/stats.ocs"
    sums = [f"{folder}/stats-{k}.ocs" for k in range(1, parts + 1)]
    offers = [f"{folder}/offers-{k}.oco" for k in range(1, parts + 1)]

    def task(words: Sequence[str], after: Sequence[Any] = ()) -> Any:
        how = ray.remote(num_cpus=cpus, memory=memory[words[0]], max_retries=3, retry_exceptions=[Failed])
        return how(run).remote(os.getcwd(), words, *after)

    done = [task(["calibrate", model, *unit, "--part", f"{k}/{parts}", "-o", file]) for k, file in enumerate(sums, 1)]
    done = [task(["merge", *sums, "-o", stats, *log], done)]
    done = [task(["factor", model, *unit, "--stats", stats, "--part", f"{k}/{parts}", "-o", file], done) for k, file in enumerate(offers, 1)]
    ray.get(task(["write", model, *offers, *whole, "--stats", stats, "-o", output, "--force"], done))
