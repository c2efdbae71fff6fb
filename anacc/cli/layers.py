"""The table of `anacc run --compare MODEL --layers`."""

from __future__ import annotations

from anacc.comparison.compare import Comparison, TensorLoss
from anacc.reports.layout import short
from anacc.reports.text import plain, printable, table

HEADER = ("tensor", "node", "dB", "dB alone", "clipped", "range used", "core", "columns", "worst")


def layer_table(found: Comparison) -> str:
    """A line for each tensor that the chip holds, long names shortened, and what they come to."""
    rows = [_cells(loss) for loss in found.tensors]
    return plain(table(HEADER, rows, "llrrrrlrr"), width=160) + printable(found.sentence()) + "\n"


def _cells(loss: TensorLoss) -> list[str]:
    return [
        short(loss.tensor),
        short(loss.node),
        f"{loss.snr_db:.1f}",
        f"{loss.alone_db:.1f}",
        "" if loss.clip_rate is None else f"{100 * loss.clip_rate:.1f} %",
        "" if loss.range_used is None else f"{100 * loss.range_used:.0f} %",
        loss.core,
        "" if loss.columns is None else f"{loss.columns[0]}:{loss.columns[1]}",
        "" if loss.column is None else str(loss.column),
    ]
