"""The compiler from end to end: the pipeline is the table of contents."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import onnx

from anacc.calibration import Feed, first_steps, prepared
from anacc.errors import CompileError, FeedError
from anacc.feeds import feed_name, synthetic_feed
from anacc.frontend import import_model
from anacc.frontend.source import Port as SourcePort
from anacc.host_values import is_kind, is_tensor
from anacc.ir import Module
from anacc.mapping_file import MappingFile, read_mapping
from anacc.options import checked_choice, checked_path, checked_seed, checked_sizes, checked_states
from anacc.program.check import check
from anacc.program.image import Image
from anacc.program.manifest import Port
from anacc.streaming import check_states
from anacc.targets import Target, load_target
from anacc_backends.decisions import conversion_warnings, table_warnings
from anacc_backends.emit import Origin, emit
from anacc_passes.advance import Advance
from anacc_passes.calibrate import Calibrate
from anacc_passes.converter_noise import converter_noise
from anacc_passes.cut import Cut
from anacc_passes.equalise import Equalise
from anacc_passes.fuse import Fuse
from anacc_passes.infrastructure import IMPORT, Pass, PassTiming, run_pipeline
from anacc_passes.integers import Integers
from anacc_passes.normalise import Normalise
from anacc_passes.pair import Pair
from anacc_passes.partition import Partition
from anacc_passes.place import PACKINGS, Place
from anacc_passes.quantise import Quantise
from anacc_passes.ranges import LARGEST_CODE, METHODS
from anacc_passes.route import Route
from anacc_passes.tabulate import Tabulate
from anacc_passes.tile import Tile
from anacc_passes.tiling.correction import METHODS as CORRECTIONS

SYNTHETIC_SAMPLES = 16
"""Samples of the synthetic calibration set."""


PASSES = (
    Tabulate,
    Integers,
    Partition,
    Pair,
    Normalise,
    Calibrate,
    Advance,
    Fuse,
    Equalise,
    Quantise,
    Cut,
    Tile,
    Place,
    Route,
)
"""The classes of the passes, in the order of `pipeline`."""


@dataclass(frozen=True)
class PassOptions:
    """What the passes are told beside the module; see `compile_image`.

    Attributes:
        target: the chip.
        read_mode: one of the target's.
        feeds: calibration data.
        method: calibration method.
        packing, correction, strict: as given.
        row_copies: whether rows that a tile leaves free hold copies of its rows.
        mapping: where a user wants layers to lie.
    """

    target: Target
    read_mode: str
    feeds: tuple[Feed, ...]
    method: str = "mse"
    packing: str = "auto"
    correction: str = "bias"
    strict: bool = False
    row_copies: bool = True
    mapping: MappingFile | None = None


def pipeline(options: PassOptions) -> tuple[Pass, ...]:
    """All passes in order."""
    target, feeds, read_mode = options.target, options.feeds, options.read_mode
    # What converters will add is part of the error that the method `mse` minimises.
    noise = partial(converter_noise, target=target, read_mode=read_mode)
    return (
        # Make chains of functions of one element one table each, if the target has tables.
        Tabulate(target, feeds),
        # Say what the integers of a quantised model stand for.
        Integers(),
        # Decide what runs on the chip; the rest goes to ONNX Runtime, in few segments.
        Partition(target, options.strict),
        # Hold what a quantised model quantises on its own grids.  From here on, nothing on the chip
        # is an integer tensor.
        Pair(),
        # Drop what does nothing.  From here on, no op of the graph is superfluous.
        Normalise(),
        # Learn the range of each value from calibration data.
        Calibrate(feeds, options.method, noise),
        # Bring activations before the data movement that a transposed convolution ends with.
        Advance(target),
        # Gather what one LDPU does into one layer.  From here on, ops are layers.
        Fuse(target),
        # Give each channel that depthwise convolutions read a range of its own.
        Equalise(feeds, options.method, noise),
        # Settle the scale of each value.  From here on, scales are fixed.
        Quantise(),
        # Where crossbars are short, cut layers so that they fill them.
        Cut(target, options.packing, target.cores, options.mapping),
        # Cut layers into crossbar tiles and streams.  From here on, values are channels.
        Tile(target, read_mode, feeds, options.correction, options.row_copies),
        # Give each stream a unit, each tile its place on a crossbar.
        Place(target, options.packing, options.mapping is not None),
        # Give each transfer its links.
        Route(target),
    )


@contextmanager
def _bounded_by_memory() -> Iterator[None]:
    """Say in one sentence that there is too little memory.

    Raises:
        CompileError: there is.
    """
    try:
        yield
    except MemoryError:
        raise CompileError(
            "the model and its calibration data need more memory than there is",
            "give fewer samples as calibration data",
        ) from None


@_bounded_by_memory()
def compile_image(
    model: str | Path | onnx.ModelProto,
    *,
    target: str | Path = "hermes",
    calibration: Iterable[Feed] | None = None,
    read_mode: str | None = None,
    seed: int = 0,
    shapes: Mapping[str, int] | None = None,
    calibration_method: str = "mse",
    packing: str = "auto",
    correction: str = "bias",
    row_copies: str = "auto",
    strict: bool = False,
    states: Mapping[str, str] | None = None,
    mapping: str | os.PathLike[str] | Mapping[str, Any] | None = None,
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
        calibration: feeds whose values set the activation scales, at least one; None: a seeded
            synthetic set.
        read_mode: `4-phase` or `1-phase`; None: the target's default.
        seed: of the synthetic calibration set; not negative.
        shapes: sizes of symbolic dimensions, by name.
        calibration_method: see `anacc_passes.ranges`.
        packing: `auto`, `always`, `never` or `densest`; see `anacc_passes.place`.
        correction: `none`, `bias` or `bias+range`; see `anacc_passes.tiling.correction`.
        row_copies: `auto` or `never`: whether rows that a tile leaves free hold copies of its rows.
        strict: refuse a model of which a node runs on the host.
        states: for inputs that are states the name of the output that feeds them; `calibration`
            then is streams, see `anacc.streaming`, which run step by step in ONNX Runtime.
        mapping: a file that says where layers lie, or what it holds; see `anacc.mapping_file`.
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
    checked_choice("calibration method", calibration_method, METHODS)
    checked_choice("packing", packing, PACKINGS)
    checked_choice("row_copies", row_copies, ("auto", "never"))
    checked_choice("correction", correction, CORRECTIONS)
    if print_ir_after is not None:
        checked_choice("pass", print_ir_after, (IMPORT, *(each.name for each in PASSES)))
    seed, sizes, states = checked_seed(seed), checked_sizes(shapes), checked_states(states)
    checked_path("target", target)
    if not isinstance(model, onnx.ModelProto):
        checked_path("model", model)
    if mapping is not None and not isinstance(mapping, Mapping):
        checked_path("mapping", mapping)
    chip = load_target(target)
    mode = read_mode or chip.read_modes.default.value
    chip.read_mode(mode)
    _check_target(chip)
    wanted = None if mapping is None else read_mapping(mapping) or None
    feeds = list(calibration) if calibration is not None else []
    synthetic = calibration is None
    if not feeds and not synthetic:
        raise FeedError(
            "the calibration data has no feed", "leave it out for a first look on random inputs"
        )
    sample = first_steps(feeds, states)
    module = _imported(model, sizes, sample)
    source = module.source
    inputs, outputs = (
        _ports(ports, module.batch) for ports in (source.ports.inputs, source.ports.outputs)
    )
    check_states(states, inputs, outputs)
    feeds = prepared(feeds, source, inputs, states)
    warnings: list[str] = []

    def add_warning(message: str) -> None:
        warnings.append(message)
        if warn is not None:
            warn(message)

    for note in source.notes:
        add_warning(note)
    if synthetic:
        samples = module.batch or SYNTHETIC_SAMPLES
        feeds = [synthetic_feed(inputs, samples, seed)]
        add_warning(
            "activation scales come from synthetic random inputs: give real ones with "
            "--calibration, or accuracy will be poor"
        )
    options = PassOptions(
        target=chip,
        read_mode=mode,
        feeds=tuple(feeds),
        method=calibration_method,
        packing=packing,
        correction=correction,
        strict=bool(strict),
        # Where layers share crossbars, or a user says what lies where, no rows are free.
        row_copies=row_copies == "auto" and packing not in ("always", "densest") and wanted is None,
        mapping=wanted,
    )
    module, timings = run_pipeline(
        module,
        pipeline(options),
        dump_to=dump_ir,
        print_after=print_ir_after,
        write=write,
        on_pass=on_progress,
    )
    for message in (*conversion_warnings(module), *table_warnings(module)):
        add_warning(message)
    origin = Origin(
        model_sha256=source.sha256,
        inputs=inputs,
        outputs=outputs,
        options={
            "read_mode": mode,
            "seed": seed,
            "calibration_method": calibration_method,
            "calibration": "synthetic" if synthetic else "given",
            "packing": packing,
            "correction": correction,
            "row_copies": row_copies,
            "shapes": sizes,
            **({} if wanted is None else {"mapping": "given"}),
        },
        provenance=dict(_versions()),
        warnings=tuple(warnings),
    )
    image = emit(module, chip, origin)
    check(image)
    return image, timings


def _check_target(chip: Target) -> None:
    """Refuse what a target file can state and no program can express.

    Raises:
        CompileError: naming the key.
    """
    name = chip.chip.name.value
    if chip.ldpu.bias.value != "ldpu":
        raise CompileError(
            f"target `{name}` keeps the bias on the crossbar: not supported",
            'set `ldpu.bias = "ldpu"` in the target file',
        )
    if chip.input.max_code.value != LARGEST_CODE:
        raise CompileError(
            f"target `{name}` has an `input.max_code` of {chip.input.max_code.value}, "
            f"and the codes of programs go up to {LARGEST_CODE}",
            f"set `input.max_code = {LARGEST_CODE}` in the target file",
        )


def _imported(
    model: str | Path | onnx.ModelProto, shapes: Mapping[str, int], feeds: Sequence[Feed]
) -> Module:
    """The imported model; the first feed tells the sizes of symbolic dimensions."""
    try:
        return import_model(model, shapes=shapes, sample=feeds[0] if feeds else None)
    except FeedError as error:
        raise FeedError(f"{feed_name(1, feeds[0])}: {error.message}", error.hint) from None


def _ports(ports: Iterable[SourcePort], batch: int | None) -> tuple[Port, ...]:
    """The model's inputs or outputs as the manifest states them; None at a symbolic batch.

    Raises:
        CompileError: if one has an element type that programs do not know.
    """
    ports = tuple(ports)
    for port in ports:
        if not is_kind(port.dtype):
            raise CompileError(
                f"`{port.name}` has element type {port.dtype}, which programs cannot hold",
                "convert it in the model, for example to float32 or int8",
            )
    return tuple(
        Port.model_validate(
            {
                "name": port.name,
                "dtype": port.dtype,
                "shape": tuple(batch if size is None else size for size in port.shape or ()),
                "batch_axis": port.batch_axis,
                "dynamic": port.shape is None and is_tensor(port.dtype),
            }
        )
        for port in ports
    )


@cache
def _versions() -> Mapping[str, str]:
    """Versions of the packages that the bytes of a program depend on."""
    found = {}
    for package in ("anacc", "numpy", "onnx", "onnxruntime"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found
