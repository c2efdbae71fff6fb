"""`anacc eval`: a metric of a program over a data set."""

from __future__ import annotations

from pathlib import Path

import click

from anacc.api import Executor, load
from anacc.cli.console import progress, write_json
from anacc.cli.meters import LABEL, ErrorMeter, Meter, Top1Meter
from anacc.cli.options import executor_options, program_argument
from anacc.dataset import batches, sample_count
from anacc.errors import UsageError
from anacc.feeds import load_stored
from anacc.reports.text import plain, table

DEFAULT_BATCH = 32


@click.command("eval")
@program_argument
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    required=True,
    metavar="SET.npz",
    help="Arrays named as the inputs, samples along the first axis, and `label` for top1.",
)
@click.option(
    "--metric",
    type=click.Choice(["top1", "snr", "mse"]),
    required=True,
    help="top1: share of labels that have the largest score; snr (dB) and mse: against "
    "`--compare`, or arrays `out:NAME` of the data set.",
)
@click.option(
    "--compare",
    type=click.Path(path_type=Path),
    metavar="MODEL.onnx",
    help="Run this model in ONNX Runtime too.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    help=f"Samples in one run; {DEFAULT_BATCH}, or the program's fixed batch, without it.",
)
@executor_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def eval_command(
    program: Path,
    data: Path,
    metric: str,
    compare: Path | None,
    batch_size: int | None,
    executor: Executor,
    threads: int | None,
    as_json: bool,
) -> None:
    """Measure a PROGRAM over a data set."""
    from anacc.cli.reference import OnnxReference

    loaded = load(program, threads)
    stored = load_stored(data)
    names = [port.name for port in loaded.outputs]
    reference = None if compare is None else OnnxReference(compare, names)
    if metric != "top1" and reference is None and not stored.reference:
        raise UsageError(
            f"`--metric {metric}` needs a reference",
            "name the model with `--compare`, or store its outputs as `out:NAME` in the data set",
        )
    size = _batch_size(batch_size, loaded.image.manifest.batch)
    label = LABEL if metric == "top1" else None
    samples = sample_count(stored.feed, loaded.inputs, label)
    meter: Meter
    if label is None:
        meter = ErrorMeter(metric, loaded.outputs, stored.reference)
    else:
        meter = Top1Meter(loaded.outputs, stored.feed[label])
    with progress() as bars:
        task = bars.add_task("samples", total=samples)
        for batch in batches(stored.feed, loaded.inputs, size, label):
            outputs = loaded.run(batch.feed, executor=executor)
            meter.add(batch, outputs, None if reference is None else reference.run(batch.feed))
            bars.advance(task, batch.count)
    rows = meter.rows()
    if as_json:
        write_json({"schema": 1, "metric": metric, "samples": samples, "outputs": rows})
        return
    header = list(rows[0])
    cells = [[meter.shown(value) for value in row.values()] for row in rows]
    titles = ["output", *(meter.titles[key] for key in header[1:])]
    click.echo(plain(table(titles, cells, "l" + "r" * len(header)), width=160), nl=False)
    click.echo(f"{samples} samples")


def _batch_size(wanted: int | None, fixed: int | None) -> int:
    if fixed is not None and wanted not in (None, fixed):
        raise UsageError(
            f"the program has a fixed batch of {fixed}, not {wanted}", "leave `--batch-size` out"
        )
    return fixed or wanted or DEFAULT_BATCH
