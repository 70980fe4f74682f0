"""Makes trained ONNX models smaller and faster, by the program onnx-compress that this wheel brings.

    import onnx_compress

    small = onnx_compress.compress("model.onnx", batches)   # arrays, dicts of them, or a data loader
    print(small.verdict)
    small.save("small.onnx")

Whatever is computed is computed by the program, so that the bytes are those of its command.
"""

from ._api import compress, inspect, verify
from ._errors import (
    BoundError,
    CompressError,
    CrashError,
    DamageError,
    FailedError,
    StaleError,
    UnmetError,
    UsageError,
)
from ._result import Compressed

__all__ = [
    "BoundError",
    "CompressError",
    "Compressed",
    "CrashError",
    "DamageError",
    "FailedError",
    "StaleError",
    "UnmetError",
    "UsageError",
    "compress",
    "inspect",
    "verify",
]
