"""The equations of Einsum, as a label for each axis."""

from __future__ import annotations

import re
from collections.abc import Sequence

from anacc.frontend.node import Unsupported

_TERM = re.compile(r"[A-Za-z]*(\.\.\.)?[A-Za-z]*")
Labels = tuple[str, ...]


def parse(equation: str, ranks: Sequence[int]) -> tuple[tuple[Labels, ...], Labels]:
    """The labels of the operands and of the result.

    Args:
        equation: such as `bij,jk->bik`; an ellipsis stands for the axes that have no letter, the
            last of which are the same in all operands.  Without an arrow, the result has the axes
            of the ellipsis, then the letters that occur once, in alphabetical order.
        ranks: of the operands.

    Raises:
        Unsupported: if the equation does not fit them.
    """
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks) or not all(_TERM.fullmatch(term) for term in (*terms, right)):
        raise Unsupported("its equation fits its operands")
    hidden = [rank - len(term.replace("...", "")) for term, rank in zip(terms, ranks, strict=True)]
    if any(n < 0 or (n > 0 and "..." not in t) for t, n in zip(terms, hidden, strict=True)):
        raise Unsupported("its equation fits its operands")
    labels = tuple(_labels(term, count) for term, count in zip(terms, hidden, strict=True))
    if not arrow:
        letters = left.replace(",", "").replace(".", "")
        right = "..." + "".join(c for c in sorted(letters) if letters.count(c) == 1)
    elif "..." not in right and any(hidden):
        raise Unsupported("its result has the axes of the ellipsis")
    return labels, _labels(right, max(hidden))


def _labels(term: str, hidden: int) -> Labels:
    """One label for each axis: its letter, or its place from the end of the ellipsis."""
    before, dots, after = term.partition("...")
    middle = tuple(f"...{place}" for place in range(hidden, 0, -1)) if dots else ()
    return (*before, *middle, *after)
