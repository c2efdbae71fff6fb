"""The pipeline: what it checks, dumps, prints and measures."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from anacc.errors import CompileError, IrError, UsageError
from anacc.ir.module import Level, Module, equal
from anacc.ir.parse import parse_module, read_module
from anacc.ir.text import print_module
from anacc_passes.infrastructure import Pass, run_pipeline

LARGE = np.arange(64, dtype=np.float32).reshape(8, 8)


def start() -> Module:
    text = """
    module "net" level=graph batch=N {
      constant @b : float32[8] = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
      input %x : float32[N, 8]
      %a : float32[N, 8] = linear(%x, @w, @b) from "Gemm_0"
      %y : float32[N, 8] = relu(%a) from "Relu_1"
      output "y" = %y
    }
    """
    module = parse_module(text)
    return replace(module, constants={**module.constants, "@w": LARGE.copy()})


@dataclass(frozen=True)
class Do:
    """A pass that does what a test says."""

    name: str
    action: Callable[[Module], Module]

    def __call__(self, module: Module) -> Module:
        return self.action(module)


def renamed(module: Module) -> Module:
    return replace(module, name=f"{module.name}'")


RENAME, KEEP = Do("rename", renamed), Do("keep-all", lambda module: module)


def lowered(module: Module) -> Module:
    ops = tuple(op for op in module.ops if op.kind == "relu")
    values = {name: module.values[name] for name in ("%a", "%y")}
    return replace(module, level=Level.LAYER, ops=ops, values=values, constants={}, inputs=("%a",))


def test_passes_run_in_order_and_are_timed() -> None:
    seen: list[tuple[str, int, int]] = []
    result, timings = run_pipeline(
        start(), [RENAME, KEEP, RENAME], on_pass=lambda *call: seen.append(call)
    )
    assert equal(result, replace(start(), name="net''"))
    assert [timing.name for timing in timings] == ["rename", "keep-all", "rename"]
    assert all(timing.seconds >= 0 for timing in timings)
    assert seen == [("rename", 1, 3), ("keep-all", 2, 3), ("rename", 3, 3)]


def test_no_passes_give_the_module_itself() -> None:
    result, timings = run_pipeline(start(), [])
    assert equal(result, start()) and timings == []


def test_a_pass_may_change_the_level() -> None:
    assert run_pipeline(start(), [Do("lower", lowered), KEEP])[0].level is Level.LAYER


def test_dumps_are_numbered_and_read_back(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "dumps"
    result, _ = run_pipeline(start(), [KEEP, RENAME, Do("lower", lowered)], dump_to=folder)
    names = sorted(path.name for path in folder.glob("*.txt"))
    assert names == ["00_import.txt", "01_keep-all.txt", "02_rename.txt", "03_lower.txt"]
    assert equal(read_module(folder / "00_import.txt"), start())
    assert equal(read_module(folder / "02_rename.txt"), renamed(start()))
    assert equal(read_module(folder / "03_lower.txt"), result)
    assert len(list((folder / "constants").iterdir())) == 1


def test_the_module_of_a_bad_pass_is_dumped(tmp_path: Path) -> None:
    bad = Do("bad", lambda module: replace(module, constants={}))
    with pytest.raises(IrError):
        run_pipeline(start(), [bad], dump_to=tmp_path)
    assert read_module(tmp_path / "01_bad.txt").constants == {}


@pytest.mark.parametrize(
    ("print_after", "expected"),
    [("import", ["net"]), ("keep-all", ["net'"]), ("rename", ["net'", "net''"]), (None, [])],
)
def test_print_after(print_after: str | None, expected: list[str]) -> None:
    written: list[str] = []
    run_pipeline(start(), [RENAME, KEEP, RENAME], print_after=print_after, write=written.append)
    assert written == [print_module(replace(start(), name=name)) for name in expected]


def test_print_after_an_unknown_pass_names_the_passes() -> None:
    with pytest.raises(UsageError) as caught:
        run_pipeline(start(), [RENAME, KEEP, RENAME], print_after="fuse")
    assert caught.value.message == "there is no pass `fuse` to print the module after"
    assert caught.value.hint == "the passes are `import`, `rename`, `keep-all`"


def test_a_bad_pass_is_named() -> None:
    bad = Do("bad", lambda module: replace(module, ops=module.ops[1:]))
    with pytest.raises(IrError) as caught:
        run_pipeline(start(), [KEEP, bad, KEEP])
    assert caught.value.message == (
        "after pass `bad`: op `%y` from `Relu_1` uses `%a` before it is defined"
    )
    assert caught.value.hint is not None and caught.value.hint.startswith("> %y")


def test_a_bad_module_is_refused_before_the_first_pass() -> None:
    with pytest.raises(IrError, match="^before the first pass: op `%a` from `Gemm_0` uses"):
        run_pipeline(replace(start(), inputs=()), [KEEP])


def test_a_pass_must_return_a_module() -> None:
    nothing: Pass = Do("nothing", lambda module: None)  # type: ignore[arg-type, return-value]
    with pytest.raises(IrError, match="pass `nothing` returned a NoneType, not a module"):
        run_pipeline(start(), [nothing])


def test_the_errors_of_a_pass_come_through() -> None:
    def refuse(module: Module) -> Module:
        raise CompileError("op `%a` is too large")

    with pytest.raises(CompileError) as caught:
        run_pipeline(start(), [Do("refuse", refuse)])
    assert caught.value.message == "op `%a` is too large"
    assert caught.value.__notes__ == ["in pass `refuse`"]


def change_values(module: Module) -> Module:
    del module.values["%a"]  # type: ignore[attr-defined]
    return module


def change_attributes(module: Module) -> Module:
    module.ops[0].attributes["group"] = 1  # type: ignore[index]
    return module


def change_constants(module: Module) -> Module:
    module.constants["@b"] = module.constants["@b"] * 2  # type: ignore[index]
    return module


@pytest.mark.parametrize(
    ("action", "part"),
    [(change_values, "values"), (change_attributes, "ops"), (change_constants, "constants")],
)
def test_a_pass_must_not_change_its_input(action: Callable[[Module], Module], part: str) -> None:
    with pytest.raises(IrError, match=f"pass `sly` changed the {part} of its input in place"):
        run_pipeline(start(), [Do("sly", action)])


@pytest.mark.parametrize(
    "before",
    [
        [],
        [
            Do(
                "copy",
                lambda m: replace(
                    m, constants={name: array.copy() for name, array in m.constants.items()}
                ),
            )
        ],
    ],
)
def test_a_pass_cannot_write_to_a_constant(before: list[Pass]) -> None:
    def double(module: Module) -> Module:
        array = module.constants["@w"]
        array *= 2
        return module

    module = start()
    with pytest.raises(ValueError, match="read-only"):
        run_pipeline(module, [*before, Do("double", double)])
    assert np.array_equal(module.constants["@w"], LARGE)
    assert module.constants["@w"].flags.writeable
