"""Progress bars in tqdm's look, for terminals and notebooks."""

from __future__ import annotations

import shutil
import sys
import time
from typing import Optional, TextIO

_BLOCKS = " ▏▎▍▌▋▊▉█"


def wanted(choice: Optional[bool]) -> bool:
    """Says whether progress is shown: as chosen, else on a terminal and in a notebook."""
    if choice is not None:
        return choice
    return sys.stderr is not None and (sys.stderr.isatty() or in_notebook())


def in_notebook() -> bool:
    """Says whether a notebook runs this."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"


class Bar:
    """One line that says how far the stage at hand is."""

    def __init__(self, to: Optional[TextIO] = None) -> None:
        self._to = to or sys.stderr
        self._stage = ""
        self._begun = time.monotonic()
        self._width = 0

    def update(self, stage: str, done: int, total: int) -> None:
        """Shows done of total steps of a stage; with total 0 only that it has begun."""
        name = stage.partition(":")[0]
        if name != self._stage:
            self._stage, self._begun = name, time.monotonic()
        columns = shutil.get_terminal_size((80, 24)).columns
        self._show(line(stage, done, total, time.monotonic() - self._begun, columns - 1))

    def close(self) -> None:
        """Takes the line off the screen."""
        if self._width:
            self._to.write("\r" + " " * self._width + "\r")
            self._to.flush()
            self._width = 0

    def _show(self, text: str) -> None:
        self._to.write("\r" + text.ljust(self._width))
        self._to.flush()
        self._width = len(text)


def line(stage: str, done: int, total: int, seconds: float, columns: int) -> str:
    """Writes a bar of at most so many columns: stage:  45%|████▌     | 9/20 [00:03<00:04,  2.50it/s]."""
    if total <= 0:
        return f"{stage} [{_clock(seconds)}]"[: max(columns, 0)]
    share = min(max(done / total, 0.0), 1.0)
    rate = done / seconds if seconds > 0 else 0.0
    left = _clock((total - done) / rate) if rate > 0 else "?"
    speed = f"{rate:5.2f}it/s" if rate >= 1 or rate == 0 else f"{1 / rate:5.2f}s/it"
    head, tail = f"{stage}: {100 * share:3.0f}%|", f"| {done}/{total} [{_clock(seconds)}<{left}, {speed}]"
    room = min(max(columns - len(head) - len(tail), 1), 60)
    eighths = int(share * room * 8)
    bar = "█" * (eighths // 8) + (_BLOCKS[eighths % 8] if eighths < room * 8 else "")
    return (head + bar.ljust(room) + tail)[: max(columns, 0)]


def _clock(seconds: float) -> str:
    minutes, s = divmod(int(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02d}:{s:02d}" if hours else f"{m:02d}:{s:02d}"
