"""Programs of which a mapping file says where layers lie."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

import anacc
from anacc.errors import CompileError
from tests import performer
from tests.end_to_end.checks import assert_same_bits
from tests.end_to_end.network import Array, Network

Data = dict[str, Any]


def turned(mapping: Data, rows: int = 8, columns: int = 8) -> Data:
    """The same cuts on other cores: the grid turned by half a turn."""
    found: Data = {}
    for name, layer in mapping.items():
        tiles = {
            str(rows - 1 - int(row)): {
                str(columns - 1 - int(column)): regions for column, regions in cores.items()
            }
            for row, cores in layer["tiles_map"].items()
        }
        found[name] = {**layer, "tiles_map": tiles}
    return found


def outputs(program: anacc.Program, feed: dict[str, Array]) -> list[bytes]:
    return [array.tobytes() for array in program.run(feed).values()]


def places(mapping: Data) -> set[tuple[str, str, str, str]]:
    return {
        (name, row, column, json.dumps(region, sort_keys=True))
        for name, layer in mapping.items()
        for row, cores in layer["tiles_map"].items()
        for column, regions in cores.items()
        for region in regions
    }


def test_a_published_mapping_is_the_mapping_of_the_program(tmp_path: Path) -> None:
    model, feed = performer.model(), performer.samples()
    file = tmp_path / "mapping.json"
    file.write_text(json.dumps(performer.published()))
    program = anacc.compile(model, calibration=feed, mapping=file)
    assert places(program.mapping()) == places(performer.published())
    tiles = program.report()["tiles"]
    assert sorted(
        (tile["core"], tile["row"], tile["column"], tile["rows"], tile["columns"]) for tile in tiles
    ) == sorted(
        (f"core 0.{8 * core[0] + core[1]}", *cell, *size)
        for size, core, cell in performer.PUBLISHED.values()
    )
    again = anacc.compile(model, calibration=feed, mapping=program.mapping())
    assert again.mapping() == program.mapping()
    # No layer is cut, so that tiles placed freely are the same.
    free = anacc.compile(model, calibration=feed, row_copies="never", packing="never")
    assert places(free.mapping()) != places(program.mapping())
    assert outputs(free, feed) == outputs(program, feed)
    assert_same_bits(program.image, feed)


def layers(net: Network) -> Network:
    """A strided convolution, grouped and depthwise ones, a residual, a GDPU, wide products."""
    x = net.input("N", 6, 8, 8)
    x = net.node("Relu", net.node("Conv", x, net.weight(24, 6, 3, 3, sums=54), strides=[2, 2]))
    y = net.node("Conv", x, net.weight(24, 1, 3, 3, sums=9), group=24, pads=[1] * 4)
    y = net.node("Conv", y, net.weight(24, 8, 1, 1, sums=8), group=3)
    x = net.node("Add", x, y)
    x = net.node("Reshape", x, net.integers(0, 216))
    x = net.node("Tanh", net.node("MatMul", x, net.weight(216, 300, sums=216)))
    x = net.node("MatMul", x, net.weight(300, 520, sums=300))
    net.outputs.append(net.node("Sigmoid", net.node("MatMul", x, net.weight(520, 30, sums=520))))
    return net


@pytest.mark.parametrize("packing", ["auto", "always", "densest"])
def test_what_is_exported_can_be_imported_and_moved(packing: str) -> None:
    net = layers(Network(seed=1))
    model, feed = net.model(), net.feed(6, seed=2)
    free = anacc.compile(model, calibration=feed, packing=packing, row_copies="never")
    mapping = free.mapping()
    for wanted in (mapping, turned(mapping)):
        placed = anacc.compile(model, calibration=feed, mapping=wanted)
        assert places(placed.mapping()) == places(wanted)
        assert outputs(placed, feed) == outputs(free, feed)
    assert_same_bits(placed.image, {name: array[:2] for name, array in feed.items()})


@pytest.mark.filterwarnings("ignore:codes and converters lose")
@pytest.mark.parametrize("linear_before_reset", [0, 1])
def test_recurrent_layers_are_moved_with_their_gdpus(linear_before_reset: int) -> None:
    """A GRU of two chunks of units, and an LSTM in both directions."""
    net = Network(seed=2)
    x = net.input(3, "N", 40)
    gru = net.weight(1, 210, 40, sums=40), net.weight(1, 210, 70, sums=70)
    options = {"hidden_size": 70, "linear_before_reset": linear_before_reset}
    states = net.nodes("GRU", (x, *gru), 1, shape=(3, 1, "N", 70), **options)[0]
    y = net.node("Reshape", states, net.integers(3, -1, 70))
    lstm = net.weight(2, 24, 70, sums=70), net.weight(2, 24, 6, sums=6)
    ways: Data = {"hidden_size": 6, "direction": "bidirectional", "shape": (3, 2, "N", 6)}
    net.outputs.append(net.nodes("LSTM", (y, *lstm), 1, **ways)[0])
    model, feed = net.model(), net.feed(4, seed=3)
    free = anacc.compile(model, calibration=feed, row_copies="never")
    mapping = free.mapping()
    assert {layer["type"] for layer in mapping.values()} == {"GRU", "LSTM"}
    placed = anacc.compile(model, calibration=feed, mapping=turned(mapping))
    assert places(placed.mapping()) == places(turned(mapping))
    assert outputs(placed, feed) == outputs(free, feed)
    assert_same_bits(placed.image, feed)


def test_a_recurrent_layer_keeps_its_cuts() -> None:
    net = Network(seed=2)
    x = net.input(3, "N", 4)
    weights = net.weight(1, 24, 4, sums=4), net.weight(1, 24, 6, sums=6)
    net.outputs.append(net.nodes("LSTM", (x, *weights), 1, hidden_size=6, shape=(3, 1, "N", 6))[0])
    model, feed = net.model(), net.feed(4, seed=3)
    mapping = anacc.compile(model, calibration=feed, row_copies="never").mapping()
    ((name, layer),) = mapping.items()
    whole = {
        "tile_col_region": [0, 24],
        "tile_row_region": [0, 10],
        "weight_col_region": [0, 24],
        "weight_row_region": [0, 10],
    }
    joined = {name: {**layer, "tiles_map": {"0": {"0": [whole]}}}}
    with pytest.raises(anacc.MappingError, match=f"`{name}` .* no region of rows 0:4") as caught:
        anacc.compile(model, calibration=feed, mapping=joined)
    assert "\n" not in caught.value.message


def small_chip(folder: Path, **changes: int) -> Path:
    """HERMES with other values: `grid__rows=2` sets `grid.rows`."""
    lines = [f"{key.replace('__', '.')} = {value}" for key, value in changes.items()]
    path = folder / "chip.toml"
    path.write_text("\n".join(['inherit = "hermes"', *lines, ""]))
    return path


@pytest.mark.parametrize("grid", [(8, 8), (3, 3)])
def test_layers_that_are_not_named_take_the_cells_that_are_left(
    tmp_path: Path, grid: tuple[int, int]
) -> None:
    """On 64 cores, and on nine, of which eight must hold a large tile each."""
    net = layers(Network(seed=1))
    model, feed = net.model(), net.feed(6, seed=2)
    chip = small_chip(
        tmp_path, grid__rows=grid[0], grid__columns=grid[1], gdpu__count=min(8, grid[1])
    )
    options: Data = {"target": chip, "calibration": feed}
    free = anacc.compile(model, **options, packing="always", row_copies="never")
    mapping = turned(free.mapping(), *grid)
    for name in list(mapping):
        named = {name: mapping[name]}
        placed = anacc.compile(model, **options, mapping=named)
        assert places(named) <= places(placed.mapping())
        assert outputs(placed, feed) == outputs(free, feed)


def test_a_gdpu_must_be_wired_to_what_a_mapping_puts_before_it() -> None:
    net = Network(seed=1)
    x = net.input("N", 9)
    x, y = (net.node("MatMul", x, net.weight(9, 30, sums=9)) for _ in range(2))
    net.outputs.append(net.node("Mul", x, y))
    model, feed = net.model(), net.feed(6, seed=2)
    free = anacc.compile(model, calibration=feed, row_copies="never")
    first, second = (layer["tiles_map"]["0"]["0"] for layer in free.mapping().values())

    def put(one: int, two: int) -> Data:
        pairs = zip(free.mapping().items(), ((one, first), (two, second)), strict=True)
        return {
            name: {**layer, "tiles_map": {"5": {str(column): regions}}}
            for (name, layer), (column, regions) in pairs
        }

    placed = anacc.compile(model, calibration=feed, mapping=put(3, 3))
    assert places(placed.mapping()) == places(put(3, 3))
    assert {unit["unit"] for unit in placed.report()["units"]} >= {"gdpu 0.3"}
    assert outputs(placed, feed) == outputs(free, feed)
    with pytest.raises(CompileError, match="feeds a GDPU.*columns 2 and 3") as caught:
        anacc.compile(model, calibration=feed, mapping=put(2, 3))
    assert "\n" not in caught.value.message


def test_layers_that_share_a_weight_have_cells_of_their_own() -> None:
    net = Network(seed=1)
    weight = net.weight(12, 12, sums=12)
    x = net.node("MatMul", net.input("N", 12), weight)
    net.outputs.append(net.node("MatMul", net.node("Relu", x), weight))
    model, feed = net.model(), net.feed(6, seed=2)
    for node in model.graph.node:
        node.input[:] = ["fc.weight" if name == weight else name for name in node.input]
    for constant in model.graph.initializer:
        constant.name = "fc.weight" if constant.name == weight else constant.name
    program = anacc.compile(model, calibration=feed, row_copies="never")
    mapping = program.mapping()
    nodes = [node.name or f"MatMul:{node.output[0]}" for node in model.graph.node]
    assert list(mapping) == [name for name in nodes if "MatMul" in name]
    assert {layer["weight"] for layer in mapping.values()} == {"fc.weight"}
    again = anacc.compile(model, calibration=feed, mapping=turned(mapping))
    assert places(again.mapping()) == places(turned(mapping))
    shared = {"fc": next(iter(mapping.values()))}
    with pytest.raises(anacc.MappingError, match="`fc` of the mapping may be node"):
        anacc.compile(model, calibration=feed, mapping=shared)


def test_a_mapping_changes_neither_itself_nor_the_model() -> None:
    model, mapping = performer.model(), performer.published()
    before = model.SerializeToString(), copy.deepcopy(mapping)
    images = [
        anacc.compile(model, calibration=performer.samples(), mapping=mapping).image
        for _ in range(2)
    ]
    assert (model.SerializeToString(), mapping) == before
    assert images[0].code == images[1].code
