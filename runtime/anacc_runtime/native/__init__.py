"""The native executor: streams lowered to operations on memory, which the engine in C executes."""

from anacc_runtime.native.executor import NativeExecutor

__all__ = ["NativeExecutor"]
