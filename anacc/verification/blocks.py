"""Which cells of which ONNX node's matrix each weight block holds.

The program states for each block the node and a region of the layer's matrix.  For convolutions and
products the region counts rows and columns as `matrices` does.  A recurrent layer is cut into
chunks of hidden units, so what its columns are is found from the weights: each column of codes
belongs to the column of the model's matrix that it correlates with best over all row tiles.  Where
there are too few rows to tell single columns apart, whole gates of consecutive hidden units are
sought.  `codes` then proves that the columns are those.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from anacc.program.image import Image
from anacc.verification.algebra import column_factors, row_factors
from anacc.verification.flow import Block
from anacc.verification.matrices import Matrix

Ints = npt.NDArray[np.int64]

ALIKE = 0.98  # of the best score, with which columns in their natural order are preferred


@dataclass(frozen=True)
class Region:
    """What a weight block is said to hold.

    Attributes:
        layer: its name in the program.
        matrix: of the ONNX node, or None where the model has none that is constant.
        node: name of the ONNX node.
        rows: for each row of the region, the row of the matrix.
        columns: likewise.
        copies: how often the rows stand in the block.
    """

    layer: str
    matrix: Matrix | None
    node: str
    rows: Ints
    columns: Ints
    copies: int

    def weights(self) -> npt.NDArray[np.float64]:
        """The model's weights of the region, 0 where there are none; (rows, columns)."""
        if self.matrix is None:
            raise ValueError(f"layer {self.layer} has no matrix")
        if self.matrix.inputs:
            flat = self.matrix.weight
            way = int(self.columns[0]) // flat.shape[2]
            rows, columns = self.rows - way * flat.shape[1], self.columns - way * flat.shape[2]
            return np.asarray(flat[way][np.ix_(rows, columns)], np.float64)
        return self.matrix.region(_span(self.rows), _span(self.columns))

    def groups(self) -> tuple[tuple[int, int, int, int], ...]:
        """The parts of the region that hold weights."""
        if self.matrix is None or self.matrix.inputs:
            return ((0, len(self.rows), 0, len(self.columns)),)
        found = self.matrix.groups(_span(self.rows), _span(self.columns))
        return tuple((top, bottom, left, right) for _, top, bottom, left, right in found)

    @property
    def cells(self) -> int:
        """Weights of the region, each counted once."""
        return sum((b - t) * (r - left) for t, b, left, r in self.groups())

    def block(self) -> Block:
        """Its factors for `flow`."""
        name = self.matrix.node if self.matrix else self.layer
        return Block(
            row_factors(name, self.rows),
            column_factors(name, self.columns),
            self.groups(),
            self.copies,
        )


def regions(image: Image, matrices: Mapping[str, Matrix]) -> dict[int, Region]:
    """What each weight block holds; blocks of which nothing is said are left out, and have no
    matrix where it cannot be told which of its columns they are."""
    stated: list[dict[str, Any]] = image.origin.get("weights", [])
    heights: dict[str, int] = {}
    for each in stated:
        heights[each["layer"]] = max(heights.get(each["layer"], 0), each["rows"][1])
    found: dict[int, Region] = {}
    chunks: dict[tuple[str, tuple[int, int]], list[int]] = {}
    for number, each in enumerate(stated[: len(image.code.weights)]):
        rows, columns = np.arange(*each["rows"]), np.arange(*each["columns"])
        matrix = next((matrices[node] for node in each["nodes"] if node in matrices), None)
        node = matrix.node if matrix else (each["nodes"] or [each["layer"]])[0]
        if not len(rows) or image.code.weights[number].rows % len(rows):
            continue
        copies = image.code.weights[number].rows // len(rows)
        found[number] = Region(each["layer"], matrix, node, rows, columns, copies)
        if matrix is not None and matrix.inputs:
            key = each["layer"], (columns[0], columns[-1])
            chunks.setdefault(key, []).append(number)
    unclear = {
        found[numbers[0]].node
        for (layer, _), numbers in chunks.items()
        if not _find_columns(image, found, numbers, heights[layer])
    }
    for number, region in found.items():
        if region.node in unclear:
            found[number] = replace(region, matrix=None)
    return found


def _find_columns(image: Image, found: dict[int, Region], numbers: list[int], height: int) -> bool:
    """Find the direction, rows and columns of a recurrent layer's blocks with common columns.

    Returns:
        Whether there is one answer: small matrices may look alike.
    """
    matrix = found[numbers[0]].matrix
    if matrix is None:
        return True
    directions, rows, width = matrix.weight.shape
    starts = {first for first in (0, matrix.inputs) if first + height <= rows}
    answers: list[tuple[float, int, int, Ints]] = []
    for way, start in itertools.product(range(directions), sorted(starts)):
        score = np.zeros((len(found[numbers[0]].columns), width))
        for number in numbers:
            region = found[number]
            chosen = matrix.weight[way, start + region.rows].astype(np.float64)
            codes = np.asarray(image.weights[number][: len(region.rows)], np.float64)
            score += _unit(codes).T @ _unit(chosen)
        gates = _gates(score, rows - matrix.inputs)
        most = float(score.max(axis=1).sum())
        if not gates or gates[0][0] < ALIKE * most:
            gates = [(most, score.argmax(axis=1))]
        answers += [(total, way, start, columns) for total, columns in gates]
    answers.sort(key=lambda answer: -answer[0])
    best, way, start, columns = answers[0]
    for number in numbers:
        region = found[number]
        found[number] = Region(
            region.layer,
            matrix,
            region.node,
            way * rows + start + region.rows,
            way * width + columns,
            region.copies,
        )
    return len(answers) == 1 or answers[1][0] < best * (1 - 1e-3)


def _gates(score: npt.NDArray[np.float64], hidden: int) -> list[tuple[float, Ints]]:
    """How good gates of consecutive units are, with their columns; the best of each order.

    Args:
        score: how well each column of codes fits each of the model's, (n, gates * hidden).
        hidden: units of a gate.
    """
    found: list[tuple[float, Ints]] = []
    gates = score.shape[1] // hidden
    for count in range(1, gates + 1):
        units, rest = divmod(len(score), count)
        if rest or not 0 < units <= hidden:
            continue
        # For each block of columns, gate and first unit: how well they fit.
        fits = np.zeros((count, gates, hidden - units + 1))
        for unit in range(units):
            rows = score[unit::units].reshape(count, gates, hidden)
            fits += rows[:, :, unit : unit + hidden - units + 1]
        for order in itertools.permutations(range(gates), count):
            totals = np.sum([fits[place, gate] for place, gate in enumerate(order)], axis=0)
            for first in np.argsort(-totals, kind="stable")[:2].tolist():
                columns = [gate * hidden + first + np.arange(units) for gate in order]
                found.append((float(totals[first]), np.concatenate(columns)))
    found.sort(key=lambda each: -each[0])
    return found[:2]


def _unit(columns: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Columns of length 1; zeros stay."""
    length = np.sqrt((columns * columns).sum(axis=0))
    return np.asarray(columns / np.where(length > 0, length, 1.0))


def _span(numbers: Ints) -> tuple[int, int]:
    return int(numbers[0]), int(numbers[-1]) + 1
