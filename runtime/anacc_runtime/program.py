"""A program that is ready to run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from numbers import Integral
from typing import Literal

from anacc.errors import ProgramError, UsageError
from anacc.program.image import Image
from anacc_runtime.noise import ConversionNoise
from anacc_runtime.reference import Executor
from anacc_runtime.registers import Array

ExecutorName = Literal["native", "reference"]


class LoadedProgram:
    """A program with its executors; one instance serves many runs, also of several Python threads
    at once, and goes on to work in a process that is forked.

    Args:
        image: the program; `anacc.program.check.check` has accepted it.
        threads: threads of the native executor; None: one for each CPU that the process may use.

    Raises:
        UsageError: `threads` is less than 1.
    """

    def __init__(self, image: Image, threads: int | None = None) -> None:
        self.image = image
        self.threads = _checked(available_cpus() if threads is None else threads)
        self._executors: dict[str, Executor] = {}

    def run(
        self,
        feed: Mapping[str, Array],
        executor: ExecutorName = "native",
        threads: int | None = None,
        noise: ConversionNoise | None = None,
        first_sample: int = 0,
    ) -> dict[str, Array]:
        """The outputs of the program.

        Args:
            feed: an array for each input of the model: its name, element type and shape as the
                manifest states them; all with the same batch size.
            executor: "reference" executes the NumPy specification, "native" the C kernel, many
                times faster.  Both give the same bits.
            threads: for this run, instead of the program's own; any number gives the same bits.
            noise: of the converters; None: none.
            first_sample: what the first sample of the feed is to the noise, so that a batch that is
                run in parts has the noise of the whole.

        Returns:
            An array for each output of the model, in the model's order.

        Raises:
            FeedError: the feed is not what the program expects.
            ProgramError: the program cannot be executed.
            UsageError: there is no such executor, or its kernel was not built, or `threads` is less
                than 1, or the samples' numbers do not fit into 32 bits.
        """
        count = self.threads if threads is None else _checked(threads)
        if noise is not None and not isinstance(noise, ConversionNoise):
            raise UsageError(
                f"noise cannot be {noise!r}", "give an `anacc.ConversionNoise`, or None for none"
            )
        try:
            return self._executor(executor).run(feed, count, noise, first_sample)
        except MemoryError:
            raise ProgramError(
                "the program needs more memory than there is", "run fewer samples at a time"
            ) from None

    def close(self) -> None:
        """End the threads of the native executor once no run needs them; a later run starts them
        again.  A program that is collected ends them too."""
        for executor in [*self._executors.values()]:
            executor.close()

    def _executor(self, name: str) -> Executor:
        """The executor of a name, made at its first use."""
        found = self._executors.get(name)
        if found is None:
            # Two threads may both come here; one of the two executors is kept.
            found = self._executors.setdefault(name, _executor_class(name)(self.image))
        return found


def _executor_class(name: str) -> type[Executor]:
    if name == "reference":
        return Executor
    if name != "native":
        raise UsageError(f"there is no executor `{name}`", "choose `native` or `reference`")
    # Imported only here: the reference must run where the kernel was not built.
    try:
        from anacc_runtime.native import NativeExecutor
    except ImportError:
        reason = "the native executor's kernel is not built"
        raise UsageError(reason, "install anacc with pip, or choose `reference`") from None
    return NativeExecutor


def available_cpus() -> int:
    """The number of CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _checked(threads: int) -> int:
    if not isinstance(threads, Integral) or threads < 1:
        raise UsageError(f"a program cannot run on {threads} threads", "choose 1 or more")
    return threads
