"""Which other target runs an op that this one cannot: what a user is told to do."""

from __future__ import annotations

from functools import cache

from anacc.ir import Op
from anacc.targets import Target, load_target, shipped_targets
from anacc_passes.units import missing


def hint(op: Op) -> str:
    """What to do about a graph op that no unit of the target can run."""
    able = [name for name, target in _shipped() if missing(target, op) is None]
    if able:
        return f"compile for {' or '.join(f'`{name}`' for name in able)}, which can run it"
    return "list what is missing in a target file of your own, if your chip has it"


@cache
def _shipped() -> tuple[tuple[str, Target], ...]:
    return tuple((name, load_target(name)) for name in shipped_targets())
