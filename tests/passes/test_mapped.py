"""Mapping files against models: which layer is meant, and whether its regions can be."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from anacc.errors import MappingError
from anacc.frontend import import_model
from anacc.ir import Module
from anacc.mapping_file import (
    RECURRENT_COLUMNS,
    RECURRENT_ROWS,
    ROW_ORDER,
    TRANSPOSED_COLUMNS,
    read_mapping,
)
from anacc_passes.fuse import Fuse
from anacc_passes.given.mapped import Matrix, check_cover, regions_of
from anacc_passes.packing.regions import Region, Regions
from anacc_passes.partition import Partition
from tests.passes.chips import target
from tests.performer import LAYER, PUBLISHED, model, published

Data = dict[str, Any]
Span = tuple[int, int]

CHIP = target()
SHAPES = {
    "conv.weight": (16, 8, 3, 3),
    "deep.weight": (16, 1, 3, 3),
    "up.weight": (16, 2, 2, 2),
    "head.weight": (20, 288),
    "head.bias": (20,),
    "tied.weight": (20, 20),
    "w1": (1, 12, 48),
    "r1": (1, 12, 3),
    "w2": (2, 12, 48),
    "r2": (2, 12, 3),
}


def layers(*nodes: onnx.NodeProto, outputs: dict[str, tuple[Any, ...]]) -> Module:
    """The layers of a small model; its initialisers are those of SHAPES that the nodes read."""
    used = {name for node in nodes for name in node.input} & SHAPES.keys()
    constants = [
        numpy_helper.from_array(np.ones(SHAPES[name], np.float32), name) for name in sorted(used)
    ]
    constants.append(numpy_helper.from_array(np.array([0, 6, 48]), "shape"))
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 8, 6, 6])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in outputs.items()
        ],
        constants,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return Fuse(CHIP)(Partition(CHIP)(import_model(made)))


def node(operator: str, inputs: str, name: str, **attributes: Any) -> onnx.NodeProto:
    """A node that gives a tensor of its name."""
    return helper.make_node(operator, inputs.split(), [f"{name}.out"], name=name, **attributes)


PADDED = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
TRUNK = [
    node("Conv", "x conv.weight", "c", **PADDED),
    node("Conv", "c.out deep.weight", "d", group=16, **PADDED),
    node("MaxPool", "d.out", "pool", kernel_shape=[2, 1], strides=[2, 1]),
    node("Flatten", "pool.out", "flat"),
    node("Gemm", "flat.out head.weight head.bias", "g", transB=1),
]
SMALL = layers(
    *TRUNK,
    node("MatMul", "g.out tied.weight", "m1"),
    node("MatMul", "m1.out tied.weight", "m2"),
    node("Softmax", "m2.out", "s"),
    node("ConvTranspose", "c.out up.weight", "u", strides=[2, 2]),
    outputs={"s.out": ("N", 20), "u.out": ("N", 2, 12, 12)},
)


def part(rows: Span, columns: Span, cell: Span) -> Data:
    """A region whose first cell is in a row and a column of its crossbar."""
    return {
        "tile_col_region": [cell[1], cell[1] + columns[1] - columns[0]],
        "tile_row_region": [cell[0], cell[0] + rows[1] - rows[0]],
        "weight_col_region": list(columns),
        "weight_row_region": list(rows),
    }


def entry(core: Span, *parts: Data, **keys: Any) -> Data:
    """A layer on one core."""
    return {"type": "Linear", **keys, "tiles_map": {str(core[0]): {str(core[1]): list(parts)}}}


MAPPING: Data = {
    "conv": entry(
        (0, 1),
        part((0, 40), (0, 16), (0, 0)),
        part((40, 72), (0, 10), (40, 0)),
        part((40, 72), (10, 16), (100, 100)),
        type="Conv2d",
        row_order=ROW_ORDER,
    ),
    "deep.weight": entry(
        (0, 2),
        part((0, 72), (0, 8), (0, 0)),
        part((72, 144), (8, 16), (72, 8)),
        type="Conv2d",
        row_order=ROW_ORDER,
    ),
    "head": {
        "type": "Linear",
        "tiles_map": {
            "7": {
                "6": [part((0, 256), (0, 20), (0, 30))],
                "7": [part((256, 288), (0, 20), (224, 236))],
            }
        },
    },
    "m2": entry((3, 4), part((0, 20), (0, 20), (1, 2)), weight="tied.weight"),
    "up": entry(
        (3, 5),
        part((0, 16), (0, 8), (0, 0)),
        type="ConvTranspose2d",
        column_order=TRANSPOSED_COLUMNS,
    ),
}


def found(data: Data, module: Module = SMALL) -> Regions:
    return regions_of(read_mapping(data), module, CHIP)


def test_layers_are_found_by_node_module_and_weight() -> None:
    assert found(MAPPING) == {
        "c": (
            Region((0, 40), (0, 16), 1, 0, 0),
            Region((40, 72), (0, 10), 1, 40, 0),
            Region((40, 72), (10, 16), 1, 100, 100),
        ),
        "d": (Region((0, 72), (0, 8), 2, 0, 0), Region((72, 144), (8, 16), 2, 72, 8)),
        "g": (Region((0, 256), (0, 20), 62, 0, 30), Region((256, 288), (0, 20), 63, 224, 236)),
        "m2": (Region((0, 20), (0, 20), 28, 1, 2),),
        "u": (Region((0, 16), (0, 8), 29, 0, 0),),
    }
    # By the name that the file gives the weight.
    renamed = {"anything": {**MAPPING["head"], "weight": "head.weight"}}
    assert list(found(renamed)) == ["g"]


def test_the_layers_of_a_published_mapping_are_found_by_the_paths_of_their_nodes() -> None:
    module = Fuse(CHIP)(Partition(CHIP)(import_model(model())))
    regions = found(published(), module)
    assert len(regions) == len(PUBLISHED)
    assert regions["/encoder/encoder/layers.1/fc2/MatMul"] == (
        Region((0, 128), (0, 64), 0, 128, 128),
    )
    one = {"fc1": {**published()[f"{LAYER}.0.fc1"], "weight": f"{LAYER}.0.fc1.weight"}}
    with pytest.raises(MappingError, match="`fc1` of the mapping is no layer") as caught:
        found(one, module)  # PyTorch has left the weight without a name
    assert f"`{LAYER}.0.self_attn.k_proj`" in str(caught.value.hint)
    assert "and 11 more" in str(caught.value.hint)


def without(*path: str) -> Callable[[Data], None]:
    def change(data: Data) -> None:
        place = data
        for key in path[:-1]:
            place = place[key]
        del place[path[-1]]

    return change


def to(value: Any, *path: str) -> Callable[[Data], None]:
    def change(data: Data) -> None:
        place = data
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change


CONV = ("conv", "tiles_map", "0", "1")
DEEP = ("deep.weight", "tiles_map", "0", "2")
M2 = ("m2", "tiles_map")

ELSEWHERE = part((0, 20), (0, 20), (0, 0))

FAULTS: dict[str, tuple[Callable[[Data], None], str]] = {
    "no such layer": (
        to(MAPPING["m2"] | {"weight": "n"}, "none"),
        "layer `none` of the mapping is no layer of the model",
    ),
    "tied": (to(MAPPING["m2"], "tied"), "`tied` of the mapping may be node `m1` or `m2`"),
    "twice": (to(MAPPING["conv"], "c"), "layers `conv` and `c` of the mapping are both node `c`"),
    "on the host": (to(MAPPING["m2"], "s"), "layer `s` of the mapping runs on the host"),
    "no order": (
        without("conv", "row_order"),
        "the order of the rows of layer `conv` in the mapping is not stated",
    ),
    "another order": (
        to("channel, kernel", "conv", "row_order"),
        "is `channel, kernel`, and its matrix has one of its own",
    ),
    "an order too many": (
        to("gate", "m2", "column_order"),
        "order of the columns of layer `m2` in the mapping is `gate`, and its matrix has the plain",
    ),
    "no phases": (without("up", "column_order"), "order of the columns of layer `up`"),
    "another type": (to("Conv2d", "head", "type"), "layer `head` of the mapping is of type"),
    "an unknown type": (
        to("Attention", "m2", "type"),
        "`m2` of the mapping is of type `Attention`, and node `m2` of the model is a `Linear`",
    ),
    "a product for a kernel": (to("Linear", "conv", "type"), "node `c` of the model is a `Conv2d`"),
    "no core": (
        to({"8": {"0": [ELSEWHERE]}}, *M2),
        "`m2` of the mapping lies on the core in row 8, column 0, and target `IBM HERMES Project "
        "Chip` has 8 x 8 cores",
    ),
    "no core beside": (to({"0": {"8": [ELSEWHERE]}}, *M2), "row 0, column 8"),
    "below": (
        to({"0": {"0": [part((0, 20), (0, 20), (237, 0))]}}, *M2),
        "`m2` of the mapping reaches row 257, column 20 of core 0, whose crossbar has 256 x 256",
    ),
    "right": (
        to({"0": {"0": [part((0, 20), (0, 20), (0, 237))]}}, *M2),
        "reaches row 20, column 257",
    ),
    "beyond": (
        to({"0": {"0": [part((0, 20), (0, 21), (0, 0))]}}, *M2),
        "`m2` of the mapping has rows 0:20 and columns 0:21, and its matrix is 20 x 20",
    ),
    "no region": (to({}, *M2), "`m2` of the mapping has columns 0:20 nowhere"),
    "rows missing": (
        to({"0": {"0": [part((0, 19), (0, 20), (0, 0))]}}, *M2),
        "`m2` of the mapping has rows 19:20 nowhere",
    ),
    "columns missing": (
        to({"0": {"0": [part((0, 20), (1, 20), (0, 0))]}}, *M2),
        "`m2` of the mapping has rows 0:20, columns 0:1 nowhere",
    ),
    "twice on crossbars": (
        to([part((0, 72), (0, 16), (0, 0))] * 2, *CONV),
        "`conv` of the mapping has rows 0:72, columns 0:16 twice",
    ),
    "rows that overlap": (
        to([part((0, 40), (0, 16), (0, 0)), part((39, 72), (0, 16), (100, 0))], *CONV),
        "`conv` of the mapping has rows 39:40 twice",
    ),
    "other cuts through rows": (
        to(
            [
                part((0, 40), (0, 8), (0, 0)),
                part((40, 72), (0, 8), (40, 0)),
                part((0, 72), (8, 16), (0, 8)),
            ],
            *CONV,
        ),
        "`conv` of the mapping has rows 0:40 twice",
    ),
    "a group missing": (
        to([part((0, 72), (0, 8), (0, 0))], *DEEP),
        "`deep.weight` of the mapping has columns 8:9 nowhere",
    ),
    "a group between": (
        to([part((0, 72), (0, 8), (0, 0)), part((81, 144), (9, 16), (72, 8))], *DEEP),
        "has columns 8:9 nowhere",
    ),
    "off the diagonal": (
        to([part((0, 72), (8, 16), (0, 0)), part((72, 144), (0, 8), (72, 8))], *DEEP),
        "`deep.weight` of the mapping has rows 0:72, columns 0:8 nowhere",
    ),
    "cells in common": (
        to({"0": {"1": [part((0, 20), (0, 20), (60, 5))]}}, *M2),
        "layers `conv` and `m2` of the mapping have cells in common",
    ),
    "cells of its own": (
        to([part((0, 40), (0, 16), (0, 0)), part((40, 72), (0, 16), (39, 0))], *CONV),
        "two regions of layer `conv` of the mapping have cells in common",
    ),
}


@pytest.mark.parametrize(("change", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_what_does_not_fit_is_refused_in_one_sentence(
    change: Callable[[Data], None], message: str
) -> None:
    data = copy.deepcopy(MAPPING)
    change(data)
    with pytest.raises(MappingError, match=re.escape(message)) as caught:
        found(data)
    assert "\n" not in caught.value.message


def recurrent(direction: str) -> Module:
    ways = 2 if direction == "bidirectional" else 1
    return layers(
        node("Reshape", "x shape", "flat"),
        node("Transpose", "flat.out", "turned", perm=[1, 0, 2]),
        node("LSTM", f"turned.out w{ways} r{ways}", "l", hidden_size=3, direction=direction),
        outputs={"l.out": (6, ways, "N", 3)},
    )


GATES = {"type": "LSTM", "row_order": RECURRENT_ROWS, "column_order": RECURRENT_COLUMNS}


def test_each_direction_of_a_recurrent_layer_is_a_layer() -> None:
    """Rows are 48 inputs and 3 hidden units, columns four gates of 3 units."""
    data = entry((0, 0), part((0, 48), (0, 12), (0, 0)), part((48, 51), (0, 12), (48, 0)), **GATES)
    regions = (Region((0, 48), (0, 12), 0, 0, 0), Region((48, 51), (0, 12), 0, 48, 0))
    assert found({"l": data}, recurrent("forward")) == {"l": regions}
    assert found({"w1": data}, recurrent("forward")) == {"l": regions}
    assert found({"l reverse": data}, recurrent("reverse")) == {"l reverse": regions}
    both = recurrent("bidirectional")
    other = {**data, "tiles_map": {"1": data["tiles_map"]["0"]}}
    assert list(found({"l reverse": data, "l": other}, both)) == ["l reverse", "l"]


@pytest.mark.parametrize("key", ["type", "row_order", "column_order"])
def test_a_recurrent_layer_is_in_an_order_of_its_own(key: str) -> None:
    data = entry((0, 0), part((0, 51), (0, 12), (0, 0)), **(GATES | {key: "Linear"}))
    with pytest.raises(MappingError, match=f"layer `l`.*`Linear`|the {key[:3]}.*layer `l`"):
        found({"l": data}, recurrent("forward"))


@st.composite
def some_regions(draw: st.DrawFn) -> tuple[Matrix, list[Region]]:
    """Regions of a matrix of 4 x 4: cuts along rows and columns, some of them damaged."""
    group = draw(st.sampled_from([1, 1, 2, 4]))
    matrix = Matrix(4 // group, 4 // group, group, 1, 0)

    def span(size: int = 4) -> Span:
        first = draw(st.integers(0, size - 1))
        return first, draw(st.integers(first + 1, size))

    def cuts(first: int, last: int) -> list[Span]:
        ends = sorted({first, last, *draw(st.sets(st.integers(first, last), max_size=2))})
        return list(zip(ends, ends[1:], strict=False))

    regions = []
    for low, high in cuts(0, group):
        ends = low * matrix.rows, high * matrix.rows
        regions += [Region(r, c, 0, 0, 0) for r in cuts(*ends) for c in cuts(*ends)]
    for _ in range(draw(st.integers(0, 2))):
        number = draw(st.integers(0, len(regions)))
        regions[number : number + draw(st.integers(0, 1))] = [
            Region(span(), span(), 0, 0, 0) for _ in range(draw(st.integers(0, 1)))
        ]
    return matrix, draw(st.permutations(regions))


def covers(matrix: Matrix, regions: list[Region]) -> bool:
    """Rule 4 of `anacc_passes.given.mapped`, cell by cell."""
    size = matrix.group * matrix.rows
    count = np.zeros((size, size), int)
    block = np.arange(matrix.group)
    for region in regions:
        count[slice(*region.rows), slice(*region.columns)] += 1
        touched = [end // matrix.rows for r in (region.rows, region.columns) for end in range(*r)]
        inside = slice(min(touched), max(touched) + 1)
        block[np.isin(block, block[inside])] = block[inside].min()
    of_cell = np.repeat(block, matrix.rows)
    cut_alike = all(
        one.rows == two.rows or one.rows[1] <= two.rows[0] or two.rows[1] <= one.rows[0]
        for one in regions
        for two in regions
    )
    return cut_alike and bool(np.all(count == (of_cell[:, np.newaxis] == of_cell)))


@given(some_regions())
def test_regions_cover_a_matrix_or_are_refused(case: tuple[Matrix, list[Region]]) -> None:
    matrix, regions = case
    if covers(matrix, regions):
        check_cover("fc", regions, matrix)
        return
    with pytest.raises(MappingError, match="layer `fc` of the mapping has "):
        check_cover("fc", regions, matrix)
