"""What a pass is, and how passes run one after the other.

The pipeline itself knows nothing of any pass: it verifies before the first and after each, and
holds each to the rule that it builds a new module and leaves its input as it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from anacc.errors import IrError, UsageError
from anacc.ir.module import Module
from anacc.ir.text import print_module, write_module
from anacc.ir.verify import verify

IMPORT = "import"
"""The name of the module before the first pass, in dumps and for `print_after`."""


class Pass(Protocol):
    """IR in, IR out: a frozen dataclass whose fields are the options of the pass."""

    @property
    def name(self) -> str:
        """The name in kebab case, as dumps and the command line show it."""
        ...

    def __call__(self, module: Module) -> Module:
        """Build the new module; the given one and all in it stay as they are."""
        ...


@dataclass(frozen=True)
class PassTiming:
    """How long a pass took, in seconds, without verifying and dumping."""

    name: str
    seconds: float


def run_pipeline(
    module: Module,
    passes: Sequence[Pass],
    *,
    dump_to: Path | None = None,
    print_after: str | None = None,
    write: Callable[[str], None] = print,
    on_pass: Callable[[str, int, int], None] | None = None,
) -> tuple[Module, list[PassTiming]]:
    """Run passes in order, and verify the module before the first and after each.

    Args:
        module: what the first pass gets.
        passes: the passes; each may change the level.
        dump_to: a folder for the module before the first pass and after each, as `00_import.txt`,
            `01_<name>.txt`, ...: `anacc.ir.parse.read_module` reads them.  The module that a bad
            pass leaves is dumped too.
        print_after: name of the pass (or `import`) after which the module is given to `write`.
        write: what prints text.
        on_pass: called before each pass with its name, its number from 1, and how many there are.

    Returns:
        the last module, whose constants are read-only, and the time that each pass took.

    Raises:
        UsageError: if no pass is called `print_after`.
        IrError: if a module breaks an invariant, or a pass changes its input; it names the pass.
    """
    _check_pass_name(print_after, passes)

    def show(number: int, name: str, module: Module) -> None:
        if dump_to is not None:
            write_module(module, dump_to, f"{number:02d}_{name}")
        if print_after == name:
            write(print_module(module))

    module = _with_frozen_constants(module)
    show(0, IMPORT, module)
    _verify("before the first pass", module)
    timings = []
    for number, each in enumerate(passes, start=1):
        if on_pass is not None:
            on_pass(each.name, number, len(passes))
        start = time.perf_counter()
        result = _run(each, module)
        timings.append(PassTiming(each.name, time.perf_counter() - start))
        module = _with_frozen_constants(result)
        show(number, each.name, module)
        _verify(f"after pass `{each.name}`", module)
    return module, timings


def _check_pass_name(print_after: str | None, passes: Sequence[Pass]) -> None:
    names = [IMPORT, *dict.fromkeys(each.name for each in passes)]
    if print_after is not None and print_after not in names:
        raise UsageError(
            f"there is no pass `{print_after}` to print the module after",
            f"the passes are {', '.join(f'`{name}`' for name in names)}",
        )


def _run(each: Pass, module: Module) -> Module:
    """Run one pass and check that its input is as it was."""
    before = _snapshot(module)
    try:
        result = each(module)
    except Exception as error:
        error.add_note(f"in pass `{each.name}`")
        raise
    if not isinstance(result, Module):
        raise IrError(f"pass `{each.name}` returned a {type(result).__name__}, not a module")
    changed = _changed_part(before, module)
    if changed is not None:
        raise IrError(f"pass `{each.name}` changed the {changed} of its input in place")
    return result


def _snapshot(module: Module) -> Module:
    """A copy that shares nothing that can change, except the arrays, which are read-only."""
    return replace(
        module,
        values=dict(module.values),
        constants=dict(module.constants),
        ops=tuple(replace(op, attributes=dict(op.attributes)) for op in module.ops),
    )


def _changed_part(before: Module, after: Module) -> str | None:
    if before.values != after.values:
        return "values"
    if before.ops != after.ops:
        return "ops"
    if before.constants.keys() != after.constants.keys() or any(
        array is not after.constants[name] for name, array in before.constants.items()
    ):
        return "constants"
    return None


def _with_frozen_constants(module: Module) -> Module:
    """The module with read-only constants: NumPy itself then stops a pass that writes to one."""
    constants = {}
    for name, array in module.constants.items():
        if isinstance(array, np.ndarray) and array.flags.writeable:
            array = array.view()
            array.flags.writeable = False
        constants[name] = array
    return replace(module, constants=constants)


def _verify(when: str, module: Module) -> None:
    try:
        verify(module)
    except IrError as error:
        raise IrError(f"{when}: {error.message}", error.hint) from error
