"""`anacc run`: a program on one feed."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import click
import numpy as np

from anacc.api import Executor, Program, load
from anacc.cli.console import write_json, write_note
from anacc.cli.options import executor_options, program_argument, state_option
from anacc.cli.output import check_output, write_npz
from anacc.errors import FeedError, UsageError
from anacc.feeds import Array, Arrays, Stored, load_pairs, load_stored, synthetic_feed
from anacc.host_values import is_tensor
from anacc.metrics import snr_db
from anacc.reports.text import plain, table
from anacc.streaming import Run, parse_states, stacked, steps

ONNX_RUNTIME, STORED = "snr_db_onnxruntime", "snr_db_stored"
TITLES = {ONNX_RUNTIME: "dB to ONNX Runtime", STORED: "dB to stored"}


@click.command("run")
@program_argument
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="FEED.npz|NAME=FILE.npy",
    help="Input arrays: one .npz with all, or one .npy for each. Without it: random inputs.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the outputs as .npz.")
@click.option(
    "--compare",
    type=click.Path(path_type=Path),
    metavar="MODEL.onnx",
    help="Print the signal-to-noise ratio to this model in ONNX Runtime.",
)
@click.option(
    "--layers",
    is_flag=True,
    help="With --compare: also for each tensor that the chip holds, and what is lost where; "
    "with --state, in the last step.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Seed of the random inputs.",
)
@state_option
@executor_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def run_command(
    program: Path,
    inputs: tuple[str, ...],
    output: Path | None,
    compare: Path | None,
    layers: bool,
    seed: int,
    states: tuple[str, ...],
    executor: Executor,
    threads: int | None,
    as_json: bool,
) -> None:
    """Run a PROGRAM and print a summary of its outputs.

    Where the feed file holds reference outputs as `out:NAME`, the signal-to-noise ratio to them is
    printed too.

    With `--layers`, a line for each tensor that the chip holds: `dB` is its ratio to float32, and
    `dB alone` what it would be if all before it were exact, so that a low one tells the layer that
    loses.  `clipped` is the share of conversions that exceed the converter in the `worst` column,
    `range used` the largest conversion over the converters' range, and `core` and `columns` are
    where that column lies.  Long names are shortened; `--json` has them whole.
    """
    if layers and compare is None:
        raise UsageError("`--layers` needs a model", "name it with `--compare`")
    fed_back = parse_states(states)
    if output is not None:
        feeds = (Path(text.rpartition("=")[2]) for text in inputs)
        check_output(output, inputs=(program, compare, *feeds))
    stored = _stored(inputs)
    loaded = load(program, threads)
    if output is not None:
        _check_can_be_written(loaded)
    if stored is None and fed_back:
        raise UsageError("`--state` needs `--input`", "its arrays say how many steps there are")
    if stored is None:
        batch = loaded.image.manifest.batch or 1
        stored = Stored(synthetic_feed(loaded.inputs, batch, seed), {})
        write_note(f"no `--input`: random inputs of seed {seed}, batch {batch}")
    reference = None
    if compare is not None:
        from anacc.cli.reference import OnnxReference

        reference = OnnxReference(compare, [port.name for port in loaded.outputs])

    def answers(run: Run) -> Arrays:
        """The outputs, step by step where states are fed back."""
        if not fed_back:
            return dict(run(stored.feed))
        found = steps(run, stored.feed, loaded.inputs, fed_back)
        return stacked(outputs for _, outputs in found)

    outputs = answers(lambda feed: loaded.run(feed, executor=executor))
    wanted = {} if reference is None else answers(reference.run)
    if output is not None:
        write_npz(output, outputs)
    rows = [
        _row(name, array, _ratios(name, array, wanted, stored.reference))
        for name, array in outputs.items()
    ]
    found = None
    if layers and compare is not None and reference is not None:
        feed = stored.feed
        if fed_back:
            # The states of the last step are those that the model itself comes to.
            last = deque(steps(reference.run, feed, loaded.inputs, fed_back), maxlen=1)
            if not last:
                raise FeedError("the stream has no steps, and so no layers to compare")
            feed, _ = last.pop()
        found = loaded.compare(compare, feed)
    if as_json:
        data = {"schema": 1, "executor": executor, "outputs": rows}
        write_json(data if found is None else {**data, "layers": found.data()})
        return
    click.echo(_text(rows), nl=False)
    if found is not None:
        from anacc.cli.layers import layer_table

        click.echo("\n" + layer_table(found), nl=False)


def _stored(inputs: tuple[str, ...]) -> Stored | None:
    """The feed that `--input` names, None without one."""
    if not inputs:
        return None
    files = [text for text in inputs if text.endswith(".npz")]
    if not files:
        return Stored(load_pairs(inputs), {})
    if len(inputs) > 1:
        raise UsageError("`--input` takes one `.npz` file, or `NAME=FILE.npy` for each input")
    return load_stored(files[0])


def _check_can_be_written(program: Program) -> None:
    """Refuse to write what `.npz` files do not hold, before the run.

    Raises:
        UsageError: an output is no tensor.
    """
    for port in program.outputs:
        if not is_tensor(port.dtype):
            raise UsageError(
                f"output `{port.name}` is of type {port.dtype}, which an `.npz` file cannot hold",
                "run the program without `-o`, or from Python",
            )


def _ratios(name: str, array: Array, wanted: Arrays, stored: Arrays) -> dict[str, float]:
    if not _is_numeric(array):
        return {}
    sources = {ONNX_RUNTIME: wanted, STORED: stored}
    return {key: snr_db(arrays[name], array) for key, arrays in sources.items() if name in arrays}


def _is_numeric(value: Any) -> bool:
    """Whether an output is an array of numbers: neither strings nor a sequence of arrays."""
    return isinstance(value, np.ndarray) and value.dtype.kind in "biuf"


def _row(name: str, array: Any, ratios: dict[str, float]) -> dict[str, Any]:
    """What is said of an output; statistics are absent where it has no elements, or no numbers."""
    if not isinstance(array, np.ndarray):
        length = 0 if array is None else len(array)
        return {"name": name, "dtype": "sequence", "shape": [length]}
    row: dict[str, Any] = {"name": name, "dtype": str(array.dtype), "shape": list(array.shape)}
    if array.size and _is_numeric(array):
        values = array.astype(np.float64)
        for statistic in ("min", "mean", "max", "std"):
            row[statistic] = float(getattr(values, statistic)())
    return row | ratios


def _text(rows: list[dict[str, Any]]) -> str:
    statistics = ("min", "mean", "max", "std")
    compared = [key for key in TITLES if any(key in row for row in rows)]
    header = ["output", "dtype", "shape", *statistics, *(TITLES[key] for key in compared)]
    cells = [
        [
            row["name"],
            row["dtype"],
            " x ".join(map(str, row["shape"])) or "scalar",
            *(f"{row[key]:.5g}" if key in row else "" for key in statistics),
            *(f"{row[key]:.2f}" if key in row else "" for key in compared),
        ]
        for row in rows
    ]
    return plain(table(header, cells, "lllrrrrrr"), width=160)
