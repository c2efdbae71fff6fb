"""What is measured: the engines, with their settings, and the cases that they run.

Every process of the benchmark reads this, whichever packages its interpreter has: nothing is
imported here but the standard library.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bench.networks import NETWORKS, Network

ROOT = Path(__file__).resolve().parent.parent
# Models, programs and inputs that the engines read, and the compiled micro-benchmark.
FOLDER = ROOT / "build" / "bench"

LIMIT = "limit"
AIHWKIT = ("aihwkit-inference", "aihwkit-torch")

Cells = Literal["int8", "int16"]


@dataclass(frozen=True)
class Engine:
    """A way to compute a case, in a process of its own.

    Attributes:
        title: what tables call it.
        module: the module of `bench.engines` that runs it.
        options: its settings.
        sums: exact sums of products that each multiply-add of the network stands for: 1, or 2 in
            4-phase mode.  0: its results are no fraction of a limit.
        cells: numbers that hold its weights.
        nonnegative: whether nearly all its inputs are known to be none below 0; None: what the
            case says.
        isa: instruction set of the kernel; empty: the one that it uses on this CPU.
    """

    title: str
    module: str
    options: Mapping[str, str] = field(default_factory=dict)
    sums: int = 0
    cells: Cells = "int8"
    nonnegative: bool | None = None
    isa: str = ""


@dataclass(frozen=True)
class Case:
    """A network at one batch size and number of threads.

    Attributes:
        title: what tables call it.
        network: a key of `NETWORKS`.
        batch: samples in a run.
        threads: of each engine.
        engines: keys of `ENGINES`.
        reference: the engine whose time is 1 in the tables.
        nonnegative: whether nearly all inputs of crossbars are known to be none below 0.
        fresh: whether each sample has a process of its own.
    """

    title: str
    network: str
    batch: int
    threads: int
    engines: tuple[str, ...]
    reference: str
    nonnegative: bool
    fresh: bool = False

    @property
    def layers(self) -> Network:
        """The network."""
        return NETWORKS[self.network]

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of a run."""
        return self.batch * self.layers.multiply_adds

    def is_nonnegative(self, engine: Engine) -> bool:
        """Whether nearly all inputs of crossbars in this engine are none below 0."""
        return self.nonnegative if engine.nonnegative is None else engine.nonnegative


def _crossbar_engines(isa: str = "") -> dict[str, Engine]:
    engines = {}
    kinds: tuple[Cells, ...] = ("int8", "int16")
    for cells in kinds:
        for phases, sums in ((1, 1), (4, 2)):
            for sign, inputs in (("nonnegative", "inputs >= 0"), ("signed", "signed inputs")):
                name = f"crossbar-{cells}-{phases}-phase-{sign}"
                engines[f"{name}-{isa}" if isa else name] = Engine(
                    f"{cells}, {phases}-phase, {inputs}",
                    "crossbar",
                    {"phases": str(phases), "sign": sign},
                    sums=sums,
                    cells=cells,
                    nonnegative=sign == "nonnegative",
                    isa=isa,
                )
    return engines


ENGINES: dict[str, Engine] = {
    "anacc-1-phase": Engine("anacc, 1-phase", "programs", {"mode": "1-phase"}, sums=1),
    "anacc-4-phase": Engine("anacc, 4-phase", "programs", {"mode": "4-phase"}, sums=2),
    "anacc-1-phase-noise": Engine(
        "anacc, 1-phase, noise",
        "programs",
        {"mode": "1-phase", "deviation": "1.0"},
        sums=1,
    ),
    "anacc-4-phase-noise": Engine(
        "anacc, 4-phase, noise",
        "programs",
        {"mode": "4-phase", "deviation": "1.0"},
        sums=2,
    ),
    "load": Engine("anacc, load and first inference", "loading", {"mode": "1-phase"}),
    "onnxruntime-float32": Engine("ONNX Runtime, float32", "sessions", {"type": "float32"}),
    "onnxruntime-u8u8": Engine("ONNX Runtime, int8 (u8u8)", "sessions", {"type": "u8u8"}),
    "onnxruntime-u8s8": Engine("ONNX Runtime, int8 (u8s8)", "sessions", {"type": "u8s8"}),
    "aihwkit-inference": Engine(
        "aihwkit, InferenceRPUConfig", "aihwkit_models", {"config": "InferenceRPUConfig"}
    ),
    "aihwkit-torch": Engine(
        "aihwkit, TorchInferenceRPUConfig", "aihwkit_models", {"config": "TorchInferenceRPUConfig"}
    ),
    LIMIT: Engine("limit of the CPU", "limit"),
    **_crossbar_engines(),
    **_crossbar_engines("avx2"),
}

_QUIET = ("anacc-1-phase", "anacc-4-phase")
_NOISY = ("anacc-1-phase-noise", "anacc-4-phase-noise")
_SESSIONS = ("onnxruntime-u8u8", "onnxruntime-u8s8", "onnxruntime-float32")
_CROSSBARS = tuple(_crossbar_engines())
_CROSSBARS_AVX2 = tuple(_crossbar_engines("avx2"))

CASES: dict[str, Case] = {
    "resnet9-64": Case(
        "ResNet-9, batch 64",
        "resnet9",
        batch=64,
        threads=2,
        engines=(*_QUIET, *_NOISY, *_SESSIONS, *AIHWKIT, LIMIT),
        reference="onnxruntime-u8u8",
        nonnegative=True,
    ),
    "resnet9-1": Case(
        "ResNet-9, batch 1",
        "resnet9",
        batch=1,
        threads=2,
        engines=(*_QUIET, *_SESSIONS, LIMIT),
        reference="onnxruntime-u8u8",
        nonnegative=True,
    ),
    "lstm-1": Case(
        "LSTM, 100 steps, batch 1",
        "lstm",
        batch=1,
        threads=1,
        engines=(*_QUIET, *_SESSIONS, *AIHWKIT, LIMIT),
        reference="onnxruntime-u8u8",
        nonnegative=False,
    ),
    "lstm-64": Case(
        "LSTM, 100 steps, batch 64",
        "lstm",
        batch=64,
        threads=1,
        engines=(*_QUIET, *_NOISY, *_SESSIONS, LIMIT),
        reference="onnxruntime-u8u8",
        nonnegative=False,
    ),
    "crossbar-64": Case(
        "crossbar kernel alone, 2048x2048, batch 64",
        "crossbar",
        batch=64,
        threads=1,
        engines=(*_CROSSBARS, LIMIT),
        reference="crossbar-int8-1-phase-nonnegative",
        nonnegative=True,
    ),
    "crossbar-1024": Case(
        "crossbar kernel alone, 2048x2048, batch 1,024",
        "crossbar",
        batch=1024,
        threads=1,
        engines=(*_CROSSBARS, LIMIT),
        reference="crossbar-int8-1-phase-nonnegative",
        nonnegative=True,
    ),
    "crossbar-1024-avx2": Case(
        "crossbar kernel alone with AVX2, 2048x2048, batch 1,024",
        "crossbar",
        batch=1024,
        threads=1,
        engines=(*_CROSSBARS_AVX2, LIMIT),
        reference="crossbar-int8-1-phase-nonnegative-avx2",
        nonnegative=True,
    ),
    "load": Case(
        "captioning network, 4.08 million weights, batch 1",
        "caption",
        batch=1,
        threads=2,
        engines=("load",),
        reference="load",
        nonnegative=False,
        fresh=True,
    ),
}


def feed_path(network: str) -> Path:
    """The inputs of a network, an .npz file."""
    return FOLDER / f"{network}.npz"


def model_path(network: str, type: str) -> Path:
    """An ONNX model: `float32`, `u8u8` or `u8s8`."""
    return FOLDER / f"{network}.{type}.onnx"


def program_path(network: str, mode: str) -> Path:
    """A program of anacc: `1-phase` or `4-phase`."""
    return FOLDER / f"{network}.{mode}.bin"
