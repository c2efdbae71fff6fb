"""What the verifier finds: faults, one sentence each, and figures of what it proved."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal[
    "coverage", "flow", "weights", "scales", "crossbar", "unit", "link", "order", "deadlock"
]

SHOWN = 20  # faults of one kind that are told one by one


@dataclass(frozen=True)
class Fault:
    """Something that is wrong.

    Attributes:
        kind: the property that does not hold.
        message: one sentence that names the stream, channel, link or node, and the reason.
    """

    kind: Kind
    message: str


@dataclass
class Findings:
    """All faults, what was counted on the way, and what could not be proven.

    Attributes:
        faults: in the order in which they were found.
        figures: of each property, plain JSON data.
        unproven: one sentence for each part that was taken as the file states it.
    """

    faults: list[Fault] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    unproven: list[str] = field(default_factory=list)
    _counts: dict[str, int] = field(default_factory=dict)

    def fault(self, kind: Kind, message: str) -> None:
        """Add a fault; beyond `SHOWN` of a kind they are counted only."""
        self._counts[kind] = self._counts.get(kind, 0) + 1
        if self._counts[kind] <= SHOWN:
            self.faults.append(Fault(kind, message))

    @property
    def counts(self) -> dict[str, int]:
        """Faults of each kind, those not told included."""
        return dict(self._counts)
