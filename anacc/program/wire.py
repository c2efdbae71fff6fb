"""The byte encoding of the code member, as far as encoder and decoder must agree on it.

All integers are LEB128 varints: seven bits a byte, the least significant first, bit 7 set in all
bytes but the last; signed ones are zigzag coded first (0, -1, 1, -2 become 0, 1, 2, 3).  There is
one encoding of each value: the last byte of a longer varint is not zero.  Hence one sequence of
bytes for each `Code`.
"""

from __future__ import annotations

import struct

from anacc.program.model import Format, UnitKind

MAGIC = b"ANACCODE"
VERSION = 2

MAX_DEPTH = 8  # nested loops
MAX_VARINT = 9  # bytes of a varint, so that values fit 63 bits
MAX_UNSIGNED = 2 ** (7 * MAX_VARINT) - 1
MIN_SIGNED, MAX_SIGNED = -(2 ** (7 * MAX_VARINT - 1)), 2 ** (7 * MAX_VARINT - 1) - 1

# Opcodes of loops; isa.TABLE uses neither.
LOOP, SEQUENTIAL_LOOP = 0x7E, 0x7F

FORMATS = (Format.INT8, Format.INT16, Format.INT32, Format.BINARY16, Format.TENSOR)
KINDS = (UnitKind.CORE.value, UnitKind.GDPU.value, UnitKind.BRIDGE.value, UnitKind.HOST.value)


def binary16(value: float) -> bytes:
    """The two bytes, little-endian, of a finite number that binary16 represents exactly.

    Raises:
        ValueError: the number is not finite or would be rounded.
    """
    try:
        data = struct.pack("<e", value)
    except (OverflowError, struct.error):
        raise ValueError(value) from None
    if struct.unpack("<e", data)[0] != value or value in (float("inf"), float("-inf")):
        raise ValueError(value)
    return data
