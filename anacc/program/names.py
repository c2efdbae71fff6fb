"""Names from a file inside a message."""

from __future__ import annotations

MAX_SHOWN = 100


def shown(name: object) -> str:
    """A name as one printable line of bounded length: what a file calls something is not trusted
    to leave a terminal alone."""
    text = "".join(character if character.isprintable() else "?" for character in str(name))
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 3] + "..."
