"""The Python interface: compile a model, load a program, run it.

The command line does its work through these functions too.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy.typing as npt

from anacc.errors import FeedError
from anacc.host_values import NUMBERS, as_kind
from anacc.program.image import Image
from anacc.program.manifest import Port

if TYPE_CHECKING:
    import onnx

    from anacc.comparison.compare import Comparison
    from anacc_runtime import ConversionNoise, LoadedProgram

Feed = Mapping[str, npt.ArrayLike | Sequence[npt.NDArray[Any]] | None]
"""Input arrays by name, exactly as ONNX Runtime takes them: a sequence is a list of arrays, an
optional input that is absent is None, strings are an array of objects or of NumPy's strings."""

Executor = Literal["native", "reference"]


class Program:
    """A program: made by `compile` or `load`, run on the simulated chip by `run`.

    Args:
        image: the program's parts.
        threads: default number of threads of `run`; None: one for each CPU that may be used.
    """

    def __init__(self, image: Image, threads: int | None = None) -> None:
        self.image = image
        self._threads = threads
        self._loaded: LoadedProgram | None = None

    @property
    def inputs(self) -> tuple[Port, ...]:
        """Name, element type, shape and batch axis of each input of the model."""
        return self.image.manifest.inputs

    @property
    def outputs(self) -> tuple[Port, ...]:
        """Name, element type, shape and batch axis of each output of the model."""
        return self.image.manifest.outputs

    def run(
        self,
        feed: Feed,
        *,
        executor: Executor = "native",
        threads: int | None = None,
        noise: ConversionNoise | None = None,
        first_sample: int = 0,
    ) -> dict[str, npt.NDArray[Any]]:
        """Run the program on the simulated chip.

        Several threads may call this at once: a run changes nothing that another one reads.

        Args:
            feed: an array for each input, of its element type and shape; any batch size where the
                model's batch is symbolic.
            executor: `native` (C) or `reference` (NumPy, the specification); both give the same
                bits.
            threads: number of threads of the native executor; None: the program's default.
            noise: Gaussian noise of the converters, `anacc.ConversionNoise`; None: none.
                The same noise, seed and trial give the same bits, on every CPU.
            first_sample: index of the feed's first sample in a batch that is run in parts: each
                sample has noise of its own, by its index.

        Returns:
            An array for each output, by name.

        Raises:
            FeedError: the feed is no mapping, or an array is missing, superfluous, or of a wrong
                shape or element type.
            ProgramError: a weight member of the file is damaged.
            UsageError: there is no such executor, or the number of threads is not positive, or
                `first_sample` is out of range.
        """
        if self._loaded is None:
            from anacc_runtime import LoadedProgram

            self._loaded = LoadedProgram(self.image, threads=self._threads)
        return self._loaded.run(
            self._values(feed),
            executor=executor,
            threads=threads,
            noise=noise,
            first_sample=first_sample,
        )

    def _values(self, feed: Feed) -> dict[str, Any]:
        """The feed as the runtime takes it: arrays, and lists of arrays for sequences."""
        if not isinstance(feed, Mapping):
            raise FeedError(
                f"a feed is a mapping, not {type(feed).__name__}",
                "give a dict of arrays by input name",
            )
        kinds = {port.name: port.dtype for port in self.inputs}
        values = {}
        for name, value in feed.items():
            try:
                values[name] = as_kind(value, kinds.get(name, NUMBERS[0]))
            except ValueError as error:
                raise FeedError(f"input `{name}` is no array") from error
        return values

    def compare(self, model: str | os.PathLike[str] | onnx.ModelProto, feed: Feed) -> Comparison:
        """Compare every tensor that the chip holds with the model in ONNX Runtime (float32).

        The reference executor runs, twice: a few samples are enough.

        Args:
            model: what the program was compiled from.
            feed: an array for each input, as for `run`.

        Returns:
            For each tensor its signal-to-noise ratio, what is lost in its own layer, and the core,
            column and share of clipped conversions behind it; see `Comparison`.

        Raises:
            ModelError: the model cannot be read.
            FeedError: the feed does not fit.
            ProgramError: the program cannot run, or does not state which tensors it holds.
            UsageError: the model lacks a tensor that the program holds.
        """
        from anacc.comparison.compare import compare

        return compare(self.image, model, self._values(feed))

    def run_steps(
        self, stream: Feed, states: Mapping[str, str], *, executor: Executor = "native"
    ) -> dict[str, npt.NDArray[Any]]:
        """Run a streaming model step by step, its states fed back.

        Args:
            stream: for each input an array (steps, *shape); for a state, which begins with zeros
                if it is left out, where it begins, (*shape).
            states: for inputs that are states the name of the output that feeds them.
            executor: as for `run`.

        Returns:
            An array (steps, *shape) for each output, by name; none if there are no steps.

        Raises:
            FeedError: the stream does not fit the model.
            UsageError: there is no such state.
            ProgramError: as `run`.
        """
        from anacc.streaming import stacked, steps

        found = steps(
            lambda feed: self.run(feed, executor=executor),
            self._values(stream),
            self.inputs,
            states,
        )
        return stacked(outputs for _, outputs in found)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the program to a file, which appears whole or not at all.

        Raises:
            ProgramError: the file cannot be written.
        """
        from anacc.program.container import write

        write(self.image, path)

    def report(self) -> dict[str, Any]:
        """Return how the model lies on the chip, as JSON data; see `anacc.reports.mapping`."""
        from anacc.reports.mapping import report

        return report(self.image)

    def mapping(self) -> dict[str, Any]:
        """Return where the layers' matrices lie, as JSON data of the schema of published HERMES
        mappings; see `anacc.reports.mapping_file`.

        Raises:
            UsageError: the schema cannot say how the program uses crossbars.
            ProgramError: what the mapper wrote down cannot be.
        """
        from anacc.mapping_file import mapping_data
        from anacc.reports.mapping_file import mapping_of

        return mapping_data(mapping_of(self.image))


def load(path: str | os.PathLike[str], threads: int | None = None) -> Program:
    """Read a program file and check it as a whole, its weights excepted (they are at first use).

    Args:
        path: a file that `Program.save` or `anacc compile` wrote.
        threads: default number of threads of `Program.run`; None: one for each usable CPU.

    Raises:
        ProgramError: the file cannot be read, is no program, is damaged, or breaks a rule of the
            instruction set.
    """
    from anacc.program.check import check
    from anacc.program.container import read

    image = read(path)
    check(image)
    return Program(image, threads)


def compile(
    model: str | os.PathLike[str] | onnx.ModelProto,
    target: str | os.PathLike[str] = "hermes",
    calibration: Feed | Iterable[Feed] | None = None,
    read_mode: str | None = None,
    seed: int = 0,
    shapes: Mapping[str, int] | None = None,
    calibration_method: str = "mse",
    packing: str = "auto",
    correction: str = "bias",
    row_copies: str = "auto",
    chips: int | Literal["auto"] = 1,
    reload: bool = False,
    optimize: str | None = None,
    effort: int = 1,
    states: Mapping[str, str] | None = None,
    strict: bool = False,
    mapping: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Program:
    """Compile an ONNX model for a chip.

    Args:
        model: a path, or the model itself.
        target: name of a shipped target, or the path of a target file.
        calibration: inputs that set the activation scales, one feed or several; None: a seeded
            synthetic set, with a warning, for a first look only.
        read_mode: `4-phase` or `1-phase`; None: the target's default, `4-phase` on hermes.
        seed: of the synthetic calibration set and of the placement; not negative.
        shapes: sizes of symbolic dimensions other than the batch, by name.
        calibration_method: how a range becomes a scale: `mse`, `minmax`, `percentile`, `entropy`;
            see `anacc_passes.ranges`.
        packing: whether layers share crossbars: `auto`, `always`, `never`, or `densest`: layers are
            also cut so that they fill crossbars, where that saves one.
        correction: what the digital units undo of the mean errors of codes and converters on the
            calibration data: `none`, `bias` or `bias+range`.
        row_copies: `auto`: rows that a tile leaves free hold copies of its rows where converters
            would hardly resolve its sums; `never`.
        chips: how many chips there are; `auto`: as many as the model needs.  The layers are cut
            over a chain of chips so that least crosses the links between them.
        reload: run a model that the chips do not hold in rounds: crossbars are programmed anew
            when the whole batch has passed, which the report counts.
        optimize: `throughput`: layers have copies on idle cores, so that the products on the
            slowest core take least time; `latency`: those on the way of one sample; `area`: as few
            cores as packing finds; None: no copies.
        effort: 0 to 3: how long to look for a better placement and better routes; results are
            the same bits with each.
        strict: refuse a model of which a node runs on the host.
        states: of a streaming model: for inputs that are states the name of the output that feeds
            them.  `calibration` then is streams, as for `Program.run_steps`.
        mapping: where layers lie: a JSON file of the schema of published HERMES mappings, see
            `anacc.mapping_file`, or what it holds, as `Program.mapping` gives it.  Layers that it
            does not name are placed on the cells that are left.
        settings: values of the target to set, by dotted key as `anacc targets keys` lists them, or
            sizes of `grid` and `crossbar`: `{"crossbar": "512x512", "links.values_per_ns": 2}`.
            What follows from them follows; see `anacc.targets.configure`.

    Returns:
        The program.  Warnings of the compiler are issued as Python warnings, and are part of its
        report.

    Raises:
        ModelError: the model cannot be read or is not valid ONNX.
        TargetError: there is no such target, or it or a setting states something impossible.
        FeedError: a calibration feed does not fit the model, or there is none.
        UsageError: an argument has a wrong type, or a value that is none of those listed; `shapes`
            names a dimension that the model does not have.
        MappingError: the mapping cannot be read, or does not fit the model or the target.
        CompileError: the model does not fit the chip, or a symbolic dimension is unbound; with
            `strict`, nodes run on the host: `details` lists all of them, with reasons and hints.
    """
    from anacc.compiler import compile_image
    from anacc.feeds import calibration_feeds

    messages: list[str] = []
    image, _ = compile_image(
        Path(model) if isinstance(model, os.PathLike) else model,
        target=Path(target) if isinstance(target, os.PathLike) else target,
        calibration=None if calibration is None else calibration_feeds(calibration),
        read_mode=read_mode,
        seed=seed,
        shapes=shapes,
        calibration_method=calibration_method,
        packing=packing,
        correction=correction,
        row_copies=row_copies,
        chips=chips,
        reload=reload,
        optimize=optimize,
        effort=effort,
        strict=strict,
        states=states,
        mapping=mapping,
        settings=settings,
        warn=messages.append,
    )
    for message in messages:
        warnings.warn(message, stacklevel=2)
    return Program(image)
