"""Options of the mapper drawn at random, and what must hold whatever they are."""

from __future__ import annotations

import warnings
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx
from hypothesis import strategies as st

import anacc
from anacc.compiler import compile_image
from anacc.errors import AnaccError, UsageError
from anacc.program.assembly import assemble, disassemble
from anacc.program.container import image_bytes
from anacc.program.encode import encode
from anacc.program.image import Image
from anacc.reports.text import render
from anacc.verification.check import verify
from anacc_runtime.native import NativeExecutor
from anacc_runtime.reference import Executor
from tests.end_to_end.checks import Array, assert_equal
from tests.end_to_end.finite import stalled

Options = dict[str, Any]

LARGEST_GRID = "48x48"
"""Cores for every generated network, a core for each tile."""


@st.composite
def mapper_options(draw: st.DrawFn) -> Options:
    """Keyword arguments of `compile_image` that say how a model is mapped.

    Small chips are as likely as the usual one, so that layers share cores, are cut, go to several
    chips or to rounds, or do not fit.
    """
    settings = {
        key: value
        for key, value in (
            ("grid", draw(st.sampled_from([None, "16x16", "4x4", "2x3", "2x2", "1x1"]))),
            ("crossbar", draw(st.sampled_from([None, "64x64", "96x32", "24x40"]))),
        )
        if value is not None
    }
    options: Options = {
        "settings": settings,
        "packing": draw(st.sampled_from(["auto", "auto", "always", "never", "densest"])),
        "optimize": draw(st.sampled_from([None, "throughput", "throughput", "latency", "area"])),
        "chips": draw(st.sampled_from([1, 1, 2, 3, "auto"])),
        "reload": draw(st.sampled_from([False, False, True])),
        "effort": draw(st.integers(0, 3)),
        "row_copies": draw(st.sampled_from(["auto", "never", "never"])),
        "read_mode": draw(st.sampled_from(["4-phase", "1-phase"])),
    }
    if options["chips"] == "auto":
        options["reload"] = False
    if options["optimize"] == "area" and options["packing"] == "never":
        options["packing"] = "auto"
    if options["optimize"] in ("throughput", "latency") and options["packing"] == "densest":
        options["packing"] = "always"
    return options


def compiled(model: onnx.ModelProto, feed: dict[str, Array], options: Options) -> Image | None:
    """The program; None where the model does not fit, which one sentence says."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image, _ = compile_image(model, calibration=[feed], **options)
        except AnaccError as error:
            assert not isinstance(error, UsageError), error.message
            assert "\n" not in error.message and "core" in error.message, error.message
            return None
    return image


def cuts(image: Image) -> dict[str, set[tuple[Any, ...]]]:
    """The row tiles of each layer: what decides how its sums are rounded."""
    found = defaultdict(set)
    for tile in image.mapping["tiles"]:
        found[tile["layer"]].add(tuple(tile["weight_rows"]))
    return found


def check_mapped(model: onnx.ModelProto, feed: dict[str, Array], options: Options) -> Image | None:
    """Compile a model with options of the mapper, and prove everything about the program.

    Both executors give the same bits, and those of a mapping without any option where no row is
    cut elsewhere or copied; no stream waits for ever; the checker finds no fault; assembly text and
    a second compilation give the same bytes; the reports can be made; where the mapping can be
    exported, it gives the same program once more.  Copies are no reason to refuse a model.

    Returns:
        The program, None if the model does not fit.
    """
    image = compiled(model, feed, options)
    if image is None:
        if options["optimize"] in ("throughput", "latency"):
            assert compiled(model, feed, {**options, "optimize": None}) is None, "copies do not fit"
        return None
    results = Executor(image).run(feed)
    assert_equal(NativeExecutor(image).run(feed), results, "native")
    assert stalled(image) == []
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(model, path)
        faults = [fault.message for fault in verify(image, path).faults]
    assert not faults, faults
    assert encode(assemble(disassemble(image.code))) == encode(image.code)
    again = compiled(model, feed, options)
    assert again is not None and image_bytes(again) == image_bytes(image)
    program = anacc.Program(image)
    report = program.report()
    assert render(report)
    for bound in report["bounds"].values():
        assert bound["value"] >= bound["bound"]
    plain = compiled(model, feed, _plain(options))
    if plain is not None and cuts(plain) == cuts(image) and not _copies_rows(options):
        assert_equal(results, Executor(plain).run(feed), "as without options")
    _check_mapping(model, feed, options, image)
    return image


def _copies_rows(options: Options) -> bool:
    return options["row_copies"] == "auto" and not (
        options["packing"] in ("always", "densest") or options["optimize"] == "area"
    )


def _plain(options: Options) -> Options:
    """As few options as give the same sums."""
    return {
        "settings": {**options["settings"], "grid": LARGEST_GRID},
        "read_mode": options["read_mode"],
        "row_copies": "never",
        "packing": "never",
    }


def _check_mapping(
    model: onnx.ModelProto, feed: dict[str, Array], options: Options, image: Image
) -> None:
    """What the program says about its mapping, given back to the compiler, gives its bits."""
    try:
        mapping = anacc.Program(image).mapping()
    except UsageError as error:
        assert "\n" not in error.message
        return
    kept = {key: options[key] for key in ("settings", "read_mode")}
    mapped = compiled(model, feed, {**kept, "mapping": mapping})
    assert mapped is not None
    assert anacc.Program(mapped).mapping() == mapping
    if not _copies_rows(options):
        assert_equal(Executor(mapped).run(feed), Executor(image).run(feed), "by its mapping")
