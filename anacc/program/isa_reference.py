"""Generate docs/isa.md from the instruction table: python -m anacc.program.isa_reference."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from anacc.program.checks import declarations as limits
from anacc.program.checks.borders import MAX_RANK
from anacc.program.checks.operands import MAX_DIMENSIONS
from anacc.program.isa import TABLE, Operand, Role, Spec
from anacc.program.model import Format, UnitKind
from anacc.program.wire import FORMATS, KINDS, LOOP, MAGIC, MAX_DEPTH, SEQUENTIAL_LOOP, VERSION

_HEAD = """\
# The instruction set

Generated from `anacc/program/isa.py` by `python -m anacc.program.isa_reference`: change that, not
this.

## A program

A program is a set of *streams* that communicate only through *channels* (a Kahn process network).
The batch is implicit and outermost: every register, buffer and channel exists once per sample.

- A **stream** is a sequential program of one *unit*: a chip number, a kind and an index. A unit may
  hold several streams. A stream has registers, at most one buffer, and a body of instructions and
  loops. Streams share no memory.
- A **round** is a number that each stream has; in most programs it is 0 everywhere. Streams of a
  round begin when those of all earlier rounds have ended, for the whole batch, and then program
  their crossbars anew. A channel never leads to an earlier round; one that leads to a later round
  holds all tokens of the batch, in the memory of the host.
- A **loop** repeats its body a fixed number of times. A *parallel* loop may run all its iterations
  at once, each instruction for all of them before the next. A *sequential* loop (time) may not:
  inside it, state registers carry values from one iteration to the next. Loops nest {depth} deep
  at most.
- A **channel** is a FIFO of tokens, vectors of a fixed size. It has one writer and fixed readers,
  each of which sees every token. A reader waits for a token; a writer waits while `capacity`
  tokens are not yet taken by all readers. The result does not depend on the capacity or on the
  order in which streams run. A tensor channel passes one whole tensor of the host.
- A **register** is a vector. An ordinary one must be written before it is read in the same
  iteration of the innermost loop, or in an enclosing one; what a parallel loop writes cannot be
  read after it. This holds element by element: a loop may write one part of a register and read
  another that was written outside. A *state* register starts at zero and keeps its value; it stays
  out of parallel loops.
- A **buffer** is the own memory of a bridge stream. Each element is stored at most once by the
  whole stream; one that is never stored holds the fill. A load of a stored element yields the
  stored value. The load may stand before the store only if no store of the stream uses what a load
  gave and the stream is not part of a cycle; in a sequential loop around both, the store may not
  belong to a later iteration.
- **Constants** are two pools, binary16 and binary32, that all streams read.
- **Weights** are blocks of codes in [-127, 127]. `program` installs them; an `mvm` uses cells of
  one block that its own stream has installed before. Blocks of one round on a crossbar do not
  overlap.
- A **link** joins two units, one way; a channel lists those that it crosses. Chips form a chain.
  With L links on a chip and N chips in use, links c * L to c * L + L - 1 are those on chip c, link
  N * L + 2 * c leads from chip c to chip c + 1, and the one after it back. What goes to another
  chip crosses the links between chips only, one for each neighbour on the way.
- **Converter settings** belong to an `mvm`: counts are q * multiplier / 2**shift, rounded half away
  from zero and clamped at `maximum` in each of the `phases`.
- **Tables** are functions of a GDPU: binary16 constants sampled evenly over [0, limit] (odd) or
  [-limit, limit]; beyond, the outermost entry holds.
- **Borders** stand in the manifest: they say how a tensor of the host becomes tokens, and back.

An instruction reads all its operands before it writes. `h` rounds to binary16: nearest even,
subnormals kept, saturating at +-65504; the arithmetic inside is binary32. Vectors are taken
elementwise and have one length unless the meaning says otherwise; `dst` may be a source, but may
not overlap one partly.

## Formats and units

| format | code | elements |
|---|---|---|
"""

_FORMATS = {
    Format.INT8: "activation codes, -127 to 127",
    Format.INT16: "ADC counts",
    Format.INT32: "sums of codes",
    Format.BINARY16: "LDPU and GDPU values",
    Format.TENSOR: "a whole tensor of the host; channels only",
}

_UNITS = {
    UnitKind.CORE: "a crossbar with its converters and its local digital unit (LDPU)",
    UnitKind.GDPU: "a global digital unit",
    UnitKind.BRIDGE: "moves activations between layers: im2col, padding, pooling, reshaping",
    UnitKind.HOST: "inputs, outputs and ONNX segments; one, on chip 0, without loops or registers",
}

_ROLES = {
    Role.WRITE: ("`r0[0:16]`", "register slice that is written", "register, offset, length"),
    Role.READ: ("`r0[0:16]`", "register slice that is read", "register, offset, length"),
    Role.CHANNEL: ("`c5`", "channel", "number"),
    Role.LOAD: (
        "`@68+544*i0{3:544, 16:1}`",
        "buffer elements that are read, in row-major order of the dimensions: base, a stride for "
        "each enclosing loop (i0 is the outermost), count:stride of each dimension",
        "base, strides (signed), number of dimensions, then count and stride (signed) of each",
    ),
    Role.STORE: ("`@68+544*i0{16:1}`", "buffer elements that are written", "as LOAD"),
    Role.CONST16: (
        "`%32+16*i0{16}`",
        "consecutive binary16 constants: base, a stride for each enclosing loop, length; a length "
        "of 1 is broadcast",
        "base, strides (signed), length",
    ),
    Role.CONST32: ("`%0{1}`", "consecutive binary32 constants", "as CONST16"),
    Role.INTEGER: ("`7`", "integer, not negative", "itself"),
    Role.BINARY16: ("`6.0`", "finite binary16 number", "two bytes, little-endian"),
}

_ENCODING = """
## Encoding

The code member of a program file is one sequence of bytes. Integers are LEB128 varints (seven bits
a byte, the least significant first, bit 7 set in all but the last byte), in their shortest form, at
most 63 bits. Signed ones are zigzag coded: 0, -1, 1, -2 become 0, 1, 2, 3. Each program has one
encoding; anything else is refused.

```
code     = {magic} (8 bytes), version ({version}), number of converter settings, weights,
           tables, channels, streams, then these items
setting  = phases, multiplier, shift, maximum
weight   = rows, columns
table    = base, entries, limit (binary16), flags (byte: 1 odd, 2 interpolate)
channel  = format (byte), token size, capacity, number of links, links
stream   = unit kind (byte), chip, index, round, length of the name, name (UTF-8),
           number of registers, registers, 0 or (1, buffer), body
register = format (byte), length, state (byte, 0 or 1)
buffer   = format (byte), size, fill (signed)
body     = number of nodes, nodes
loop     = {loop:#04x} (parallel) or {sequential:#04x} (sequential), count, body
instr    = opcode (byte), operands
```

The number of strides of an operand is the number of loops around it and is not stored.

## What the loader checks

Before an instruction runs, in time that does not depend on loop counts:

- every operand fits its role; registers, constants and buffer elements exist in every iteration;
- units exist in the target; constants are finite; at most {vector} elements in a register or token,
  {buffer} in a buffer, {iterations} iterations of an instruction, {dimensions} dimensions of an
  access, {rank} axes of a tensor; no loop is empty;
- all streams together execute at most {steps} instructions per sample one after another, a parallel
  loop counting as one iteration;
- converter settings: 1 or 4 phases, multiplier 1 to {multiplier}, shift 0 to {shift}, maximum 1 to
  {count};
- registers, buffers and crossbars are used as said above; whether two accesses of a buffer meet is
  searched within a budget for the whole program, beyond which they count as meeting;
- each channel has one writer and a reader, no stream reads what it writes, every reader takes
  as many tokens per sample as are written, and none stands in an earlier round than the writer;
- rounds are fewer than streams; links exist on the chips in use;
- each border is used once, each segment run once, each model output crosses one border; scales
  are positive numbers of binary32;
- streams cannot wait for each other for ever, whatever the capacities above what is in flight. In
  a cycle of streams, its channels may be touched only at top level and in one sequential loop at
  top level, of equal count, whose iterations take what they put in; no host stream is part of it.
"""


def render() -> str:
    """The text of docs/isa.md."""
    return "".join(_parts())


def _parts() -> Iterator[str]:
    yield _HEAD.format(depth=MAX_DEPTH)
    for code, format in enumerate(FORMATS):
        yield f"| `{format.value}` | {code} | {_FORMATS[format]} |\n"
    yield "\n| unit | code | what it is |\n|---|---|---|\n"
    for code, kind in enumerate(KINDS):
        yield f"| `{kind}` | {code} | {_UNITS[UnitKind(kind)]} |\n"
    yield "\n## Operands\n\n| role | text | what it is | encoding |\n|---|---|---|---|\n"
    for role in Role:
        text, meaning, encoding = _ROLES[role]
        yield f"| {role.name} | {text} | {meaning} | {encoding} |\n"
    yield "\n## Instructions\n\nThe text of an instruction is its name, then its operands with "
    yield "commas between.\n\n"
    yield "| opcode | name | operands | units | meaning |\n|---|---|---|---|---|\n"
    for spec in TABLE.values():
        yield _row(spec)
    yield _ENCODING.format(
        magic=MAGIC.decode(),
        version=VERSION,
        loop=LOOP,
        sequential=SEQUENTIAL_LOOP,
        vector=limits.MAX_VECTOR,
        buffer=limits.MAX_BUFFER,
        iterations=limits.MAX_ITERATIONS,
        steps=limits.MAX_SEQUENTIAL,
        dimensions=MAX_DIMENSIONS,
        rank=MAX_RANK,
        multiplier=limits.MAX_MULTIPLIER,
        shift=limits.MAX_SHIFT,
        count=limits.MAX_COUNT,
    )


def _row(spec: Spec) -> str:
    operands = ", ".join(map(_operand, spec.operands))
    units = ", ".join(unit.value for unit in spec.units)
    return f"| {spec.opcode:#04x} | `{spec.name}` | {operands} | {units} | {spec.meaning} |\n"


def _operand(operand: Operand) -> str:
    formats = "/".join(format.value for format in operand.formats)
    return f"`{operand.name}` {operand.role.name}{' ' + formats if formats else ''}"


if __name__ == "__main__":
    sys.stdout.write(render())
