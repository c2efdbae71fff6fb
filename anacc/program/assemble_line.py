"""One line of assembly text: its tokens, and the operands of an instruction."""

from __future__ import annotations

import re

from anacc.errors import ProgramError
from anacc.program import isa
from anacc.program.isa import Role
from anacc.program.model import Access, Const, Operand, Slice
from anacc.program.wire import binary16

_TOKEN = re.compile(
    r"""[ \t\r]*(?P<token>
        "(?:[^"\\]|\\.)*"                           # a string
      | [0-9]+\.[0-9]+(?:e[+-]?[0-9]+)? | [0-9]+e[+-]?[0-9]+   # a number with a fraction
      | [0-9]+
      | \.?[A-Za-z_][A-Za-z0-9_]*                   # a word or declaration
      | [][{}@%:,+*=-]
    )""",
    re.VERBOSE,
)
_BLANK = re.compile(r"[ \t\r]*(?:[;#].*)?\Z", re.DOTALL)
_INTEGER = re.compile(r"[0-9]{1,20}")  # the end of a slice may need 64 bits
_EXAMPLES = {
    Role.WRITE: "r0[0:16]",
    Role.READ: "r0[0:16]",
    Role.CHANNEL: "c5",
    Role.LOAD: "@0+16*i0{3:16}",
    Role.STORE: "@0+16*i0{3:16}",
    Role.CONST16: "%0+16*i0{16}",
    Role.CONST32: "%0{1}",
    Role.INTEGER: "0",
    Role.BINARY16: "6.0",
}


class Line:
    """The tokens of a line, taken from left to right.

    Args:
        number: of the line in its text, from 1.
        source: the line without its end.

    Raises:
        ProgramError: the line holds something that is not a token.
    """

    def __init__(self, number: int, source: str) -> None:
        self.at = number
        self._tokens: list[str] = []
        self._next = 0
        position = 0
        while not _BLANK.match(source, position):
            match = _TOKEN.match(source, position)
            if match is None:
                rest = source[position:].strip()[:20]
                raise fail(self, f"`{rest}` is not part of the language", "docs/isa.md")
            self._tokens.append(match["token"])
            position = match.end()

    def done(self) -> bool:
        """Whether all tokens are taken."""
        return self._next == len(self._tokens)

    def rest(self) -> str:
        """The tokens that are left."""
        return " ".join(self._tokens[self._next :])

    def take(self, token: str) -> bool:
        """Take the next token if it is this one."""
        if self.done() or self._tokens[self._next] != token:
            return False
        self._next += 1
        return True

    def word(self) -> str:
        """Take the next token, whatever it is; the empty string at the end of the line."""
        if self.done():
            return ""
        self._next += 1
        return self._tokens[self._next - 1]

    def expect(self, token: str) -> None:
        """Take this token, or refuse the line."""
        if not self.take(token):
            raise fail(self, f"`{token}` is missing before `{self.rest()}`", f"`{token}`")

    def string(self) -> str:
        """Take a quoted string, with its quotes; the empty string if the next token is none."""
        word = self.word()
        return word if word.startswith('"') else ""

    def integer(self) -> int:
        """Take an integer, which may have a sign."""
        sign = -1 if self.take("-") else 1
        word = self.word()
        if not _INTEGER.fullmatch(word):
            raise fail(self, f"`{word}` is not an integer", "a decimal integer")
        return sign * int(word)

    def binary16(self) -> float:
        """Take a number that binary16 represents exactly."""
        sign = -1.0 if self.take("-") else 1.0
        word = self.word()
        try:
            value = sign * float(word)
            binary16(value)
        except ValueError:
            raise fail(self, f"`{word}` is not a finite binary16 number", "6.0") from None
        return value

    def key(self, name: str) -> None:
        """Take `name=`, or refuse the line."""
        if not (self.take(name) and self.take("=")):
            raise fail(self, f"`{name}=` is missing", f"`{name}=` and its value")

    def value(self, name: str) -> int:
        """Take `name=` and an integer."""
        self.key(name)
        return self.integer()

    def number(self, name: str) -> float:
        """Take `name=` and a binary16 number."""
        self.key(name)
        return self.binary16()

    def yes(self, name: str) -> bool:
        """Take `name=yes` or `name=no`."""
        self.key(name)
        word = self.word()
        if word not in ("yes", "no"):
            raise fail(self, f"`{name}` is `{word}`", "`yes` or `no`")
        return word == "yes"

    def route(self) -> tuple[int, ...]:
        """Take `route=` and integers with commas between, or nothing at the end of the line."""
        if self.done():
            return ()
        links = [self.value("route")]
        while self.take(","):
            links.append(self.integer())
        return tuple(links)


def fail(line: Line, reason: str, expected: str) -> ProgramError:
    """The error for a line: where, why, and what is expected."""
    return ProgramError(f"assembly, line {line.at}: {reason}", f"expected {expected}")


def operand(line: Line, declared: isa.Operand, depth: int) -> Operand:
    """Read an operand of an instruction inside `depth` loops."""
    role = declared.role
    try:
        match role:
            case Role.READ | Role.WRITE:
                return _slice(line)
            case Role.LOAD | Role.STORE:
                line.expect("@")
                base, strides = _affine(line, depth)
                return Access(base, strides, _dims(line))
            case Role.CONST16 | Role.CONST32:
                line.expect("%")
                base, strides = _affine(line, depth)
                line.expect("{")
                length = line.integer()
                line.expect("}")
                return Const(base, strides, length)
            case Role.CHANNEL:
                return _prefixed(line, "c")
            case Role.INTEGER:
                return line.integer()
            case Role.BINARY16:
                return line.binary16()
    except ProgramError as error:
        hint = f"expected operand `{declared.name}` like `{_EXAMPLES[role]}`"
        raise ProgramError(error.message, hint) from None


def _slice(line: Line) -> Slice:
    register = _prefixed(line, "r")
    line.expect("[")
    begin = line.integer()
    line.expect(":")
    end = line.integer()
    line.expect("]")
    if end < begin:
        raise fail(line, f"the slice ends at {end}, before it begins", "")
    return Slice(register, begin, end - begin)


def _affine(line: Line, depth: int) -> tuple[int, tuple[int, ...]]:
    base, strides = line.integer(), [0] * depth
    named: set[int] = set()
    while (minus := line.take("-")) or line.take("+"):
        stride = line.integer()
        line.expect("*")
        level = _prefixed(line, "i")
        if level >= depth:
            raise fail(line, f"there is no loop i{level} here, {depth} enclose it", "")
        if level in named:
            raise fail(line, f"loop i{level} is named twice", "")
        named.add(level)
        strides[level] = -stride if minus else stride
    return base, tuple(strides)


def _dims(line: Line) -> tuple[tuple[int, int], ...]:
    line.expect("{")
    dims: list[tuple[int, int]] = []
    while not line.take("}"):
        if dims:
            line.expect(",")
        count = line.integer()
        line.expect(":")
        dims.append((count, line.integer()))
    return tuple(dims)


def _prefixed(line: Line, prefix: str) -> int:
    """An item's number after its letter, such as the 5 of c5."""
    word = line.word()
    if not (word.startswith(prefix) and _INTEGER.fullmatch(word[1:])):
        raise fail(line, f"`{word}` is no item of the kind `{prefix}0`", "")
    return int(word[1:])
