"""Reads the IR, first half: a text as tokens, and the words and literals of the grammar."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import NamedTuple, NoReturn

from anacc.errors import IrError
from anacc.ir.module import AttributeValue
from anacc.ir.text import MAX_DEPTH, PLAIN, WORD

_STRING = r'"(?:[^"\\\n]|\\.)*"'
_TOKENS = re.compile(
    rf"""(?P<blank>[ \t\r\n]+|\#[^\n]*)
    | (?P<name>[%@](?:{PLAIN}|{_STRING}))
    | (?P<string>{_STRING})
    | (?P<blob>sha256:[0-9a-f]{{64}})
    | (?P<word>{WORD})
    | (?P<number>-?(?:[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|inf))
    | (?P<mark>[(){{}}\[\]<>,:=?])""",
    re.VERBOSE,
)
_WORD_LITERALS: dict[str, AttributeValue] = {
    "true": True,
    "false": False,
    "inf": float("inf"),
    "nan": float("nan"),
}


class Token(NamedTuple):
    """A piece of text: what it is, as a group of the pattern above, and its line from 1."""

    kind: str
    text: str
    line: int


def fail(line: int, reason: str) -> NoReturn:
    """Raise the error of a line."""
    raise IrError(f"line {line}: {reason}")


def _tokens(text: str) -> list[Token]:
    tokens = []
    position, line = 0, 1
    while position < len(text):
        match = _TOKENS.match(text, position)
        if match is None:
            fail(line, f"unexpected character {json.dumps(text[position])}")
        kind = match.lastgroup or ""
        if kind != "blank":
            tokens.append(Token(kind, match.group(), line))
        line += match.group().count("\n")
        position = match.end()
    tokens += [Token("end", "", line)] * 2  # two, so that looking one token ahead never fails
    return tokens


class Reader:
    """Takes tokens one by one; it fails with the line and what was expected there."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._position = 0

    @property
    def next(self) -> Token:
        """The token that comes next; of kind `end` after the last."""
        return self._tokens[self._position]

    @property
    def second(self) -> Token:
        """The token after the next one."""
        return self._tokens[self._position + 1]

    def take(self) -> Token:
        """Step over the next token."""
        token = self.next
        if token.kind != "end":
            self._position += 1
        return token

    def expected(self, what: str) -> NoReturn:
        """Fail, because something else comes next."""
        token = self.next
        found = "the end of the text" if token.kind == "end" else f"`{token.text[:40]}`"
        fail(token.line, f"expected {what}, found {found}")

    def accept(self, text: str) -> bool:
        """Step over a word or mark if it comes next; whether it did."""
        if self.next.kind in ("word", "mark") and self.next.text == text:
            self.take()
            return True
        return False

    def expect(self, text: str) -> None:
        """Step over a word or mark, which must come next."""
        if not self.accept(text):
            self.expected(f"`{text}`")

    def of_kind(self, kind: str, what: str) -> str:
        """The text of the next token, which must be of that kind."""
        if self.next.kind != kind:
            self.expected(what)
        return self.take().text

    def items(self, item: Callable[[], None], end: str) -> None:
        """Items between commas, up to an end mark."""
        if self.accept(end):
            return
        item()
        while not self.accept(end):
            if not self.accept(","):
                self.expected(f"`,` or `{end}`")
            item()

    # Words and literals.

    def string(self, what: str = "a string") -> str:
        """The value of a string."""
        line = self.next.line
        return _unquoted(self.of_kind("string", what), line)

    def word_or_string(self, what: str) -> str:
        """A word, quoted or not."""
        if self.next.kind == "string":
            return self.string()
        return self.of_kind("word", what)

    def name(self, sigil: str, what: str) -> str:
        """A name that starts with one of the characters of `sigil`."""
        token = self.next
        if token.kind != "name" or token.text[0] not in sigil:
            self.expected(what)
        self.take()
        rest = token.text[1:]
        return token.text[0] + (_unquoted(rest, token.line) if rest[0] == '"' else rest)

    def integer(self, what: str = "an integer") -> int:
        """An integer."""
        token = self.next
        value = self.number(what)
        if not isinstance(value, int):
            fail(token.line, f"expected {what}, found `{token.text}`")
        return value

    def number(self, what: str) -> int | float:
        """A number; a float if it has a point, an exponent or is `-inf`."""
        token = self.next
        text = self.of_kind("number", what)
        if text.lstrip("-").isdigit():
            try:
                return int(text)
            except ValueError:
                fail(token.line, f"the integer `{text[:20]}...` has too many digits")
        return float(text)

    def literal(self, depth: int = 0) -> AttributeValue:
        """A literal; lists become tuples."""
        token = self.next
        if token.kind == "number":
            return self.number("a number")
        if token.kind == "string":
            return self.string()
        if token.kind == "word" and token.text in _WORD_LITERALS:
            return _WORD_LITERALS[self.take().text]
        if not self.accept("["):
            self.expected("a literal")
        if depth == MAX_DEPTH:
            fail(token.line, f"lists are nested deeper than {MAX_DEPTH}")
        items: list[AttributeValue] = []
        self.items(lambda: items.append(self.literal(depth + 1)), "]")
        return tuple(items)


def _unquoted(text: str, line: int) -> str:
    try:
        return str(json.loads(text))
    except ValueError:
        fail(line, f"{text[:40]} is not a string of JSON")
