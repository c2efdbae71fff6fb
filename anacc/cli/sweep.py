"""`anacc sweep`: one model compiled over a grid of parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from anacc.atomic import write_atomically
from anacc.cli.compile import compile_command, parse_shapes
from anacc.cli.console import progress, write_note, write_warning
from anacc.cli.options import parse_settings
from anacc.cli.output import check_output
from anacc.errors import CompileError, UsageError
from anacc.evaluation import METRICS
from anacc.reports.text import plain, table
from anacc.streaming import parse_states

# Of `anacc compile`: what is about its one program.
NOT_SHARED = {"model", "output", "mapping", "settings", "dump_ir", "print_ir_after", "timing"}

MAX_WIDTH = 200


@click.command("sweep")
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=V1,V2,...",
    help="Values for a key of the target, or sizes: `crossbar=128x128,256x256`. The entries of a "
    "value that is a list are separated by `+`. May be repeated: every combination is compiled.",
)
@click.option(
    "--vary",
    multiple=True,
    metavar="OPTION=V1,V2,...",
    help="Values for an option of the compiler: `read-mode=4-phase,1-phase`. May be repeated.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="SET.npz",
    help="Data set for `--metric`, as for `anacc eval`.",
)
@click.option(
    "--metric",
    type=click.Choice(METRICS),
    help="Measure accuracy on `--data`: top1, or snr (dB) or mse against the arrays `out:NAME` of "
    "the data set, or against the model in float32 where it has none.",
)
@click.option("--csv", "csv_file", type=click.Path(path_type=Path), help="CSV file to write.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="JSON file to write.")
@click.option(
    "--jobs", type=click.IntRange(min=1), help="Points compiled at a time; all CPUs without it."
)
def sweep_command(
    model: Path,
    settings: tuple[str, ...],
    vary: tuple[str, ...],
    data: Path | None,
    metric: str | None,
    csv_file: Path | None,
    json_file: Path | None,
    jobs: int | None,
    shapes: tuple[str, ...],
    states: tuple[str, ...],
    calibration: Path | None,
    **options: Any,
) -> None:
    """Compile a MODEL for every combination of some parameters, and print what comes out.

    A point that does not compile says why; the status is 1 only if none does.
    """
    if (metric is None) != (data is None):
        raise UsageError("`--metric` and `--data` belong together", "give both, or none")
    inputs = (model, calibration, data, Path(str(options["target"])))
    for file in (csv_file, json_file):
        if file is not None:
            check_output(file, inputs)
    if csv_file is not None and csv_file == json_file:
        raise UsageError("`--csv` and `--json` name the same file", "name two files")
    # Loaded here, so that other commands do not wait for it.
    from anacc.sweeps.axes import grid, texts
    from anacc.sweeps.run import run
    from anacc.sweeps.study import Study
    from anacc.sweeps.tables import as_csv, as_json, as_table

    axes = {key: texts(text) for key, text in parse_settings(settings).items()}
    points = grid(axes, _varied(vary))
    options |= {"shapes": parse_shapes(shapes), "states": parse_states(states)}
    study = Study(model, calibration, data, metric, options)
    with progress() as bars:
        task = bars.add_task("points", total=len(points))
        rows = run(study, points, jobs, lambda done, total: bars.update(task, completed=done))
    header, cells, align = as_table(rows, metric)
    width = max(MAX_WIDTH, 2 * len(header) + sum(len(max(column, key=len)) for column in header))
    click.echo(plain(table(header, cells, align), width), nl=False)
    for warning in dict.fromkeys(warning for row in rows for warning in row["warnings"]):
        write_warning(warning)
    _write(csv_file, lambda: as_csv(rows, metric))
    _write(json_file, lambda: as_json(rows, model.name, metric))
    failures = sum(row["error"] is not None for row in rows)
    if failures == len(rows):
        raise CompileError(
            "no point of the sweep compiles" if failures > 1 else str(rows[0]["error"]),
            "the table gives the reason of each" if failures > 1 else None,
        )


SHARED: Sequence[click.Option] = [
    each
    for each in compile_command.params
    if isinstance(each, click.Option) and each.name not in NOT_SHARED
]
"""Options that `anacc compile` declares and that hold for all points."""

sweep_command.params += SHARED


def _varied(vary: Sequence[str]) -> dict[str, list[Any]]:
    """The values of the options that `--vary OPTION=V1,V2,...` gives, as the options parse them.

    Raises:
        UsageError: an axis has another form, its option does not exist or cannot vary, or does not
            take one of the values.
    """
    known = {str(each.name): each for each in SHARED if _can_vary(each)}
    found: dict[str, list[Any]] = {}
    for axis in vary:
        name, separator, text = axis.partition("=")
        option = known.get(name.strip().removeprefix("--").replace("-", "_"))
        if option is None or not separator:
            listed = ", ".join(f"`{name.replace('_', '-')}`" for name in known)
            raise UsageError(
                f"`--vary {axis[:80]}` is not of the form `OPTION=V1,V2,...` with an option that "
                "can vary",
                f"these can: {listed}",
            )
        name = str(option.name)
        if name in found:
            raise UsageError(f"`--vary` gives `{name}` twice", "give it once")
        context = click.get_current_context()
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            title = name.replace("_", "-")
            raise UsageError(f"`--{title}` and `--vary {title}` contradict", "give one of them")
        try:
            found[name] = [option.type.convert(each, option, context) for each in text.split(",")]
        except click.BadParameter as error:
            raise UsageError(f"`--vary {axis[:80]}`: {error.message}") from None
    return found


def _can_vary(option: click.Option) -> bool:
    plain_type = not isinstance(option.type, click.Path)
    return plain_type and not option.multiple and not option.is_flag


def _write(file: Path | None, text: Callable[[], str]) -> None:
    if file is not None:
        write_atomically(file, [text().encode()])
        write_note(f"wrote `{file}`")
