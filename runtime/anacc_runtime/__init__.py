"""Runs chip programs: loader, bit-accurate executors, host segments."""

from anacc_runtime.program import LoadedProgram

__all__ = ["LoadedProgram"]
