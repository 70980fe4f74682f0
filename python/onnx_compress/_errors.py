"""The program's exit codes as exceptions, with its words."""

from __future__ import annotations

from typing import Any, Optional


class CompressError(Exception):
    """The program ended with an exit code other than 0. str() of it is what the program said."""

    #: The exit code of the program.
    code: int = 1
    #: What the program gave as JSON all the same, such as verify() of a bound that does not hold.
    report: Optional[dict[str, Any]] = None


class FailedError(CompressError):
    """Something went wrong; nothing was written (exit code 1)."""

    code = 1


class UsageError(CompressError, ValueError):
    """An option, the model's name or the samples make no sense; nothing was done (exit code 2)."""

    code = 2


class UnmetError(CompressError):
    """A target cannot be met (exit code 3)."""

    code = 3


class StaleError(CompressError):
    """A compressed model does not fit what it was made from (exit code 4)."""

    code = 4


class BoundError(CompressError):
    """A bound that was required does not hold; .report has the comparison (exit code 5)."""

    code = 5


class DamageError(CompressError):
    """Without samples, random inputs show that the result is destroyed (exit code 6)."""

    code = 6


class CrashError(CompressError):
    """The process that ran the model died: a library crashed, or memory ran out (exit code 7)."""

    code = 7


class StoppedError(CompressError):
    """A signal broke the program off (exit code 8)."""

    code = 8


_BY_CODE: dict[int, type[CompressError]] = {
    c.code: c for c in (FailedError, UsageError, UnmetError, StaleError, BoundError, DamageError, CrashError, StoppedError)
}


def error_of(code: int, words: str) -> CompressError:
    """Returns the exception of an exit code; a code that the program has none for, such as a signal's, is CrashError."""
    error = _BY_CODE.get(code, CrashError)(words or f"onnx-compress ended with the exit code {code}")
    error.code = code
    return error
