"""How long each unit works on one sample, from the target's times alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from anacc.program.image import Image
from anacc.program.model import Slice, Stream
from anacc.targets import Target
from anacc.verification.structure import Step, integer, operands, round_of, steps


@dataclass(frozen=True)
class Stage:
    """A unit and the time in ns that it works on a sample."""

    unit: str
    ns: float


def slowest_stages(image: Image, target: Target) -> dict[int, Stage]:
    """For each round, the unit that works longest on a sample; the host counts nothing.

    A core takes for each product the latency of its read mode and the LDPU's time for each column;
    a GDPU its time for each hidden unit of each token; a bridge its time for each token, which may
    go to several channels, in parts or whole.  Streams of one unit work one after another.
    """
    busy: dict[int, dict[str, float]] = {}
    for stream in image.code.streams:
        units = busy.setdefault(round_of(stream), {})
        unit = str(stream.unit)
        units[unit] = units.get(unit, 0.0) + _time(image, target, stream)
    found = {}
    for number, units in sorted(busy.items()):
        unit = max(sorted(units), key=lambda name: units[name])
        found[number] = Stage(unit, units[unit])
    return found


def _time(image: Image, target: Target, stream: Stream) -> float:
    kind = stream.unit.kind
    if kind == "host":
        return 0.0
    if kind == "bridge":
        return _tokens(stream) * target.latency.bridge_per_step.value
    return sum(step.executions * _once(image, target, kind, step) for step in steps(stream.body))


def _tokens(stream: Stream) -> int:
    """Tokens that a stream makes: what it sends to the channel that gets most."""
    sent: Counter[int] = Counter()
    for step in steps(stream.body):
        if step.instr.op == "send":
            sent[integer(step.instr, "channel")] += step.executions
    return max(sent.values(), default=0)


def _once(image: Image, target: Target, kind: str, step: Step) -> float:
    """Time of one execution: a product of a core, a token that a GDPU sends."""
    latency = target.latency
    if step.instr.op == "mvm":
        phases = image.code.adcs[integer(step.instr, "adc")].phases
        width = operands(step.instr)["dst"]
        columns = width.length if isinstance(width, Slice) else 0
        reads = [
            table.latency.value
            for _, table in target.read_modes.tables().values()
            if table is not None and table.phases.value == phases
        ]
        return max(reads, default=0.0) + columns * latency.ldpu_per_column.value
    if kind == "gdpu" and step.instr.op == "send":
        source = operands(step.instr)["src"]
        units = source.length if isinstance(source, Slice) else 0
        return units * latency.gdpu_per_unit.value
    return 0.0
