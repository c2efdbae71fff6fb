"""anacc: compile ONNX models to programs for an analog in-memory-compute chip, and run them.

::

    program = anacc.compile("model.onnx", calibration={"image": images})
    program.save("prog.bin")
    outputs = anacc.load("prog.bin").run({"image": images})

The public names are resolved when they are first used, so that importing this package, or the
runtime, loads neither the compiler nor ONNX Runtime.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from anacc.errors import (
    AnaccError,
    CompileError,
    FeedError,
    IrError,
    MappingError,
    ModelError,
    ProgramError,
    TargetError,
    UsageError,
)

if TYPE_CHECKING:
    from anacc.api import Program, compile, load
    from anacc.baking import bake
    from anacc.sweeps.run import sweep
    from anacc_runtime.noise import ConversionNoise

__version__ = "0.1.0"

__all__ = [
    "AnaccError",
    "CompileError",
    "ConversionNoise",
    "FeedError",
    "IrError",
    "MappingError",
    "ModelError",
    "Program",
    "ProgramError",
    "TargetError",
    "UsageError",
    "__version__",
    "bake",
    "compile",
    "load",
    "sweep",
]

# The module of each name that is resolved when it is first used.
_LAZY = {
    "ConversionNoise": "anacc_runtime.noise",
    "Program": "anacc.api",
    "bake": "anacc.baking",
    "compile": "anacc.api",
    "load": "anacc.api",
    "sweep": "anacc.sweeps.run",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
