"""`anacc eval`: a metric of a program over a data set."""

from __future__ import annotations

from pathlib import Path

import click

from anacc.api import Executor, load
from anacc.cli.console import progress, write_json
from anacc.cli.options import executor_options, program_argument
from anacc.errors import UsageError
from anacc.evaluation import DEFAULT_BATCH, METRICS, evaluate
from anacc.feeds import load_stored
from anacc.reports.text import plain, table


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
    type=click.Choice(METRICS),
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
    with progress() as bars:
        task = bars.add_task("samples", total=None)
        done = evaluate(
            loaded,
            stored,
            metric,
            reference=None if reference is None else reference.run,
            batch_size=batch_size,
            executor=executor,
            on_samples=lambda count, total: bars.update(task, advance=count, total=total),
        )
    meter, samples = done.meter, done.samples
    rows = meter.rows()
    if as_json:
        write_json({"schema": 1, "metric": metric, "samples": samples, "outputs": rows})
        return
    header = list(rows[0])
    cells = [[meter.shown(value) for value in row.values()] for row in rows]
    titles = ["output", *(meter.titles[key] for key in header[1:])]
    click.echo(plain(table(titles, cells, "l" + "r" * len(header)), width=160), nl=False)
    click.echo(f"{samples} samples")
