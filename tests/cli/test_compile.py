"""`anacc compile` and `anacc.compile` with the compiler, and what they hand on to it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest

import anacc
from anacc.cli.compile import CALIBRATION_METHODS, CORRECTIONS, PACKINGS
from anacc.errors import AnaccError, CompileError, FeedError, MappingError, TargetError, UsageError
from anacc.targets import load_target
from anacc_passes.packing import crossbars
from anacc_passes.ranges import METHODS
from anacc_passes.tiling import correction
from tests.cli import sample
from tests.cli.conftest import Call

X = np.zeros((2, 4), np.float32)


class Compiler(ModuleType):
    """Stands for `anacc.compiler`: remembers what it was called with."""

    def __init__(self) -> None:
        super().__init__("anacc.compiler")
        self.model: Any = None
        self.options: dict[str, Any] = {}
        self.calibration: list[dict[str, Any]] | None = None
        self.error: Exception | None = None

    def compile_image(
        self,
        model: Any,
        *,
        calibration: Any,
        warn: Callable[[str], None],
        on_progress: Callable[[str, int, int], None] | None = None,
        **options: Any,
    ) -> tuple[Any, list[SimpleNamespace]]:
        self.model, self.options = model, options
        self.calibration = None if calibration is None else list(calibration)
        warn("calibrated on random inputs")
        if on_progress is not None:
            on_progress("tile", 1, 2)
        if self.error is not None:
            raise self.error
        return sample.image(), [SimpleNamespace(name="tile", seconds=1.5)]


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> Compiler:
    fake = Compiler()
    monkeypatch.setitem(sys.modules, "anacc.compiler", fake)
    return fake


def test_compile_writes_a_program(call: Call, files: Path, compiler: Compiler) -> None:
    result = call("compile", files / "model.onnx", "-o", files / "new.bin", "--timing")
    assert result.exit_code == 0, result.stderr
    assert (files / "new.bin").read_bytes() == (files / "program.bin").read_bytes()
    assert result.stdout == "pass        seconds\ntile          1.500\nall passes    1.500\n"
    warning, note = result.stderr.splitlines()
    assert warning == "warning: calibrated on random inputs"
    assert "1 of 64 cores" in note
    assert compiler.model == files / "model.onnx"


def test_options_reach_the_compiler(call: Call, files: Path, compiler: Compiler) -> None:
    result = call(
        "compile", files / "model.onnx", "-o", files / "new.bin", "--target", "own.toml",
        "--calibration", files / "feed.npz", "--calibration-method", "entropy",
        "--read-mode", "1-phase", "--shape", "T=35", "--shape", "a=b=2", "--seed", 7,
        "--packing", "never", "--correction", "bias+range", "--row-copies", "never",
        "--chips", "auto", "--reload", "--strict", "--state", "s=t",
        "--mapping", files / "map.json",
        "--optimize", "latency", "--effort", 2,
        "--set", "grid=16x16", "--set", "chip.name=a=b",
        "--dump-ir", files / "ir", "--print-ir-after", "tile",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert compiler.options == {
        "target": "own.toml",
        "calibration_method": "entropy",
        "read_mode": "1-phase",
        "shapes": {"T": 35, "a=b": 2},
        "seed": 7,
        "packing": "never",
        "correction": "bias+range",
        "row_copies": "never",
        "chips": "auto",
        "reload": True,
        "optimize": "latency",
        "effort": 2,
        "strict": True,
        "states": {"s": "t"},
        "mapping": files / "map.json",
        "settings": {"grid": "16x16", "chip.name": "a=b"},
        "dump_ir": files / "ir",
        "print_ir_after": "tile",
    }
    assert compiler.calibration is not None
    assert [list(feed) for feed in compiler.calibration] == [["x"]]


def test_a_failed_compile_leaves_no_file(call: Call, files: Path, compiler: Compiler) -> None:
    before = sorted(files.iterdir())
    compiler.error = CompileError("the model needs 70 cores", "use a larger chip")
    result = call("compile", files / "model.onnx", "-o", files / "new.bin")
    assert result.exit_code == 1
    assert result.stderr.endswith("error: the model needs 70 cores\n\nhint: use a larger chip\n")
    assert sorted(files.iterdir()) == before


def test_details_stand_between_an_error_and_its_hint(
    call: Call, files: Path, compiler: Compiler
) -> None:
    compiler.error = CompileError("2 things", "do it", ("one", "  \x1b[31mtwo", ""))
    result = call("compile", files / "model.onnx", "-o", files / "new.bin")
    assert result.stderr.endswith("error: 2 things\n\none\n  ?[31mtwo\n\nhint: do it\n")
    assert str(compiler.error) == "2 things\none\n  \x1b[31mtwo\n\nhint: do it"


def test_strict_lists_every_host_node(call: Call, files: Path) -> None:
    model = onnx.load(files / "model.onnx")
    model.graph.node[1].output[0] = "s"
    for name, operator, given in (("soft", "Softmax", "s"), ("turn", "Floor", "t")):
        model.graph.node.add(name=name, op_type=operator, input=[given], output=["t"])
    model.graph.node[-1].output[0] = "y"
    onnx.save(model, files / "model.onnx")
    before = sorted(files.iterdir())
    arguments = ("compile", files / "model.onnx", "-o", files / "new.bin")
    result = call(*arguments, "--calibration", files / "feed.npz", "--strict")
    assert (result.exit_code, result.stdout, sorted(files.iterdir())) == (1, "", before)
    assert result.stderr == (
        "error: 2 of 4 nodes would run on the host, and `strict` allows none\n"
        "\n"
        "the chip has no operator Softmax\n"
        "  Softmax: `soft`\n"
        "  hint: leave it out of the model if only the order of its outputs matters; at the end "
        "of a network it costs one crossing of the border\n"
        "\n"
        "the chip has no operator Floor\n"
        "  Floor: `turn`\n"
        "  hint: leave it to the host, which runs it exactly, or express it by operators of "
        "docs/supported-operators.md\n"
        "\n"
        "hint: compile without `strict`, and ONNX Runtime runs them\n"
    )
    assert call(*arguments, "--calibration", files / "feed.npz").exit_code == 0


def test_strict_has_nothing_to_refuse_in_a_model_of_layers(call: Call, files: Path) -> None:
    arguments = ("compile", files / "model.onnx", "-o", files / "new.bin", "--strict")
    assert call(*arguments, "--calibration", files / "feed.npz").exit_code == 0


def test_the_output_is_checked_before_the_work(call: Call, files: Path, compiler: Compiler) -> None:
    result = call("compile", files / "model.onnx", "-o", files / "absent" / "new.bin")
    assert result.exit_code == 2
    assert compiler.model is None


@pytest.mark.filterwarnings("ignore:calibrated on random inputs")
def test_python_takes_one_feed_or_several(files: Path, compiler: Compiler) -> None:
    model = files / "model.onnx"
    anacc.compile(model)
    assert compiler.calibration is None
    anacc.compile(str(model), calibration={"x": [1.0]})
    assert compiler.calibration == [{"x": np.array([1.0])}]
    anacc.compile(str(model), calibration=({"x": [n]} for n in range(3)))
    assert compiler.calibration is not None
    assert [int(feed["x"][0]) for feed in compiler.calibration] == [0, 1, 2]


WRONG: dict[str, tuple[dict[str, Any], type[AnaccError], str]] = {
    "an array": ({"calibration": np.zeros((2, 4), "f4")}, UsageError, "`calibration`.*ndarray"),
    "a path": ({"calibration": "x.npz"}, UsageError, "`calibration`.*str"),
    "a Path": ({"calibration": Path("x.npz")}, UsageError, "`calibration`.*Path"),
    "a number": ({"calibration": 3}, UsageError, "`calibration`.*int"),
    "arrays": ({"calibration": [np.zeros((2, 4), "f4")]}, UsageError, "feed 1.*ndarray"),
    "nothing": ({"calibration": []}, FeedError, "no feed"),
    "an iterator of nothing": ({"calibration": iter(())}, FeedError, "no feed"),
    "ragged": ({"calibration": {"x": [[1.0], [1.0, 2.0]]}}, FeedError, "feed 1.*`x`"),
    "no input": ({"calibration": {3: X}}, FeedError, "feed 1.*`3`"),
    "first feed": ({"calibration": [{"x": X[0]}, {"x": X}]}, FeedError, "feed 1.*`x` has shape"),
    "second feed": ({"calibration": [{"x": X}, {"x": X[0]}]}, FeedError, "feed 2.*`x` has shape"),
    "third feed": ({"calibration": [{"x": X}] * 2 + [{}]}, FeedError, "feed 3.*`x` is missing"),
    "other numbers": ({"calibration": [{"x": X}, {"x": X > 0}]}, FeedError, "feed 2.*`x` is bool"),
    "negative seed": ({"seed": -1}, UsageError, "`seed`.*-1"),
    "broken seed": ({"seed": 1.5}, UsageError, "`seed`.*1.5"),
    "method": ({"calibration_method": "guess"}, UsageError, "guess"),
    "no method": ({"calibration_method": None}, UsageError, "None"),
    "packing": ({"packing": "loose"}, UsageError, "loose"),
    "correction": ({"correction": "wild"}, UsageError, "wild"),
    "list of packings": ({"packing": ["auto"]}, UsageError, "auto"),
    "too much effort": ({"effort": 4}, UsageError, "`effort`.*4"),
    "broken effort": ({"effort": "most"}, UsageError, "`effort`.*most"),
    "shapes": ({"shapes": 3}, UsageError, "`shapes`"),
    "size": ({"shapes": {"N": "2"}}, UsageError, "`shapes`.*`N`"),
    "read mode": ({"read_mode": 4}, TargetError, "`4`"),
    "target": ({"target": 3}, UsageError, "`target`.*int"),
    "model": ({"model": 3}, UsageError, "`model`.*int"),
    "mapping": ({"mapping": 3}, UsageError, "`mapping`.*int"),
    "mapping of nothing": ({"mapping": {"fc": {}}}, MappingError, "layer `fc`: `type`"),
    "mapping of another model": (
        {"mapping": {"fc": {"type": "Linear", "tiles_map": {}}}},
        MappingError,
        "layer `fc` of the mapping is no layer of the model",
    ),
}


@pytest.mark.parametrize(("options", "kind", "part"), WRONG.values(), ids=WRONG.keys())
def test_python_refuses_in_one_sentence(
    files: Path, options: dict[str, Any], kind: type[AnaccError], part: str
) -> None:
    with pytest.raises(kind, match=part) as caught:
        anacc.compile(**{"model": files / "model.onnx", **options})
    assert "\n" not in caught.value.message


def test_options_are_checked_before_any_work(tmp_path: Path) -> None:
    for options in ({"seed": -1}, {"packing": "loose"}, {"calibration_method": "guess"}):
        with pytest.raises(UsageError):
            anacc.compile(tmp_path / "absent.onnx", **options)


def test_a_feed_must_have_the_batch_that_the_model_fixes(files: Path) -> None:
    model = onnx.load(files / "model.onnx")
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 2
    with pytest.raises(FeedError, match="feed 2.*`x` has shape"):
        anacc.compile(model, calibration=[{"x": X}, {"x": X[:1]}])


def test_numpy_integers_are_integers(files: Path) -> None:
    seed: Any = np.int64(3)
    made = anacc.compile(files / "model.onnx", calibration={"x": X + 1}, seed=seed)
    assert made.report()["options"]["seed"] == 3
    assert made.report()["options"]["calibration"] == "given"


def test_a_target_of_other_codes_is_refused(files: Path) -> None:
    (files / "own.toml").write_text('inherit = "hermes"\ninput.max_code = 63\n')
    with pytest.raises(CompileError, match="`input.max_code`.* 63") as caught:
        anacc.compile(files / "model.onnx", target=files / "own.toml")
    assert caught.value.hint is not None and "input.max_code = 127" in caught.value.hint


def test_the_choices_of_the_command_line_are_those_of_the_compiler() -> None:
    assert CALIBRATION_METHODS == tuple(METHODS)
    assert PACKINGS == crossbars.PACKINGS
    assert CORRECTIONS == correction.METHODS


def test_python_warns(files: Path, compiler: Compiler) -> None:
    with pytest.warns(UserWarning, match="random inputs") as caught:
        anacc.compile(files / "model.onnx")
    assert len(caught) == 1


def test_a_model_from_file_to_outputs(call: Call, files: Path) -> None:
    program, again = files / "new.bin", files / "again.bin"
    for output in (program, again):
        result = call(
            "compile", files / "model.onnx", "-o", output, "--calibration", files / "feed.npz",
            "--print-ir-after", "tile", "--dump-ir", files / "ir",
        )  # fmt: skip
        assert result.exit_code == 0, result.stderr
        assert "module" in result.stdout
    assert program.read_bytes() == again.read_bytes()
    assert list((files / "ir").iterdir())
    run = call(
        "run", program, "--input", files / "feed.npz", "--compare", files / "model.onnx", "--json"
    )
    (row,) = json.loads(run.stdout)["outputs"]
    assert row["snr_db_onnxruntime"] > 25
    assert row["snr_db_onnxruntime"] == pytest.approx(row["snr_db_stored"], abs=0.01)


def test_the_layers_of_a_program_are_compared(call: Call, files: Path) -> None:
    program, feed, model = files / "new.bin", files / "feed.npz", files / "model.onnx"
    call("compile", model, "-o", program, "--calibration", feed)
    compared = ("run", program, "--input", feed, "--compare", model, "--layers")
    shown = call(*compared)
    assert shown.exit_code == 0, shown.stderr
    assert "dB alone" in shown.stdout and "no layer falls below 20 dB" in shown.stdout
    data = json.loads(call(*compared, "--json").stdout)["layers"]
    assert [entry["tensor"] for entry in data["tensors"]] == ["x", "y"]
    assert data["tensors"][1]["core"].startswith("core 0.")
    assert data["culprit"] is None and data["sentence"] in shown.stdout
    alone = call("run", program, "--input", feed, "--layers")
    assert alone.exit_code == 2 and "`--layers` needs a model" in alone.stderr


def test_a_mapping_is_written_and_read(call: Call, files: Path) -> None:
    compiled = ("compile", files / "model.onnx", "--calibration", files / "feed.npz")
    call(*compiled, "-o", files / "free.bin", "--row-copies", "never")
    shown = call("inspect", files / "free.bin", "--ibm-json")
    assert shown.exit_code == 0, shown.stderr
    mapping = json.loads(shown.stdout)
    assert list(mapping) == ["MatMul_0"]
    mapping["MatMul_0"]["tiles_map"] = {"4": {"5": mapping["MatMul_0"]["tiles_map"]["0"]["0"]}}
    (files / "map.json").write_text(json.dumps(mapping))
    placed = call(*compiled, "-o", files / "new.bin", "--mapping", files / "map.json")
    assert placed.exit_code == 0, placed.stderr
    written = call("inspect", files / "new.bin", "--ibm-json", files / "again.json")
    assert (written.exit_code, written.stdout) == (0, "")
    assert "again.json" in written.stderr
    assert json.loads((files / "again.json").read_text()) == mapping
    report = json.loads(call("inspect", files / "new.bin", "--json").stdout)
    assert [tile["core"] for tile in report["tiles"]] == ["core 0.37"]
    assert report["options"]["mapping"] == "given"


def test_a_mapping_that_cannot_be_is_refused(call: Call, files: Path) -> None:
    compiled = ("compile", files / "model.onnx", "-o", files / "new.bin", "--mapping")
    absent = call(*compiled, files / "absent.json")
    assert absent.exit_code == 1
    assert "absent.json` cannot be read" in absent.stderr
    (files / "map.json").write_text('{"fc": {"type": "Linear", "tiles_map": {}}}')
    other = call(*compiled, files / "map.json")
    assert other.exit_code == 1
    assert "hint: the layers on crossbars are `MatMul_0`" in other.stderr
    call(*compiled[:-1], "--calibration", files / "feed.npz")
    repeated = call("inspect", files / "new.bin", "--ibm-json", files / "again.json")
    assert repeated.exit_code == 2
    assert "hint: compile the model with `--row-copies never`" in repeated.stderr
    assert not (files / "again.json").exists()
    itself = call("inspect", files / "new.bin", "--ibm-json", files / "new.bin")
    assert itself.exit_code == 2 and "would overwrite an input" in itself.stderr
    both = call("inspect", files / "new.bin", "--json", "--ibm-json")
    assert both.exit_code == 2 and "`--ibm-json` goes with no other option" in both.stderr


def test_without_calibration_there_is_a_warning(call: Call, files: Path) -> None:
    result = call("compile", files / "model.onnx", "-o", files / "new.bin")
    assert result.exit_code == 0
    assert result.stderr.startswith("warning: ")
    warned = call("inspect", files / "new.bin").stdout
    assert "warning: " in warned


def test_the_passes_are_known_before_the_pipeline_is_made() -> None:
    from anacc.pipeline import PASSES, PassOptions, pipeline

    made = pipeline(PassOptions(load_target("hermes"), "4-phase", ({},)))
    assert [each.name for each in PASSES] == [each.name for each in made]


@pytest.mark.parametrize(
    ("text", "value"),
    [("auto", "auto"), ("12", 12), ("-3", -3), ("99999999999999999999", 99999999999999999999)],
)
def test_chips_are_a_number_where_they_are_one(
    call: Call, files: Path, compiler: Compiler, text: str, value: object
) -> None:
    """So that an error shows the number, and says that it is too large, not that it is none."""
    call("compile", files / "model.onnx", "-o", files / "new.bin", "--chips", text)
    assert compiler.options["chips"] == value
