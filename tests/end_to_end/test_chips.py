"""However a model is cut over chips and rounds, its bits are those of one chip that is large
enough."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import anacc
from anacc.compiler import compile_image
from anacc.errors import CompileError, UsageError
from anacc.program.decode import decode
from anacc.program.encode import encode
from anacc.program.image import Image
from anacc.reports.text import render
from tests.end_to_end.checks import Results, assert_equal, assert_same_bits
from tests.end_to_end.network import Array, Network
from tests.end_to_end.recurrent import recurrent_networks
from tests.end_to_end.strategies import convolutional, networks

GRIDS = {"large": (64, 64), "two": (1, 2), "four": (2, 2), "six": (3, 2), "wide": (8, 2)}


@pytest.fixture(scope="module")
def grids(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Chips of crossbars of 64 x 64 cells that differ in the number of cores only."""
    folder = tmp_path_factory.mktemp("grids")
    paths = {}
    for name, (rows, columns) in GRIDS.items():
        paths[name] = folder / f"{name}.toml"
        paths[name].write_text(
            'inherit = "hermes"\ncrossbar.rows = 64\ncrossbar.columns = 64\n'
            f"grid.rows = {rows}\ngrid.columns = {columns}\ngdpu.count = 2\n",
            encoding="utf-8",
        )
    return paths


def branches() -> Network:
    """Residual branches, groups, pooling and products: 24 crossbars, one for each tile."""
    net = Network(3)
    x = net.input("N", 3, 8, 8)

    def conv(name: str, inputs: int, outputs: int, size: int, group: int = 1) -> str:
        weight = net.weight(
            outputs, inputs // group, size, size, sums=inputs * size * size // group
        )
        pads = [size // 2] * 4
        return net.node("Conv", name, weight, kernel_shape=[size] * 2, pads=pads, group=group)

    a = net.node("Relu", conv(x, 3, 40, 3))
    b, c = conv(a, 40, 40, 3), conv(a, 40, 40, 1)
    d = net.node("Relu", net.node("Add", b, c))
    e = net.node("Flatten", net.node("GlobalAveragePool", net.node("Relu", conv(d, 40, 20, 3, 2))))
    f = net.node("Relu", net.node("MatMul", e, net.weight(20, 300, sums=20)))
    net.outputs = [net.node("MatMul", f, net.weight(300, 10, sums=300)), d]
    return net


def compiled(
    net: Network, feeds: list[dict[str, Array]], target: Path, packing: str = "auto", **how: object
) -> Image:
    image, _ = compile_image(
        net.model(),
        target=target,
        calibration=feeds,
        row_copies="never",  # which there are depends on how many cores are free
        packing=packing,
        **how,  # type: ignore[arg-type]
    )
    assert decode(encode(image.code)) == image.code
    return image


@pytest.mark.parametrize("packing", ["never", "auto"])
@pytest.mark.parametrize(
    ("grid", "chips", "reload"),
    [
        ("two", "auto", False),
        ("four", "auto", False),
        ("six", 5, False),
        ("two", 1, True),
        ("four", 1, True),
        ("two", 3, True),
    ],
)
def test_branches(
    grids: dict[str, Path], grid: str, chips: int | str, reload: bool, packing: str
) -> None:
    net = branches()
    feed = net.feed(3, seed=1)
    expected = assert_same_bits(compiled(net, [feed], grids["large"]), feed)
    image = compiled(net, [feed], grids[grid], packing, chips=chips, reload=reload)
    assert_equal(assert_same_bits(image, feed), expected, f"{grid}, {chips} chips")
    report = anacc.Program(image).report()
    assert report["cores"]["rounds"] > 1 if reload else report["cores"]["chips"] > 1
    assert sum(entry["cores"] for entry in report["rounds"]) >= (24 if packing == "never" else 9)
    for bound in report["bounds"].values():
        assert bound["value"] >= bound["bound"]
    text = render(report)
    assert ("values to next" in text) == (report["cores"]["chips"] > 1)
    assert ("programming takes" in text) == reload
    assert ("worst case: every device" in text) == reload
    assert ("programming.iteration_time" in text) == reload


def check(net: Network, grids: dict[str, Path], seed: int) -> None:
    """Compile a network for one large chip, for a chain of small ones, and for rounds of one."""
    samples = 3 if isinstance(net.batch, str) else net.batch
    feeds = [net.feed(samples, seed=seed)]
    expected: Results | None = None
    for how in (
        {"target": grids["large"]},
        {"target": grids["wide"], "chips": "auto"},
        {"target": grids["wide"], "reload": True, "chips": 2},
    ):
        try:
            image = compiled(net, feeds, **how)
        except CompileError as error:
            assert "a part of it that must be there at once" in error.message
            continue
        found = assert_same_bits(image, feeds[0])
        if expected is not None:
            assert_equal(found, expected, str(how))
        expected = found


@settings(max_examples=12)
@given(net=st.one_of(networks(), convolutional), seed=st.integers(0, 99))
def test_generated_networks(grids: dict[str, Path], net: Network, seed: int) -> None:
    check(net, grids, seed)


@settings(max_examples=6)
@given(net=recurrent_networks(), seed=st.integers(0, 99))
def test_generated_recurrent_networks(grids: dict[str, Path], net: Network, seed: int) -> None:
    check(net, grids, seed)


def test_wrong_options_are_refused(grids: dict[str, Path]) -> None:
    model = branches().model()
    for chips in (0, -1, "some", 1.5, True):
        with pytest.raises(UsageError, match="neither `auto` nor an integer from 1 on"):
            anacc.compile(model, chips=chips)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="`reload` needs the number of chips"):
        anacc.compile(model, chips="auto", reload=True)
    with pytest.raises(UsageError, match="`chips` is 1025, and a program for .* may use 1024"):
        anacc.compile(model, chips=1025)
    with pytest.raises(CompileError, match="needs 24 cores and 2 chips of target .* have 8"):
        compile_image(model, target=grids["four"], row_copies="never", packing="never", chips=2)
