"""Makes trained ONNX models smaller and faster, by the program onnx-compress that this wheel brings.

    import onnx_compress

    small = onnx_compress.compress("model.onnx", batches)   # arrays, dicts of them, or a data loader
    print(small.verdict)
    small.save("small.onnx")

Whatever is computed is computed by the program, so that the bytes are those of its command.
"""

import importlib.metadata as _metadata

from ._api import compress, inspect, verify
from ._errors import (
    BoundError,
    CompressError,
    CrashError,
    DamageError,
    FailedError,
    StaleError,
    StoppedError,
    UnmetError,
    UsageError,
)
from ._result import Compressed

try:
    __version__ = _metadata.version("onnx-compress")
except _metadata.PackageNotFoundError:  # it runs from its sources
    __version__ = "0.0.0.dev0"

__all__ = [
    "BoundError",
    "CompressError",
    "Compressed",
    "CrashError",
    "DamageError",
    "FailedError",
    "StaleError",
    "StoppedError",
    "UnmetError",
    "UsageError",
    "compress",
    "inspect",
    "verify",
]
