"""The limits of this CPU: compiles roofline.c, and calls it on as many threads as are asked for."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.cases import FOLDER, Cells

SOURCE = Path(__file__).with_name("roofline.c")
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
MEMORY_BYTES = 256 << 20  # larger than what a third-level cache gives one process

# The exact products that an instruction set has for weights of a kind: the fastest is the limit.
_WORDS_256 = "vpmaddwd + vpaddd ymm"
_Products = dict[tuple[Cells, bool], tuple[str, ...]]
_AVX2: _Products = {
    ("int8", True): ("vpmaddubsw + vpmaddwd + vpaddd ymm",),
    ("int8", False): ("vpsignb + vpmaddubsw + vpmaddwd + vpaddd ymm", _WORDS_256),
    ("int16", True): (_WORDS_256,),
    ("int16", False): (_WORDS_256,),
}
_AVX512: _Products = {
    ("int8", True): ("vpdpbusd ymm", "vpdpbusd zmm"),
    ("int8", False): ("vpdpbusd ymm", "vpdpbusd zmm"),
    ("int16", True): ("vpdpwssd ymm", "vpdpwssd zmm"),
    ("int16", False): ("vpdpwssd ymm", "vpdpwssd zmm"),
}
_PRODUCTS = {"avx2": _AVX2, "avx512": _AVX512}


class RooflineError(Exception):
    """The micro-benchmark cannot be made; the message says why in a few words."""


def native_isa() -> str:
    """The instruction set that anacc's kernel uses on this CPU."""
    from anacc_runtime import _kernel

    return _kernel.isas()[0]


def best_products(isa: str, cells: Cells, nonnegative: bool) -> tuple[str, ...]:
    """Names of the products of an instruction set that are exact for weights of a kind, of which
    the fastest is the limit; none where that is not known."""
    return _PRODUCTS.get(isa, {}).get((cells, nonnegative), ())


@dataclass(frozen=True)
class Cache:
    """A data cache of the first CPU: its level, from 1, and its size in bytes."""

    level: int
    size: int


def data_caches(folder: Path = CACHES) -> list[Cache]:
    """The data caches that Linux knows of, smallest first; empty elsewhere."""
    found = []
    for entry in sorted(folder.glob("index*")):
        kind, level, size = (
            (entry / name).read_text().strip() if (entry / name).exists() else ""
            for name in ("type", "level", "size")
        )
        if kind in {"Data", "Unified"} and size.endswith("K"):
            found.append(Cache(int(level), int(size[:-1]) << 10))
    return sorted(found, key=lambda cache: cache.level)


class Roofline:
    """The compiled micro-benchmark.

    Args:
        folder: where the compiled library is, or comes.

    Raises:
        RooflineError: there is no C compiler, or it does not compile the file.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        library = ctypes.CDLL(str(_compiled(folder)))
        library.product_name.restype = ctypes.c_char_p
        library.product_name.argtypes = [ctypes.c_int]
        library.product_available.argtypes = [ctypes.c_int]
        library.product_rate.restype = ctypes.c_double
        library.product_rate.argtypes = [ctypes.c_int, ctypes.c_double]
        library.clock_rate.restype = ctypes.c_double
        library.clock_rate.argtypes = [ctypes.c_double]
        library.read_rate.restype = ctypes.c_double
        library.read_rate.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_double]
        self._library = library
        self._numbers = self._available_products()
        self._buffers: dict[tuple[int, int], npt.NDArray[np.uint8]] = {}

    def _available_products(self) -> dict[str, int]:
        numbers = {}
        number = 0
        while (name := self._library.product_name(number)) is not None:
            if self._library.product_available(number):
                numbers[name.decode()] = number
            number += 1
        return numbers

    @property
    def products(self) -> list[str]:
        """Names of the products that this CPU has."""
        return list(self._numbers)

    def product_rate(self, name: str, seconds: float, threads: int = 1) -> float:
        """Multiply-adds per second of all threads together."""
        number = self._numbers[name]
        return _together(lambda _: self._library.product_rate(number, seconds), threads)

    def read_rate(self, size: int, seconds: float, threads: int = 1) -> float:
        """Bytes per second of all threads together, each of which reads `size` bytes of its own
        over and over."""
        buffers = [self._buffer(size, thread) for thread in range(threads)]
        return _together(
            lambda thread: self._library.read_rate(buffers[thread].ctypes.data, size, seconds),
            threads,
        )

    def clock_rate(self, seconds: float) -> float:
        """Cycles per second of one thread."""
        rate: float = self._library.clock_rate(seconds)
        return rate

    def _buffer(self, size: int, thread: int) -> npt.NDArray[np.uint8]:
        """A buffer of `size` bytes on a boundary of 64, with memory behind every page."""
        key = (size, thread)
        if key not in self._buffers:
            memory = np.ones(size + 64, np.uint8)
            start = -memory.ctypes.data % 64
            self._buffers[key] = memory[start : start + size]
        return self._buffers[key]


def _together(measure: Callable[[int], float], threads: int) -> float:
    """The sum of what `measure` returns for each thread; all run at the same time."""
    if threads == 1:
        return measure(0)
    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(measure, range(threads)))


def _compiled(folder: Path) -> Path:
    """The shared library of roofline.c, compiled for this machine if it is not yet."""
    compiler = os.environ.get("CC") or next(filter(shutil.which, ("cc", "gcc", "clang")), None)
    if compiler is None:
        raise RooflineError("no C compiler")
    digest = hashlib.sha256(SOURCE.read_bytes() + compiler.encode()).hexdigest()[:16]
    library = folder / f"roofline-{platform.machine()}-{digest}.so"
    if not library.exists():
        folder.mkdir(parents=True, exist_ok=True)
        partial = library.with_suffix(f".{os.getpid()}")
        command = [*compiler.split(), "-O3", "-std=c11", "-shared", "-fPIC"]
        try:
            subprocess.run(
                [*command, "-o", str(partial), str(SOURCE)], capture_output=True, check=True
            )
        except (OSError, subprocess.CalledProcessError):
            raise RooflineError(f"`{compiler}` does not compile roofline.c") from None
        partial.replace(library)
    return library
