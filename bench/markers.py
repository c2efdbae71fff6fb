"""Text of a page that a program writes, between two markers."""

from __future__ import annotations

from pathlib import Path


def replace_between(page: Path, begin: str, end: str, text: str) -> None:
    """Replace what stands between the two markers of a page.

    Raises:
        ValueError: the page does not have each marker once.
    """
    before, found_begin, rest = page.read_text(encoding="utf-8").partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end or begin in after or end in before + after:
        raise ValueError(f"{page.name} does not have the markers {begin} and {end} once")
    page.write_text(f"{before}{begin}\n\n{text}\n{end}{after}", encoding="utf-8")
