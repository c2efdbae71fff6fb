"""The compiler from end to end: the pipeline is the table of contents."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
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
from anacc.mapping_file import read_mapping
from anacc.options import (
    checked_chips,
    checked_choice,
    checked_effort,
    checked_path,
    checked_seed,
    checked_sizes,
    checked_states,
)
from anacc.pipeline import PASSES, PassOptions, pipeline
from anacc.preconditions import check_chips, check_target, check_together
from anacc.program.check import check
from anacc.program.image import Image
from anacc.program.manifest import Port
from anacc.streaming import check_states
from anacc.targets import configure, load_target
from anacc_backends.decisions import conversion_warnings, table_warnings
from anacc_backends.emit import Origin, emit
from anacc_passes.infrastructure import IMPORT, PassTiming, run_pipeline
from anacc_passes.packing.crossbars import PACKINGS
from anacc_passes.ranges import METHODS
from anacc_passes.replicate import OBJECTIVES
from anacc_passes.routing.bound import link_warnings
from anacc_passes.routing.report import link_report
from anacc_passes.tiling.correction import METHODS as CORRECTIONS

SYNTHETIC_SAMPLES = 16
"""Samples of the synthetic calibration set."""


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
    model: str | Path | onnx.ModelProto | Module,
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
    chips: int | str = 1,
    reload: bool = False,
    optimize: str | None = None,
    effort: int = 1,
    strict: bool = False,
    states: Mapping[str, str] | None = None,
    mapping: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    dump_ir: Path | None = None,
    print_ir_after: str | None = None,
    write: Callable[[str], None] = print,
    on_progress: Callable[[str, int, int], None] | None = None,
    warn: Callable[[str], None] | None = None,
) -> tuple[Image, list[PassTiming]]:
    """Compile an ONNX model.

    Args:
        model: a path, the model itself, or what `imported` made of it with the same `shapes` and
            `states`: then it is not imported again.
        target: a shipped target's name or a target file.
        calibration: feeds whose values set the activation scales, at least one; None: a seeded
            synthetic set.
        read_mode: `4-phase` or `1-phase`; None: the target's default.
        seed: of the synthetic calibration set and of the placement; not negative.
        shapes: sizes of symbolic dimensions, by name.
        calibration_method: see `anacc_passes.ranges`.
        packing: `auto`, `always`, `never` or `densest`; see `anacc_passes.place`.
        correction: `none`, `bias` or `bias+range`; see `anacc_passes.tiling.correction`.
        row_copies: `auto` or `never`: whether rows that a tile leaves free hold copies of its rows.
        chips: how many chips there are, or `auto`: as many as it takes; see
            `anacc_passes.chips.divide`.
        reload: program crossbars anew between rounds, where the chips do not hold the model.
        optimize: `throughput`, `latency` or `area`, see `anacc_passes.replicate`; None: no layer is
            copied.
        effort: 0 to 3: how long to look for a better placement and better routes; see
            `anacc_passes.floorplan`.
        strict: refuse a model of which a node runs on the host.
        states: for inputs that are states the name of the output that feeds them; `calibration`
            then is streams, see `anacc.streaming`, which run step by step in ONNX Runtime.
        mapping: a file that says where layers lie, or what it holds; see `anacc.mapping_file`.
        settings: values of the target to set, by dotted key; see `anacc.targets.configure`.
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
    limit = checked_chips(chips, bool(reload))
    if optimize is not None:
        checked_choice("objective to `optimize`", optimize, OBJECTIVES)
    check_together(optimize, packing, mapping is not None, limit, bool(reload))
    if optimize == "area" and packing == "auto":
        packing = "densest"
    effort = checked_effort(effort)
    if print_ir_after is not None:
        checked_choice("pass", print_ir_after, (IMPORT, *(each.name for each in PASSES)))
    seed, sizes, states = checked_seed(seed), checked_sizes(shapes), checked_states(states)
    checked_path("target", target)
    if not isinstance(model, onnx.ModelProto | Module):
        checked_path("model", model)
    if mapping is not None and not isinstance(mapping, Mapping):
        checked_path("mapping", mapping)
    configured = configure(load_target(target), settings)
    chip = configured.target
    mode = read_mode or chip.read_modes.default.value
    chip.read_mode(mode)
    check_target(chip)
    wanted = None if mapping is None else read_mapping(mapping) or None
    check_chips(chip, limit)
    feeds = list(calibration) if calibration is not None else []
    synthetic = calibration is None
    if not feeds and not synthetic:
        raise FeedError(
            "the calibration data has no feed", "leave it out for a first look on random inputs"
        )
    module = model if isinstance(model, Module) else imported(model, sizes, feeds, states)
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

    for note in (*configured.warnings, *source.notes):
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
        row_copies=row_copies == "auto"
        and packing not in ("always", "densest")
        and optimize != "area"
        and wanted is None,
        mapping=wanted,
        chips=limit,
        reload=bool(reload),
        optimize=optimize,
        effort=effort,
        seed=seed,
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
    for message in link_warnings(module, chip, link_report(module, chip)["busiest_ns"]):
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
            "chips": chips if limit is None else limit,
            "reload": bool(reload),
            "optimize": optimize,
            "effort": effort,
            "shapes": sizes,
            **({} if wanted is None else {"mapping": "given"}),
        },
        provenance=dict(_versions()),
        warnings=tuple(warnings),
    )
    image = emit(module, chip, origin)
    check(image)
    return image, timings


def imported(
    model: str | Path | onnx.ModelProto,
    shapes: Mapping[str, int] | None = None,
    feeds: Sequence[Feed] = (),
    states: Mapping[str, str] | None = None,
) -> Module:
    """Import a model, which does not depend on the target: to compile it for several.

    Args:
        model: a path, or the model itself.
        shapes, states: as for `compile_image`.
        feeds: calibration data; the first feed tells the sizes of symbolic dimensions.

    Raises:
        AnaccError: a subclass that says what is wrong; see `anacc.compile`.
    """
    sizes, sample = checked_sizes(shapes), first_steps(feeds, checked_states(states))
    try:
        return import_model(model, shapes=sizes, sample=sample[0] if sample else None)
    except FeedError as error:
        raise FeedError(f"{feed_name(1, sample[0])}: {error.message}", error.hint) from None


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
