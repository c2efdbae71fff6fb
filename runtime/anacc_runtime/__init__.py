"""Runs chip programs: loader, bit-accurate executors, host segments."""

from anacc_runtime.noise import ConversionNoise
from anacc_runtime.program import LoadedProgram

__all__ = ["ConversionNoise", "LoadedProgram"]
