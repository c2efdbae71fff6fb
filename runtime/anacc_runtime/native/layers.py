"""Recognises what the native kernel executes in one call: a crossbar and all that its local digital
unit does with the counts.

In the text of a core stream the pattern is

    mvm        counts, x
    affine     y, counts, scale, offset        (or: scale y, counts, scale)
    add        y, y, partial                   (any number of adds, either operand first; the other
    scale      t, residual, scale               operand may be the result of a `scale` that has no
    add        y, y, t                          other use)
    relu       y, y                            (or clamp; or neither)
    quantise   codes, y                        (or not)

with recv, send and other instructions anywhere between, as long as they neither see an intermediate
value nor change a source.  `y` may also be sent.  What does not match is left as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from anacc.program.model import Const, Format, Instr, Slice, Stream
from anacc_runtime.plan import Plan, Repeat, Step, covers, overlap, reads, writes

# Limits of the kernel.
MAX_ADDENDS = 4
MAX_CELLS = 65536  # rows, or columns
SCALABLE = (Format.INT8, Format.BINARY16)  # addends


@dataclass(frozen=True)
class Layer:
    """A matched pattern: what the kernel is called with, as operands of the stream.

    `addends` are pairs of an operand and its scale, in the order in which they are added.
    `activation` is as the kernel takes it.  `value` or `codes` is None where nothing reads it.
    """

    x: Slice
    row: int
    column: int
    adc: int
    scale: Const
    offset: Const | None
    addends: tuple[tuple[Slice, Const | None], ...]
    activation: str | tuple[float, float] | None
    columns: int
    value: Slice | None
    codes: Slice | None


@dataclass(frozen=True)
class LayerStep(Step):
    """A step that stands for a whole pattern; `instr` is its mvm."""

    layer: Layer


def fuse(plan: Plan, stream: Stream) -> Plan:
    """A plan in which every matched pattern is one `LayerStep`.

    Only bodies without inner loops are searched.  A value that is written there can be read
    elsewhere only where it is kept: in a state register, or after a loop that runs step by step.
    """
    return _fuse(plan, stream, Counter(registers_read(plan)), iterate=False)


def _fuse(plan: Plan, stream: Stream, all_reads: Counter[int], iterate: bool) -> Plan:
    steps = tuple(node for node in plan if isinstance(node, Step))
    if len(steps) == len(plan):
        kept = {k for k, register in enumerate(stream.registers) if register.state}
        if iterate:
            kept.update(all_reads - Counter(registers_read(plan)))
        return _fuse_body(steps, stream, kept)
    result: list[Step | Repeat] = []
    for node in plan:
        if isinstance(node, Repeat):
            body = _fuse(node.body, stream, all_reads, node.iterate)
            result.append(replace(node, body=body))
        else:
            result.append(node)
    return tuple(result)


def registers_read(plan: Plan) -> Iterator[int]:
    """The register of each read in a plan."""
    for node in plan:
        if isinstance(node, Repeat):
            yield from registers_read(node.body)
        else:
            yield from (source.register for source in step_reads(node))


def _fuse_body(steps: tuple[Step, ...], stream: Stream, kept: set[int]) -> Plan:
    """Fuse pattern by pattern, each in the text that the one before has left.

    From the end: where two crossbars meet in an add, the later one takes it.

    Args:
        steps: a body.
        stream: the stream.
        kept: registers whose last value may be read outside the body, or in a later iteration.
    """
    crossbars = [step for step in steps if step.instr.op == "mvm"]
    for crossbar in reversed(crossbars):
        match = _Match(steps, stream, kept, steps.index(crossbar)).find()
        if match is not None:
            layer, used, place = match
            fused = LayerStep(crossbar.instr, crossbar.path, None, layer)
            steps = tuple(
                fused if position == place else step
                for position, step in enumerate(steps)
                if position == place or position not in used
            )
    return steps


def step_reads(step: Step) -> tuple[Slice, ...]:
    """The register slices that a step reads."""
    if isinstance(step, LayerStep):
        return step.layer.x, *(source for source, _ in step.layer.addends)
    return tuple(reads(step.instr))


def step_writes(step: Step) -> tuple[Slice, ...]:
    """The register slices that a step writes."""
    if isinstance(step, LayerStep):
        return tuple(made for made in (step.layer.value, step.layer.codes) if made is not None)
    return tuple(writes(step.instr))


class _Match:
    """The search for a pattern that begins at one mvm."""

    def __init__(self, steps: tuple[Step, ...], stream: Stream, kept: set[int], start: int) -> None:
        # A fused step is no part of another pattern, whatever its mvm looks like.
        fused = Instr("layer", ())
        self.instrs = tuple(fused if isinstance(step, LayerStep) else step.instr for step in steps)
        self.reads = tuple(map(step_reads, steps))
        self.writes = tuple(map(step_writes, steps))
        self.formats = tuple(register.format for register in stream.registers)
        self.kept = kept
        self.start = start
        self.addends: list[tuple[Slice, Const | None]] = []
        self.activation: str | tuple[float, float] | None = None

    def find(self) -> tuple[Layer, list[int], int] | None:
        """The layer, the positions of its instructions, and where it is to be executed."""
        dst, x, row, column, adc = self.instrs[self.start].operands
        position = self._sole_reader(self.start)
        if position is None or not isinstance(dst, Slice) or not isinstance(x, Slice):
            return None
        if max(dst.length, x.length) > MAX_CELLS:
            return None
        match self.instrs[position]:
            case Instr("scale", (Slice() as y, src, Const() as scale)) if src == dst:
                offset = None
            case Instr("affine", (Slice() as y, src, Const() as scale, Const() as offset)) if (
                src == dst
            ):
                pass
            case _:
                return None
        # From here on `position` is the instruction that made the value so far, y.
        used, sources = [self.start, position], [(self.start, x)]
        while (reader := self._sole_reader(position)) is not None:
            added = self._addend(reader, y)
            if added is not None:
                terms, source = added
                used.extend(terms)
                sources.append(source)
            elif self.activation is None and self._activates(reader, y):
                used.append(reader)
            else:
                break
            position, (y,) = reader, self.writes[reader]
            if self.activation is not None:
                break
        readers = list(self._readers(position))
        quantiser = self._quantiser(readers, y, position)
        codes = None if quantiser is None else self.writes[quantiser][0]
        if quantiser is not None:
            used.append(quantiser)
        wanted = self._outlives(position) or any(reader != quantiser for reader in readers)
        value = y if wanted else None
        if any(
            target is not None and target != source and overlap(target, source)
            for target in (value, codes)
            for source, _ in self.addends
        ):
            # The kernel goes column by column, and would read there what it has written.
            return None
        constants = (scale, offset, *(factor for _, factor in self.addends))
        if (
            not (isinstance(row, int) and isinstance(column, int) and isinstance(adc, int))
            or not _invariant(*constants)
            or not self._sources_hold(sources, used, position)
        ):
            return None
        layer = Layer(
            x, row, column, adc, scale, offset, tuple(self.addends), self.activation,
            dst.length, value, codes,
        )  # fmt: skip
        return layer, used, position

    def _addend(self, reader: int, y: Slice) -> tuple[list[int], tuple[int, Slice]] | None:
        """Take an add of y and something else: the positions of the instructions that this uses,
        and at which position which source is read."""
        instr = self.instrs[reader]
        if instr.op != "add" or len(self.addends) == MAX_ADDENDS or self.activation is not None:
            return None
        _, left, right = instr.operands
        if y not in (left, right) or left == right:
            return None
        other = right if left == y else left
        # Fused, y is never written: what shares elements with it would be read as it was before.
        if not isinstance(other, Slice) or overlap(other, y):
            return None
        maker = self._maker(reader, other)
        if maker is not None and self._sole_reader(maker) == reader:
            match self.instrs[maker].operands:
                case (target, Slice() as source, Const() as factor) if (
                    self.instrs[maker].op == "scale"
                    and target == other
                    and not overlap(source, y)
                    and self.formats[source.register] in SCALABLE
                ):
                    self.addends.append((source, factor))
                    return [maker, reader], (maker, source)
        self.addends.append((other, None))
        return [reader], (reader, other)

    def _activates(self, reader: int, y: Slice) -> bool:
        match self.instrs[reader]:
            case Instr("relu", (_, src)) if src == y:
                self.activation = "relu"
            case Instr("clamp", (_, src, float() | int() as low, float() | int() as high)) if (
                src == y and low <= high
            ):
                self.activation = low, high
            case _:
                return False
        return True

    def _quantiser(self, readers: list[int], y: Slice, place: int) -> int | None:
        """A quantise of y that can be done at `place`: up to where it stands, y stays as it is and
        nobody needs or changes the register that it writes."""
        for reader in readers:
            if self.instrs[reader].op != "quantise" or self.reads[reader] != (y,):
                continue
            (target,) = self.writes[reader]
            between = range(place + 1, reader)
            written = [each for k in between for each in self.writes[k]]
            touched = [*written, *(each for k in between for each in self.reads[k])]
            if not any(overlap(target, each) for each in touched) and not any(
                overlap(y, each) for each in written
            ):
                return reader
        return None

    def _sources_hold(self, sources: list[tuple[int, Slice]], used: list[int], place: int) -> bool:
        """Whether each source, and the crossbar, read at some position, is the same at `place`.

        What the used instructions write does not count: intermediate values are never written.
        """
        return not any(
            self.instrs[between].op == "program"
            or any(overlap(target, source) for target in self.writes[between])
            for position, source in sources
            for between in range(position + 1, place)
            if between not in used
        )

    def _maker(self, reader: int, source: Slice) -> int | None:
        """The last instruction before `reader` that wrote any of `source`."""
        for position in range(reader - 1, -1, -1):
            if any(overlap(target, source) for target in self.writes[position]):
                return position
        return None

    def _readers(self, maker: int) -> Iterator[int]:
        """The instructions that read what `maker` wrote, up to one that writes over all of it; one
        that writes over a part counts as a reader, because the rest lives on."""
        made = self.writes[maker][0]
        for position in range(maker + 1, len(self.instrs)):
            covered = any(covers(target, made) for target in self.writes[position])
            touched = (*self.reads[position], *(() if covered else self.writes[position]))
            if any(overlap(made, other) for other in touched):
                yield position
            if covered:
                return

    def _sole_reader(self, maker: int) -> int | None:
        """The only instruction that reads what `maker` wrote; None where there are more or none, or
        where the value outlives the body."""
        readers = list(self._readers(maker))
        return readers[0] if len(readers) == 1 and not self._outlives(maker) else None

    def _outlives(self, maker: int) -> bool:
        """Whether what `maker` wrote may be read outside the body, or in a later iteration."""
        made = self.writes[maker][0]
        later = (target for written in self.writes[maker + 1 :] for target in written)
        return made.register in self.kept and not any(covers(target, made) for target in later)


def _invariant(*constants: Const | None) -> bool:
    """Whether constants are the same in all iterations."""
    return all(constant is None or not any(constant.strides) for constant in constants)
