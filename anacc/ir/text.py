"""The text of the IR: every module prints, and parses back to an equal one.

::

    module     = "module" string "level" "=" level "batch" "=" ("N" | integer) "{" statement* "}"
    level      = "graph" | "layer" | "chip"
    statement  = "constant" name ":" tensor "=" (list | "blob" "sha256:" 64 hexadecimal digits)
               | "input" value
               | (value ("," value)* "=")? kind "(" (operand ("," operand)*)? ")"
                 attributes? ("from" string ("," string)*)? ("on" unit)?
               | "output" string "=" name
    value      = name ":" type ("scale" float ("zero" integer)?)? | "_"
    type       = tensor | "channel" "<" word "," integer "x" integer ">"
    tensor     = word "[" ("?" | (dim ("," dim)*)?) "]"
    dim        = integer | "N"
    operand    = name | "_"
    name       = ("%" | "@") (plain | string)
    attributes = "{" key "=" literal ("," key "=" literal)* "}"
    literal    = integer | float | "inf" | "-inf" | "nan" | "true" | "false" | string | list
    list       = "[" (literal ("," literal)*)? "]"
    unit       = word number | string
    kind, key  = word | string
    word       = [A-Za-z_][A-Za-z0-9_]*
    plain      = characters of ONNX names: letters, digits and _ . / $ # - and : between them
    string     = as in JSON

`_` is an absent operand or result; `float32[?]` has an unknown shape.  Blanks and line ends only
separate; `#` outside a name starts a comment.  Attributes are sorted by name and constants by
first use, so equal modules print alike.  Constants of more than 16 elements are blobs, named by
content.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from anacc.atomic import write_atomically
from anacc.ir.blobs import digest, inline_literals, save_blob
from anacc.ir.module import Channel, Module, Op, TensorType, Type

MAX_DEPTH = 32
"""The deepest nesting of lists in an attribute."""

PLAIN = r"[A-Za-z0-9_./$#-]+(?::+[A-Za-z0-9_./$#-]+)*"
WORD = r"[A-Za-z_][A-Za-z0-9_]*"

_PLAIN = re.compile(PLAIN)
_WORD = re.compile(WORD)
_UNIT = re.compile(WORD + r" [0-9]+\.[0-9]+")


def print_module(module: Module) -> str:
    """A module as text, for `anacc.ir.parse.parse_module`.

    A module that breaks an invariant prints as well as it can: what has no text is marked with `?`.
    """
    batch = "N" if module.batch is None else str(module.batch)
    lines = [f"module {_string(module.name)} level={module.level.value} batch={batch} {{"]
    lines += [f"  {_constant_text(module, name)}" for name in _constant_order(module)]
    lines += [f"  input {_value_text(module, name)}" for name in module.inputs]
    lines += [f"  {op_text(module, op)}" for op in module.ops]
    lines += [f"  output {_string(onnx)} = {name_text(name)}" for onnx, name in module.outputs]
    return "\n".join([*lines, "}", ""])


def write_module(module: Module, folder: Path, stem: str) -> Path:
    """Write a module as `folder/stem.txt`, for `anacc.ir.parse.read_module`.

    Large constants go to `folder/constants/<sha256>.npy`, once for all modules of the folder.

    Returns:
        the path of the text.

    Raises:
        OSError: a file cannot be written; its file name is that file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for array in module.constants.values():
        if isinstance(array, np.ndarray) and inline_literals(array) is None:
            save_blob(array, folder)
    path = folder / f"{stem}.txt"
    write_atomically(path, [print_module(module).encode()])
    return path


def op_text(module: Module, op: Op) -> str:
    """The line of an op, without indentation."""
    text = ", ".join(_value_text(module, name) for name in op.results)
    text += " = " if op.results else ""
    text += f"{_word(op.kind)}({', '.join(name_text(name) for name in op.operands)})"
    if op.attributes:
        pairs = sorted(op.attributes.items())
        text += " {" + ", ".join(f"{_word(k)} = {_literal(v)}" for k, v in pairs) + "}"
    if op.origins:
        text += " from " + ", ".join(_string(origin) for origin in op.origins)
    if op.unit is not None:
        text += f" on {op.unit if _UNIT.fullmatch(op.unit) else _string(op.unit)}"
    return text


def lines_around(module: Module, index: int, distance: int = 1) -> str:
    """The lines of the ops around one op, which is marked with `>`; long ones are cut."""
    first = max(0, index - distance)
    lines = []
    for number, op in enumerate(module.ops[first : index + distance + 1], start=first):
        line = op_text(module, op)
        cut = line if len(line) <= 200 else f"{line[:197]}..."
        lines.append(f"{'>' if number == index else ' '} {cut}")
    return "\n".join(lines)


def type_text(kind: Type) -> str:
    """A type as in the text: `float32[N, 3, 32, 32]` or `channel<i8, 16 x 1024>`."""
    if isinstance(kind, Channel):
        return f"channel<{kind.format}, {kind.token_size} x {kind.tokens}>"
    if not isinstance(kind, TensorType):
        return f"?{_string(repr(kind))}"
    dims = "?" if kind.shape is None else ", ".join(str(dim) for dim in kind.shape)
    return f"{kind.dtype}[{dims}]"


def name_text(name: str) -> str:
    """A name as in the text, quoted where it must be; `_` for an absent one."""
    if name == "":
        return "_"
    sigil, rest = name[0], name[1:]
    if sigil not in "%@":
        return f"?{_string(name)}"
    return sigil + (rest if _PLAIN.fullmatch(rest) else _string(rest))


def _constant_order(module: Module) -> Iterator[str]:
    """Names of the constants by first use, then the unused ones by name."""
    used = dict.fromkeys(name for op in module.ops for name in op.operands if name[:1] == "@")
    yield from (name for name in used if name in module.constants)
    yield from sorted(name for name in module.constants if name not in used)


def _constant_text(module: Module, name: str) -> str:
    array = module.constants[name]
    if not isinstance(array, np.ndarray):
        return f"constant {name_text(name)} : ?{_string(repr(array))}"
    literals = inline_literals(array)
    if literals is None:
        content = f"blob sha256:{digest(array)}"
    else:
        content = "[" + ", ".join(_string(s) if quoted else s for s, quoted in literals) + "]"
    return f"constant {name_text(name)} : {type_text(module.type_of(name))} = {content}"


def _value_text(module: Module, name: str) -> str:
    if name == "":
        return "_"
    value = module.values.get(name)
    if value is None:
        return f"{name_text(name)} : ?"
    scale = "" if value.scale is None else f" scale {_literal(value.scale)}"
    zero = f" zero {_literal(value.zero)}" if scale and value.zero else ""
    return f"{name_text(name)} : {type_text(value.type)}{scale}{zero}"


def _literal(value: object) -> str:
    # The exact type counts: a NumPy scalar or a list would come back as something else.
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is int or type(value) is float:
        return repr(value)
    if type(value) is str:
        return _string(value)
    if type(value) is tuple:
        return "[" + ", ".join(_literal(item) for item in value) + "]"
    return f"?{_string(repr(value))}"


def _word(text: str) -> str:
    return text if _WORD.fullmatch(text) and text != "_" else _string(text)


def _string(text: str) -> str:
    return json.dumps(text)
