"""The compiler from end to end: the pipeline is the table of contents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy.typing as npt

from anacc.errors import CompileError
from anacc.feeds import synthetic_feed
from anacc.frontend import import_model
from anacc.frontend.source import Port as SourcePort
from anacc.program.check import check
from anacc.program.image import Image
from anacc.program.manifest import Port, TensorType
from anacc.targets import Target, load_target
from anacc_backends.emit import Origin, emit
from anacc_passes.calibrate import Calibrate
from anacc_passes.fuse import Fuse
from anacc_passes.infrastructure import Pass, PassTiming, run_pipeline
from anacc_passes.normalise import Normalise
from anacc_passes.partition import Partition
from anacc_passes.place import Place
from anacc_passes.quantise import Quantise
from anacc_passes.route import Route
from anacc_passes.tile import Tile

if TYPE_CHECKING:
    import onnx

Feed = Mapping[str, npt.NDArray[Any]]

SYNTHETIC_SAMPLES = 16
"""Samples of the synthetic calibration set."""


def pipeline(
    target: Target, read_mode: str, feeds: Sequence[Feed], method: str, packing: str
) -> tuple[Pass, ...]:
    """All passes in order."""
    return (
        # Decide what runs on the chip; the rest goes to ONNX Runtime, in few segments.
        Partition(target),
        # Drop what does nothing.  From here on, no op of the graph is superfluous.
        Normalise(),
        # Learn the range of each value from calibration data.
        Calibrate(tuple(feeds), method),
        # Gather what one LDPU does into one layer.  From here on, ops are layers.
        Fuse(target),
        # Settle the scale of each value.  From here on, scales are fixed.
        Quantise(),
        # Cut layers into crossbar tiles and streams.  From here on, values are channels.
        Tile(target, read_mode, feeds[0]),
        # Give each stream a unit, each tile its place on a crossbar.
        Place(target, packing),
        # Give each transfer its links.
        Route(target),
    )


def compile_image(
    model: str | Path | onnx.ModelProto,
    *,
    target: str | Path = "hermes",
    calibration: Iterable[Feed] | None = None,
    read_mode: str | None = None,
    seed: int = 0,
    shapes: Mapping[str, int] | None = None,
    calibration_method: str = "minmax",
    packing: str = "auto",
    dump_ir: Path | None = None,
    print_ir_after: str | None = None,
    write: Callable[[str], None] = print,
    on_progress: Callable[[str, int, int], None] | None = None,
    warn: Callable[[str], None] | None = None,
) -> tuple[Image, list[PassTiming]]:
    """Compile an ONNX model.

    Args:
        model: a path, or the model itself.
        target: a shipped target's name or a target file.
        calibration: feeds whose values set the activation scales; None: a seeded synthetic set.
        read_mode: `4-phase` or `1-phase`; None: the target's default.
        seed: of the synthetic calibration set.
        shapes: sizes of symbolic dimensions, by name.
        calibration_method: see `anacc_passes.calibrate`.
        packing: `auto`, `always` or `never`; see `anacc_passes.place`.
        dump_ir: folder for the module after each pass.
        print_ir_after: name of a pass after which the module's text goes to `write`.
        write: what prints the module.
        on_progress: called before each pass with its name, its number from 1, and their count.
        warn: called with each warning, which is also part of the report.

    Returns:
        The program, checked, and the time of each pass.

    Raises:
        AnaccError: a subclass that says what is wrong; see `anacc.compile`.
    """
    chip = load_target(target)
    mode = read_mode or chip.read_modes.default.value
    chip.read_mode(mode)
    if chip.ldpu.bias.value != "ldpu":
        raise CompileError(
            f"target `{chip.chip.name.value}` keeps the bias on the crossbar: not supported",
            'set `ldpu.bias = "ldpu"` in the target file',
        )
    feeds = list(calibration) if calibration is not None else []
    module = import_model(model, shapes=shapes, sample=feeds[0] if feeds else None)
    source = module.source
    inputs, outputs = (
        _ports(ports, module.batch) for ports in (source.ports.inputs, source.ports.outputs)
    )
    warnings: list[str] = []
    if not feeds:
        samples = module.batch or SYNTHETIC_SAMPLES
        feeds = [synthetic_feed(inputs, samples, seed)]
        warnings.append(
            "activation scales come from synthetic random inputs: give real ones with "
            "--calibration, or accuracy will be poor"
        )
    for message in warnings:
        if warn is not None:
            warn(message)
    passes = pipeline(chip, mode, feeds, calibration_method, packing)
    module, timings = run_pipeline(
        module,
        passes,
        dump_to=dump_ir,
        print_after=print_ir_after,
        write=write,
        on_pass=on_progress,
    )
    origin = Origin(
        model_sha256=source.sha256,
        inputs=inputs,
        outputs=outputs,
        options={
            "read_mode": mode,
            "seed": seed,
            "calibration_method": calibration_method,
            "calibration": "synthetic" if warnings else "given",
            "packing": packing,
            "shapes": dict(shapes or {}),
        },
        provenance=_versions(),
        warnings=tuple(warnings),
    )
    image = emit(module, chip, origin)
    check(image)
    return image, timings


def _ports(ports: Iterable[SourcePort], batch: int | None) -> tuple[Port, ...]:
    """The model's inputs or outputs as the manifest states them; None at a symbolic batch.

    Raises:
        CompileError: if one has an element type that programs do not know.
    """
    ports = tuple(ports)
    for port in ports:
        if port.dtype not in get_args(TensorType):
            raise CompileError(
                f"`{port.name}` has element type {port.dtype}, which programs cannot hold",
                "convert it outside the model, for example strings to numbers",
            )
    return tuple(
        Port.model_validate(
            {
                "name": port.name,
                "dtype": port.dtype,
                "shape": tuple(batch if size is None else size for size in port.shape or ()),
                "batch_axis": port.batch_axis,
                "dynamic": port.shape is None,
            }
        )
        for port in ports
    )


def _versions() -> dict[str, str]:
    """Versions of the packages that the bytes of a program depend on."""
    found = {}
    for package in ("anacc", "numpy", "onnx", "onnxruntime"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found
