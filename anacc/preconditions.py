"""What is refused before any pass runs: options that contradict each other or the target, and
targets that no program can express."""

from __future__ import annotations

from anacc.errors import CompileError, UsageError
from anacc.targets import Target
from anacc_passes.ranges import LARGEST_CODE


def check_together(
    optimize: str | None, packing: str, mapped: bool, chips: int | None, reload: bool
) -> None:
    """Refuse options of the mapper that contradict each other.

    Raises:
        UsageError: naming both.
    """
    if optimize == "area" and packing == "never":
        raise UsageError(
            "`optimize` is `area` and `packing` is `never`: the least area takes packing",
            "leave `packing` out",
        )
    if optimize in ("throughput", "latency") and packing == "densest":
        raise UsageError(
            f"`optimize` is `{optimize}` and `packing` is `densest`: layers that are cut to fill "
            "crossbars leave no room for copies",
            "leave one of them out",
        )
    if mapped and (optimize is not None or chips != 1 or reload):
        other = "optimize" if optimize is not None else "reload" if reload else "chips"
        raise UsageError(
            f"`mapping` says where layers lie on one chip, and `{other}` would place them anew",
            "leave one of them out",
        )


def check_target(chip: Target) -> None:
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


def check_chips(chip: Target, count: int | None) -> None:
    """Refuse more chips than the target allows.

    Raises:
        UsageError: naming the option.
    """
    most = chip.grid.max_chips.value
    if count is not None and count > most:
        raise UsageError(
            f"`chips` is {count}, and a program for target `{chip.chip.name.value}` may use {most}",
            "raise `grid.max_chips` in a target file and give it with --target",
        )
