"""Networks of known shapes: matrices as published, and bytes that depend on the seed alone."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from bench import shapes
from bench.shapes import catalogue, description, parameters
from bench.shapes.__main__ import main
from bench.shapes.bert import bert_base
from bench.shapes.description import Network
from bench.shapes.gpt2 import gpt2_small

# torchvision's models, bvlc_googlenet, bert-base-uncased, gpt2 without its 1024 x 768 positions.
PARAMETERS = {
    "squeezenet-1.0": 1_248_424,
    "squeezenet-1.1": 1_235_496,
    "mobilenet-v2": 3_504_872,
    "googlenet": 6_998_552,
    "resnet-18": 11_689_512,
    "resnet-34": 21_797_672,
    "resnet-50": 25_557_032,
    "inception-v3": 23_834_568,
    "vgg-16": 138_357_544,
    "bert-base": 85_054_464,
    "gpt2-small": 124_439_808 - 1024 * 768,
}
# What one matrix a crossbar of 256x256 takes, and what the cells alone would fill.
CROSSBARS = {
    "squeezenet-1.0": (44, 19),
    "shufflenet": (243, 46),
    "mobilenet-v2": (369, 80),
    "googlenet": (212, 107),
    "resnet-18": (201, 179),
    "resnet-34": (371, 333),
    "inception-v3": (566, 364),
    "resnet-50": (422, 390),
    "vgg-16": (2121, 2111),
    "resnet-9": (40, 29),
    "ptb-lstm": (26, 20),
    "caption-lstm": (64, 63),
}
# Le Gallo et al., Nature Electronics 6, 680-693 (2023), figures 3 to 5.
HERMES_WEIGHTS = {"resnet-9": 1_866_536, "ptb-lstm": 1_299_312, "caption-lstm": 4_080_384}
SIDE = 256


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_are_those_published(name: str) -> None:
    assert shapes.network(name).parameter_count == PARAMETERS[name]


def test_shufflenet_is_as_large_as_that_of_the_model_zoo() -> None:
    """Its file has 5.3 MB, of which a tenth of a megabyte are names and nodes."""
    assert 5.25 < shapes.network("shufflenet").size / 2**20 < 5.45


@pytest.mark.parametrize("name", HERMES_WEIGHTS)
def test_matrices_of_the_chip_are_those_published(name: str) -> None:
    matrices = [each for each in shapes.network(name).parameters if len(each.shape) > 1]
    biases = [each for each in matrices if each.name == "lstm.bias"]
    assert sum(each.count for each in matrices if each not in biases) == HERMES_WEIGHTS[name]


@pytest.mark.parametrize("name", CROSSBARS)
def test_crossbars_of_one_matrix_each(name: str) -> None:
    assert crossbars(shapes.network(name)) == CROSSBARS[name]


def crossbars(network: Network) -> tuple[int, int]:
    """Crossbars with one matrix each, and those that its cells would fill; the groups of a
    convolution lie along the diagonal of a matrix, as many as a crossbar holds."""
    sizes = {each.name: each.shape for each in network.parameters}
    count = cells = 0
    for node in network.nodes:
        weights = [sizes[name] for name in node.input if len(sizes.get(name, ())) > 1]
        for shape in weights[:2]:
            rows, columns, groups = math.prod(shape[1:]), shape[0], 1
            if node.op_type == "Conv":
                groups = next(each.i for each in node.attribute if each.name == "group")
                columns //= groups
            elif node.op_type == "LSTM":
                rows, columns = shape[2], shape[1]
            elif node.op_type == "MatMul":
                rows, columns = shape
            beside = max(1, min(SIDE // rows, SIDE // columns, groups))
            blocks = [beside] * (groups // beside) + [groups % beside] * (groups % beside > 0)
            count += len(blocks) * math.ceil(rows / SIDE) * math.ceil(columns / SIDE)
            cells += sum(block**2 for block in blocks) * rows * columns
    return count, math.ceil(cells / SIDE**2)


SMALL = (
    "squeezenet-1.1",
    "shufflenet",
    "resnet-9",
    "ptb-lstm",
    "chain-20",
    "wide-40",
    "weights-1e4",
)


@pytest.mark.parametrize("name", SMALL)
def test_models_run(name: str) -> None:
    check_that_it_runs(shapes.build(name))


def test_transformers_run() -> None:
    check_that_it_runs(bert_base(layers=1).model())
    check_that_it_runs(gpt2_small(layers=1, vocabulary=50).model())


def check_that_it_runs(model: onnx.ModelProto) -> None:
    """Its output has the stated shape, and is finite and not constant."""
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    feed = {
        port.name: np.random.default_rng(1).random(sizes_of(port.shape), np.float32)
        for port in session.get_inputs()
    }
    (output,) = session.run(None, feed)
    assert isinstance(output, np.ndarray)
    assert [*output.shape] == sizes_of(session.get_outputs()[0].shape)
    assert np.isfinite(output).all() and output.std() > 0
    # Binary16, which chips keep outputs in, holds them.
    assert np.abs(output).max() < 1000


def sizes_of(shape: list[int | str]) -> list[int]:
    """A shape with a batch of 2."""
    return [2 if isinstance(size, str) else size for size in shape]


def test_a_model_depends_on_its_seed_alone() -> None:
    first, same, other = (shapes.build("squeezenet-1.1", seed) for seed in (0, 0, 1))
    assert first.SerializeToString() == same.SerializeToString()
    assert first.graph.node == other.graph.node
    assert all(
        a.raw_data != b.raw_data
        for a, b in zip(first.graph.initializer, other.graph.initializer, strict=True)
    )


def test_no_two_tensors_hold_the_same_numbers() -> None:
    tensors = [each.raw_data[:64] for each in shapes.build("weights-1e4").graph.initializer]
    assert len({*tensors}) == len(tensors)


def test_pieces_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = shapes.build("weights-1e4").SerializeToString()
    monkeypatch.setattr(parameters, "PIECE", 7)
    assert shapes.build("weights-1e4").SerializeToString() == whole


def test_large_weights_go_to_a_file_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = shapes.network("chain-6")
    inside = network.model()
    monkeypatch.setattr(description, "LARGEST_INLINE", 1000)
    with pytest.raises(shapes.TooLarge):
        network.model()
    path = tmp_path / "chain.onnx"
    network.write(path)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["chain.onnx", "chain.onnx.data"]
    found = onnx.load(path).graph
    assert found.node == inside.graph.node
    for a, b in zip(found.initializer, inside.graph.initializer, strict=True):
        assert (a.name, a.dims, a.raw_data) == (b.name, b.dims, b.raw_data)
    offsets = [
        int(entry.value)
        for tensor in onnx.load(path, load_external_data=False).graph.initializer
        for entry in tensor.external_data
        if entry.key == "offset"
    ]
    assert len(offsets) == 6 and all(offset % description.PAGE == 0 for offset in offsets)


def test_families_grow_as_asked() -> None:
    for ops in (100, 1000, 10_000):
        assert len(shapes.network(f"chain-{ops}").nodes) == ops
        assert 0.9 * ops < len(shapes.network(f"wide-{ops}").nodes) <= ops
    for weights in (10**6, 10**7, 10**8, 10**9):
        network = shapes.network(f"weights-{weights}")
        assert abs(network.parameter_count / weights - 1) < 0.01
        assert len(network.nodes) == 32


@pytest.mark.parametrize(
    "name", ["resnet", "chain", "chain-", "chain-x", "chain-0", "weights-nan", "wide-1e999", "x-5"]
)
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(shapes.UnknownNetwork, match=f"no network `{name}`.*squeezenet-1.0"):
        shapes.network(name)


def test_the_command_lists_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in (*shapes.names(), *catalogue.FAMILIES))
    assert main(["chain-4", "-o", str(tmp_path / "chain.onnx")]) == 0
    assert "2,112 parameters, 4 nodes" in capsys.readouterr().out
    assert (tmp_path / "chain.onnx").read_bytes() == shapes.build("chain-4").SerializeToString()
    assert main(["chain-no"]) == 2
    assert capsys.readouterr().err.startswith("error: there is no network `chain-no`")
