"""`anacc compile`: an ONNX model to a program."""

from __future__ import annotations

from pathlib import Path

import click

from anacc.cli.console import progress, write_note, write_warning
from anacc.cli.options import Chips, parse_settings, set_option, state_option
from anacc.cli.output import check_folder, check_output
from anacc.errors import UsageError
from anacc.reports.text import plain, table
from anacc.streaming import parse_states

# Stated again, because to import them would load the compiler whenever the command line starts.
CALIBRATION_METHODS = ("mse", "minmax", "percentile", "entropy")
PACKINGS = ("auto", "always", "never", "densest")
CORRECTIONS = ("none", "bias", "bias+range")
ROW_COPIES = ("auto", "never")
OBJECTIVES = ("throughput", "latency", "area")

MAX_DIGITS = 10
"""Of a size; ONNX could state larger ones, but no computer could hold the tensor."""


@click.command("compile")
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="Program to write."
)
@click.option(
    "--target", default="hermes", show_default=True, help="Shipped target, or a target file."
)
@set_option
@click.option(
    "--calibration",
    type=click.Path(path_type=Path),
    metavar="FEED.npz|DIR",
    help="Inputs that set the activation scales; each .npz of a folder is one feed. Without it: "
    "random inputs.",
)
@click.option(
    "--calibration-method",
    default="mse",
    show_default=True,
    type=click.Choice(CALIBRATION_METHODS),
    help="How the range of an activation becomes a scale.",
)
@click.option(
    "--read-mode", metavar="4-phase|1-phase", help="Read mode; the target's default without it."
)
@click.option(
    "--shape",
    "shapes",
    multiple=True,
    metavar="NAME=VALUE",
    help="Size of a symbolic dimension other than the batch; may be repeated.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Seed of the random calibration inputs and of the placement.",
)
@click.option(
    "--packing",
    default="auto",
    show_default=True,
    type=click.Choice(PACKINGS),
    help="Whether layers share crossbars; `densest` also cuts them where that saves a crossbar.",
)
@click.option(
    "--correction",
    default="bias",
    show_default=True,
    type=click.Choice(CORRECTIONS),
    help="What digital units undo of the mean errors of codes and converters.",
)
@click.option(
    "--row-copies",
    default="auto",
    show_default=True,
    type=click.Choice(ROW_COPIES),
    help="Whether rows that a tile leaves free hold copies of its rows, where converters would "
    "hardly resolve its sums; none with `--packing always` or `densest`.",
)
@click.option(
    "--mapping",
    type=click.Path(path_type=Path),
    metavar="FILE.json",
    help="Where layers lie: a file that `anacc inspect --ibm-json` wrote, or of its schema. All "
    "others are placed on the cells that are left.",
)
@click.option(
    "--chips",
    default="1",
    show_default=True,
    type=Chips(),
    metavar="N|auto",
    help="Chips in a chain that the layers are cut over: N at most, or as many as the model needs.",
)
@click.option(
    "--reload",
    is_flag=True,
    help="Run what the chips do not hold in rounds: their crossbars are programmed anew for each.",
)
@click.option(
    "--optimize",
    type=click.Choice(OBJECTIVES),
    help="Copy layers to idle cores, so that products on crossbars take least time, on the slowest "
    "core or on the way of one sample; or use as few cores as packing finds. Without it: no "
    "copies.",
)
@click.option(
    "--effort",
    default=1,
    show_default=True,
    type=click.IntRange(0, 3),
    help="How long to look for a better placement and better routes, 0 to 3: 0 for a first look.",
)
@click.option("--strict", is_flag=True, help="Refuse a model of which a node runs on the host.")
@state_option
@click.option(
    "--dump-ir",
    metavar="DIR",
    help="Write the module to this folder after each pass.",
)
@click.option("--print-ir-after", metavar="PASS", help="Print the module after this pass.")
@click.option("--timing", is_flag=True, help="Print how long each pass took.")
def compile_command(
    model: Path,
    output: Path,
    target: str,
    settings: tuple[str, ...],
    calibration: Path | None,
    calibration_method: str,
    read_mode: str | None,
    shapes: tuple[str, ...],
    seed: int,
    packing: str,
    correction: str,
    row_copies: str,
    mapping: Path | None,
    chips: int | str,
    reload: bool,
    optimize: str | None,
    effort: int,
    strict: bool,
    states: tuple[str, ...],
    dump_ir: str | None,
    print_ir_after: str | None,
    timing: bool,
) -> None:
    """Compile an ONNX MODEL to a program."""
    sizes, fed_back = parse_shapes(shapes), parse_states(states)
    chosen = parse_settings(settings)
    check_output(output, inputs=(model, calibration, Path(target), mapping))
    if dump_ir is not None:
        check_folder(dump_ir)
    # Loaded here, so that `anacc run` and wrong use do not wait for the compiler.
    from anacc.compiler import compile_image
    from anacc.feeds import load_feeds
    from anacc.program.container import write
    from anacc.reports.mapping import report

    with progress() as bars:
        task = bars.add_task("import", total=None)

        def on_progress(name: str, number: int, total: int) -> None:
            bars.update(task, description=name, completed=number - 1, total=total)

        image, timings = compile_image(
            model,
            target=target,
            calibration=None if calibration is None else load_feeds(calibration),
            read_mode=read_mode,
            seed=seed,
            shapes=sizes,
            calibration_method=calibration_method,
            packing=packing,
            correction=correction,
            row_copies=row_copies,
            mapping=mapping,
            chips=chips,
            reload=reload,
            optimize=optimize,
            effort=effort,
            strict=strict,
            states=fed_back,
            settings=chosen,
            dump_ir=None if dump_ir is None else Path(dump_ir),
            print_ir_after=print_ir_after,
            on_progress=on_progress,
            warn=write_warning,
        )
        write(image, output)
    if timing:
        rows = [(each.name, f"{each.seconds:.3f}") for each in timings]
        rows.append(("all passes", f"{sum(each.seconds for each in timings):.3f}"))
        click.echo(plain(table(("pass", "seconds"), rows, "lr")), nl=False)
    made = report(image)
    cores, segments = made["cores"], made["program"]["segments"]
    chain = f" on {cores['chips']} chips" if cores["chips"] > 1 else ""
    rounds = f" in {cores['rounds']} rounds" if cores["rounds"] > 1 else ""
    write_note(
        f"wrote `{output}`: {cores['used']} of {cores['available']} cores{chain}{rounds}, "
        f"{segments} host "
        f"segment{'' if segments == 1 else 's'}; `anacc inspect {output}` shows the mapping"
    )


def parse_shapes(shapes: tuple[str, ...]) -> dict[str, int]:
    """Return the sizes that `--shape NAME=VALUE` options give to symbolic dimensions.

    Raises:
        UsageError: an option has another form, a size is not positive or absurd, or a name occurs
            twice.
    """
    sizes: dict[str, int] = {}
    for shape in shapes:
        name, separator, value = shape.rpartition("=")
        whole = separator and name and value.isascii() and value.isdigit()
        if whole and len(value.lstrip("0")) > MAX_DIGITS:
            raise UsageError(
                f"`--shape {shape[:80]}` gives a size of more than {MAX_DIGITS} digits"
            )
        if not (whole and int(value) > 0):
            raise UsageError(
                f"`--shape {shape}` is not of the form `NAME=VALUE` with a positive VALUE"
            )
        if name in sizes:
            raise UsageError(f"`--shape` gives dimension `{name}` twice")
        sizes[name] = int(value)
    return sizes
