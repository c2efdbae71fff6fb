"""No unit holds more than the target gives it.

Property: every stream runs on a unit that exists; an LDPU takes vectors of at most the columns of
its crossbar and does only what the target lists; a GDPU works on at most its hidden units at a
time, so no stream on one keeps states of more, and does only what the target lists.  The target
states no size of a GDPU's memory, where the states of several streams wait, nor of a bridge buffer,
so the elements that buffers hold are reported, and that accesses stay inside is checked
(`buffers`).  Argument: every instruction and register is looked at.
"""

from __future__ import annotations

from anacc.program.image import Image
from anacc.program.isa import Role
from anacc.program.model import Stream
from anacc.targets import Target
from anacc.verification.faults import Findings
from anacc.verification.structure import named, slices, steps

_LDPU = {
    "affine": ("affine",),
    "scale": ("affine",),
    "add": ("accumulate", "residual"),
    "relu": ("relu",),
    "clamp": ("clamp",),
    "quantise": ("requantise",),
}
_GDPU = {
    "affine": ("affine", "tanh", "sigmoid", "table"),  # also the halves around a sigmoid
    "add": ("add",),
    "multiply": ("multiply",),
    "lookup": ("tanh", "sigmoid", "table"),
}


def check_units(image: Image, target: Target, findings: Findings) -> None:
    """Check every stream against the unit that it runs on."""
    counts = {
        "core": target.cores,
        "gdpu": target.gdpu.count.value,
        "bridge": target.bridge.count.value,
        "host": 1,
    }
    limit = target.gdpu.hidden_units.value
    most_hidden = buffers = 0
    for number, stream in enumerate(image.code.streams):
        unit = stream.unit
        if not (0 <= unit.index < counts[unit.kind] and unit.chip < target.grid.max_chips.value):
            findings.fault("unit", f"{named(image, number)} runs on {unit}, which does not exist")
        buffers += stream.buffer.size if stream.buffer else 0
        if unit.kind == "core":
            _functions(image, number, _LDPU, set(target.ldpu.functions.value), findings)
            _widths(image, number, target.crossbar.columns.value, findings)
        elif unit.kind == "gdpu":
            _functions(image, number, _GDPU, set(target.gdpu.functions.value), findings)
            units = _hidden(stream)
            most_hidden = max(most_hidden, units)
            if units > limit:
                findings.fault(
                    "unit",
                    f"{named(image, number)} keeps the states of {units} hidden units, but a GDPU "
                    f"works on {limit}",
                )
    findings.figures["units"] = {
        "most_hidden_units": most_hidden,
        "hidden_units": limit,
        "buffer_elements": buffers,
    }


def _hidden(stream: Stream) -> int:
    """Hidden units of which a stream keeps the state: its longest state register."""
    return max((each.length for each in stream.registers if each.state), default=0)


def _functions(
    image: Image,
    number: int,
    needs: dict[str, tuple[str, ...]],
    has: set[str],
    findings: Findings,
) -> None:
    stream = image.code.streams[number]
    for op in sorted({step.instr.op for step in steps(stream.body)} & needs.keys()):
        if has.isdisjoint(needs[op]):
            findings.fault(
                "unit",
                f"{named(image, number)} does `{op}` on {stream.unit}, which has no "
                f"{' or '.join(needs[op])}",
            )


def _widths(image: Image, number: int, columns: int, findings: Findings) -> None:
    """What the LDPU computes is no wider than the crossbar's columns."""
    for step in steps(image.code.streams[number].body):
        if step.instr.op not in _LDPU:
            continue
        for part in slices(step.instr, Role.WRITE):
            if part.length > columns:
                findings.fault(
                    "unit",
                    f"{named(image, number)}: `{step.instr.op}` on {part.length} values, but the "
                    f"LDPU has {columns} columns",
                )
