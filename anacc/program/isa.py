"""The instruction set, declared once.

Encoder, decoder, assembler, disassembler, loader and docs/isa.md are all driven by `TABLE`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from anacc.program.model import Format, UnitKind

I8, I16, I32, F16 = Format.INT8, Format.INT16, Format.INT32, Format.BINARY16
CORE, GDPU, BRIDGE, HOST = UnitKind.CORE, UnitKind.GDPU, UnitKind.BRIDGE, UnitKind.HOST


class Role(Enum):
    """What an operand is, and whether the instruction reads or writes it."""

    WRITE = "write"  # register slice
    READ = "read"  # register slice
    CHANNEL = "channel"
    LOAD = "load"  # buffer access that is read
    STORE = "store"  # buffer access that is written
    CONST16 = "const16"  # constants of the binary16 pool
    CONST32 = "const32"  # constants of the binary32 pool
    INTEGER = "integer"
    BINARY16 = "binary16"  # an immediate


@dataclass(frozen=True)
class Operand:
    """An operand: its name in the assembly text and documentation, its role, and for registers
    the formats that it may have (empty: that of the channel or buffer)."""

    name: str
    role: Role
    formats: tuple[Format, ...] = ()


@dataclass(frozen=True)
class Spec:
    """An instruction: mnemonic, opcode, units that can execute it, operands, and its meaning."""

    name: str
    opcode: int
    units: tuple[UnitKind, ...]
    operands: tuple[Operand, ...]
    meaning: str


def _dst(*formats: Format) -> Operand:
    return Operand("dst", Role.WRITE, formats)


def _src(*formats: Format, name: str = "src") -> Operand:
    return Operand(name, Role.READ, formats)


_CHANNEL = Operand("channel", Role.CHANNEL)


def _integer(name: str) -> Operand:
    return Operand(name, Role.INTEGER)


_ON_CHIP = (CORE, GDPU, BRIDGE)

_SPECS = (
    Spec("recv", 0x01, _ON_CHIP, (_dst(), _CHANNEL), "Take the next token of `channel`."),
    Spec("send", 0x02, _ON_CHIP, (_CHANNEL, _src()), "Append `src` as a token to `channel`."),
    Spec(
        "load",
        0x03,
        (BRIDGE,),
        (_dst(), Operand("address", Role.LOAD)),
        "Gather elements of the stream's buffer.",
    ),
    Spec(
        "store",
        0x04,
        (BRIDGE,),
        (Operand("address", Role.STORE), _src()),
        "Scatter `src` to the stream's buffer.",
    ),
    Spec("copy", 0x05, _ON_CHIP, (_dst(), _src()), "dst = src; both of one format."),
    Spec(
        "program",
        0x10,
        (CORE,),
        (_integer("weight"), _integer("row"), _integer("column")),
        "Install weight block `weight` on this core's crossbar with its upper left corner at "
        "(`row`, `column`): g+ = max(code, 0), g- = max(-code, 0).",
    ),
    Spec(
        "mvm",
        0x11,
        (CORE,),
        (_dst(I16), _src(I8), _integer("row"), _integer("column"), _integer("adc")),
        "Apply `src` to the rows from `row` on and convert the columns from `column` on, one for "
        "each element of `dst`, with the converter settings `adc`.",
    ),
    Spec(
        "scale",
        0x12,
        _ON_CHIP,
        (_dst(F16), _src(I8, I16, F16), Operand("scale", Role.CONST16)),
        "dst = h(src * scale).",
    ),
    Spec(
        "affine",
        0x13,
        _ON_CHIP,
        (
            _dst(F16),
            _src(I8, I16, F16),
            Operand("scale", Role.CONST16),
            Operand("offset", Role.CONST16),
        ),
        "dst = h(src * scale + offset).",
    ),
    Spec(
        "add",
        0x14,
        (CORE, GDPU),
        (_dst(F16), _src(F16, name="left"), _src(F16, name="right")),
        "dst = h(left + right).",
    ),
    Spec(
        "multiply",
        0x15,
        (GDPU,),
        (_dst(F16), _src(F16, name="left"), _src(F16, name="right")),
        "dst = h(left * right).",
    ),
    Spec("relu", 0x16, (CORE, GDPU), (_dst(F16), _src(F16)), "dst = src where src > 0, else +0."),
    Spec(
        "clamp",
        0x17,
        (CORE, GDPU),
        (_dst(F16), _src(F16), Operand("low", Role.BINARY16), Operand("high", Role.BINARY16)),
        "dst = low where src < low, high where src > high, else src.",
    ),
    Spec(
        "lookup",
        0x18,
        (GDPU,),
        (_dst(F16), _src(F16), _integer("table")),
        "dst = the function of table `table` at src.",
    ),
    Spec(
        "quantise",
        0x19,
        _ON_CHIP,
        (_dst(I8), _src(F16)),
        "dst = clamp(rint(src), -127, 127), ties to even.",
    ),
    Spec(
        "maximum",
        0x1A,
        (BRIDGE,),
        (_dst(I8), _src(I8)),
        "src holds k vectors of the length of dst, one after another; dst = their maximum.",
    ),
    Spec(
        "sum",
        0x1B,
        (BRIDGE,),
        (_dst(I32), _src(I8)),
        "src holds k vectors of the length of dst, one after another; dst = their sum.",
    ),
    Spec(
        "average",
        0x1C,
        (BRIDGE,),
        (_dst(F16), _src(I32), Operand("scale", Role.CONST32)),
        "dst = h(src * scale): src is rounded to binary32, nearest even, then the product is.",
    ),
    Spec(
        "input",
        0x20,
        (HOST,),
        (_integer("border"),),
        "Quantise a model input and send it, as border `border` of the manifest says.",
    ),
    Spec(
        "output",
        0x21,
        (HOST,),
        (_integer("border"),),
        "Receive a model output, as border `border` of the manifest says.",
    ),
    Spec(
        "segment",
        0x22,
        (HOST,),
        (_integer("segment"),),
        "Run ONNX segment `segment` on whole tensors over the whole batch, between the borders "
        "that the manifest names for it.",
    ),
)

TABLE: dict[str, Spec] = {spec.name: spec for spec in _SPECS}
BY_OPCODE: dict[int, Spec] = {spec.opcode: spec for spec in _SPECS}
