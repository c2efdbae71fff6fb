"""What a floorplan is asked to bring near: crossbars, and what they exchange per sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Transfer:
    """Values that go from one crossbar to another, per sample."""

    source: int
    destination: int
    values: int
    partial: bool


@dataclass(frozen=True)
class Pull:
    """Values that a crossbar gets from the GDPU of a grid column, or gives to it, per sample."""

    crossbar: int
    column: int
    values: int


@dataclass(frozen=True)
class Traffic:
    """What is known of the crossbars.

    Attributes:
        columns: for each crossbar the grid column that it is tied to, or None.
        chains: crossbars in the order of their partial sums; every crossbar is in one at least.
        transfers: between different crossbars.
        pulls: from or to GDPUs that are wired to one column.
    """

    columns: Sequence[int | None]
    chains: Sequence[Sequence[int]]
    transfers: Sequence[Transfer]
    pulls: Sequence[Pull]
