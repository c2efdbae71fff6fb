"""The text of the IR gives the same module back, bit for bit, and is the same text again."""

import hashlib
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from anacc.errors import IrError
from anacc.ir.blobs import element_type
from anacc.ir.module import Channel, Level, Module, Op, TensorType, Value, equal
from anacc.ir.parse import parse_module, read_module
from anacc.ir.text import MAX_DEPTH, print_module, write_module

Array = npt.NDArray[Any]

EMPTY = Module(Level.GRAPH, "m", None, (), (), {}, {}, ())


def fingerprint(module: Module) -> str:
    """All of a module but `source` and the order of tables: `equal`, but 1, 1.0 and true differ,
    and NaNs with the same bits do not."""
    constants = {
        name: (str(a.dtype), a.shape, a.tolist() if a.dtype.hasobject else a.tobytes())
        for name, a in module.constants.items()
    }
    ops = tuple(replace(op, attributes=dict(sorted(op.attributes.items()))) for op in module.ops)
    return repr(replace(module, values={}, constants={}, ops=ops, source=None)) + repr(
        (sorted(module.values.items()), sorted(constants.items()))
    )


def check_round_trip(module: Module) -> None:
    text = print_module(module)
    again = parse_module(text, module.constants)
    assert fingerprint(again) == fingerprint(module)
    assert print_module(again) == text


# Random modules: structure as any level could have it, in no vocabulary.

NAMES = st.one_of(
    st.sampled_from(
        ["x", "/layer1/conv1/Conv_output_0", "onnx::Conv_12", "x.gates#2", "a b", '"', "1", "", ":"]
    ),
    st.text(max_size=4),
)
WORDS = st.one_of(
    st.sampled_from(
        ["conv", "input", "output", "constant", "from", "on", "scale", "zero", "_", "N", "inf"]
    ),
    st.text(max_size=3),
)
ATTRIBUTES = st.recursive(
    st.one_of(st.integers(), st.floats(), st.booleans(), st.text(max_size=4)),
    lambda items: st.lists(items, max_size=3).map(tuple),
    max_leaves=6,
)
DIMS = st.one_of(st.just("N"), st.integers(0, 5), st.just(2**40))
TENSORS = st.builds(
    TensorType,
    st.sampled_from(["float32", "int64", "bool", "object", "bfloat16", "channel"]),
    st.one_of(st.none(), st.lists(DIMS, max_size=3).map(tuple)),
)
CHANNELS = st.builds(
    Channel, st.sampled_from(["i8", "f16", "tensor"]), st.integers(0, 512), st.integers(0, 2**20)
)
SCALES = st.one_of(st.none(), st.floats(min_value=0, exclude_min=True, allow_infinity=False))
UNITS = st.one_of(st.none(), st.sampled_from(["core 0.12", "host 0.0", "gdpu 1.10", "odd", "on 1"]))
DTYPES = st.sampled_from(
    ["bool", "int8", "uint8", "int64", "uint64", "float16", "float32", "float64", "complex64"]
    + ["bfloat16", "float8_e4m3fn", "int4"]
)


@st.composite
def arrays(draw: st.DrawFn) -> Array:
    """An array of any bits, so of any NaN; of few elements (literals) or more (a blob)."""
    dtype = element_type(draw(DTYPES))
    shape = draw(st.sampled_from([(), (0,), (1,), (3,), (2, 2), (4, 4), (1, 17), (2, 3, 5)]))
    count = math.prod(shape)
    if dtype.kind == "b" or str(dtype) == "int4":  # not every byte is a value
        values = draw(st.lists(st.integers(0, 1), min_size=count, max_size=count))
        return np.array(values, dtype).reshape(shape)
    size = count * dtype.itemsize
    array = np.frombuffer(draw(st.binary(min_size=size, max_size=size)), dtype).reshape(shape)
    return array.T if draw(st.booleans()) else array


@st.composite
def values_called(draw: st.DrawFn, name: str) -> Value:
    scale = draw(SCALES)
    zero = 0 if scale is None else draw(st.sampled_from([0, 0, -128, 3, 2**15]))
    return Value(name, draw(st.one_of(TENSORS, CHANNELS)), scale, zero)


@st.composite
def modules(draw: st.DrawFn) -> Module:
    names = draw(st.lists(NAMES, unique=True, max_size=5))
    values = {f"%{name}": draw(values_called(f"%{name}")) for name in names}
    strings = st.lists(st.text(max_size=3), min_size=2, max_size=2).map(
        lambda items: np.array(items, dtype=object)
    )
    constants = {
        f"@{name}": draw(st.one_of(arrays(), strings))
        for name in draw(st.lists(NAMES, unique=True, max_size=3))
    }
    unused = list(values)
    inputs = [unused.pop() for _ in range(draw(st.integers(0, min(2, len(unused)))))]
    ops: list[Op] = []
    while unused or (len(ops) < 4 and draw(st.booleans())):
        results = [unused.pop() for _ in range(draw(st.integers(0, min(2, len(unused)))))]
        ops.append(
            Op(
                kind=draw(WORDS),
                operands=tuple(draw(st.lists(st.sampled_from(["", *values, *constants])))),
                results=tuple(results + draw(st.sampled_from([[], [""]]))),
                attributes=draw(st.dictionaries(WORDS, ATTRIBUTES, max_size=3)),
                origins=tuple(draw(st.lists(st.text(max_size=3), max_size=2))),
                unit=draw(UNITS),
            )
        )
    outputs = (
        draw(st.lists(st.tuples(NAMES, st.sampled_from([*values])), max_size=2)) if values else []
    )
    return Module(
        level=draw(st.sampled_from(Level)),
        name=draw(st.text(max_size=4)),
        batch=draw(st.one_of(st.none(), st.integers(1, 64))),
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        values=values,
        constants=constants,
        ops=tuple(ops),
    )


@given(modules())
@example(EMPTY)
@settings(max_examples=150)
def test_round_trip(module: Module) -> None:
    check_round_trip(module)


@given(arrays())
@settings(max_examples=200)
def test_constants_come_back_bit_for_bit(array: Array) -> None:
    check_round_trip(replace(EMPTY, constants={"@c": array}))


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.array([0.1, 1.0, -0.0, 1e30], np.float32), "float32[4] = [0.1, 1.0, -0.0, 1e+30]"),
        (np.array([np.nan, np.inf, -np.inf]), "float64[3] = [nan, inf, -inf]"),
        (np.array([[1, 2], [3, 4]], np.int8), "int8[2, 2] = [1, 2, 3, 4]"),
        (np.array(True), "bool[] = [true]"),
        (np.array([65504, 6e-8, 0.1], np.float16), "float16[3] = [65504.0, 6e-08, 0.1]"),
        (np.array(["a", 'b"'], object), 'object[2] = ["a", "b\\""]'),
        (np.zeros((0, 3)), "float64[0, 3] = []"),
    ],
)
def test_small_constants_are_literals(array: Array, text: str) -> None:
    module = replace(EMPTY, constants={"@c": array})
    assert f"constant @c : {text}\n" in print_module(module)
    check_round_trip(module)


def test_the_text_of_a_module() -> None:
    image = Value("%image", TensorType("float32", ("N", 3, 8, 8)))
    y = Value("%y z", TensorType("float32", ("N", 4, 8, 8)), 0.0123)
    module = Module(
        level=Level.CHIP,
        name="net",
        batch=4,
        inputs=("%image",),
        outputs=(("logits", "%y z"),),
        values={"%image": image, "%y z": y, "%c": Value("%c", Channel("i8", 16, 1024))},
        constants={"@unused": np.float32(2) * np.ones(1, np.float32), "@w": np.ones((3, 9), "i1")},
        ops=(
            Op("conv", ("%image", "@w", ""), ("%y z",), {"pads": (1, 2), "group": 1}, ("Conv_0",)),
            Op("tile", ("%y z",), ("%c", ""), {"mode": "a", "beta": 0.5}, ("a", "b"), "core 0.12"),
            Op("output", ("%c",), ()),
        ),
    )
    content = hashlib.sha256(b"int8[3, 9]\n" + b"\1" * 27).hexdigest()
    assert print_module(module) == (
        'module "net" level=chip batch=4 {\n'
        f"  constant @w : int8[3, 9] = blob sha256:{content}\n"
        "  constant @unused : float32[1] = [2.0]\n"
        "  input %image : float32[N, 3, 8, 8]\n"
        '  %"y z" : float32[N, 4, 8, 8] scale 0.0123 = conv(%image, @w, _)'
        ' {group = 1, pads = [1, 2]} from "Conv_0"\n'
        '  %c : channel<i8, 16 x 1024>, _ = tile(%"y z") {beta = 0.5, mode = "a"}'
        ' from "a", "b" on core 0.12\n'
        "  output(%c)\n"
        '  output "logits" = %"y z"\n'
        "}\n"
    )
    check_round_trip(module)


def test_order_of_tables_does_not_show() -> None:
    op = Op("f", ("@b", "@a"), (), {"q": 1, "p": 2})
    module = replace(EMPTY, constants={"@a": np.ones(1), "@b": np.zeros(1)}, ops=(op,))
    turned = replace(
        module,
        constants=dict(reversed(list(module.constants.items()))),
        ops=(replace(op, attributes=dict(reversed(list(op.attributes.items())))),),
    )
    assert print_module(turned) == print_module(module)


WRONG_ATTRIBUTES: dict[str, Any] = {"a": [1], "b": np.int64(1)}
WRONG_CONSTANTS: dict[str, Any] = {"@c": [1, 2]}


@pytest.mark.parametrize(
    "module",
    [
        replace(EMPTY, ops=(Op("f", ("x",), ("%missing",), WRONG_ATTRIBUTES),)),
        replace(EMPTY, values={"%x": Value("%x", "float32")}, inputs=("%x",)),  # type: ignore[arg-type]
        replace(EMPTY, constants=WRONG_CONSTANTS),
    ],
)
def test_a_broken_module_prints_with_marks(module: Module) -> None:
    text = print_module(module)
    assert "?" in text
    with pytest.raises(IrError, match="line 2: expected"):
        parse_module(text)


# Files.


def test_files_round_trip_and_share_blobs(tmp_path: Path) -> None:
    large = np.arange(100, dtype=np.float32).reshape(4, 25)
    bfloat16 = np.arange(64).astype(element_type("bfloat16"))
    module = replace(EMPTY, constants={"@a": large, "@t": large.T, "@h": bfloat16, "@a2": large})
    first = write_module(module, tmp_path / "dump", "00_import")
    second = write_module(replace(module, name="again"), tmp_path / "dump", "01_pass")
    assert first == tmp_path / "dump" / "00_import.txt"
    assert len(list((tmp_path / "dump" / "constants").iterdir())) == 3
    for path, original in [(first, module), (second, replace(module, name="again"))]:
        again = read_module(path)
        assert fingerprint(again) == fingerprint(original)
        assert equal(again, original)
        assert isinstance(again.constants["@a"], np.memmap)


def test_a_missing_module_is_named(tmp_path: Path) -> None:
    with pytest.raises(IrError, match="none.txt` cannot be read"):
        read_module(tmp_path / "none.txt")


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove", "empty"])
def test_a_damaged_blob_is_refused(tmp_path: Path, damage: str) -> None:
    path = write_module(replace(EMPTY, constants={"@c": np.arange(20)}), tmp_path, "m")
    (blob,) = (tmp_path / "constants").iterdir()
    content = blob.read_bytes()
    if damage == "remove":
        blob.unlink()
    else:
        flipped = content[:-1] + bytes([content[-1] ^ 1])
        blob.write_bytes({"flip": flipped, "truncate": content[:-9], "empty": b""}[damage])
    with pytest.raises(IrError, match=r"m.txt`, line 2: the constant .* (damaged|cannot be read)"):
        read_module(path)


# Errors.

HEAD = 'module "m" level=graph batch=N {\n'
SHA = "0" * 64


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "expected `module`, found the end of the text"),
        ("module net", 1, "expected the name of the module as a string, found `net`"),
        ('module "m" level=low', 1, "expected `graph` or `layer` or `chip`, found `low`"),
        ('module "m" level=graph\nbatch=x', 2, "expected `N` or a batch size, found `x`"),
        ('module "m" level=graph batch=1.5', 1, "expected `N` or a batch size, found `1.5`"),
        (HEAD, 2, "expected `constant`, `input`, `output`, an op or `}`, found the end"),
        (HEAD + "}\n}", 3, "expected the end of the text, found `}`"),
        (HEAD + "!", 2, 'unexpected character "!"'),
        (HEAD + 'input %"a', 2, 'unexpected character "%"'),
        (HEAD + '"a" = 1', 2, "expected `constant`, `input`, `output`, an op or `}`"),
        (HEAD + "input x : float32[]", 2, "expected a value, found `x`"),
        (HEAD + "input @x : float32[]", 2, "expected a value, found `@x`"),
        (HEAD + "input %x float32[]", 2, "expected `:`, found `float32`"),
        (HEAD + "input %x : 1", 2, "expected a type, found `1`"),
        (HEAD + "input %x : float32", 3 - 1, "expected `[`, found the end of the text"),
        (HEAD + "input %x : float32[N 3]", 2, "expected `,` or `]`, found `3`"),
        (HEAD + "input %x : float32[M]", 2, "expected an integer or `N`, found `M`"),
        (HEAD + "input %x : float32[1.5]", 2, "expected an integer or `N`, found `1.5`"),
        (HEAD + "input %x : float32[?, 1]", 2, "expected `]`, found `,`"),
        (HEAD + "input %x : channel<i8>", 2, "expected `,`, found `>`"),
        (HEAD + "input %x : channel<i8, 4 by 4>", 2, "expected `x`, found `by`"),
        (HEAD + "input %x : float32[] scale big", 2, "expected a scale, found `big`"),
        (HEAD + "input %x : f[]\ninput %x : f[]", 3, "value `%x` is defined twice"),
        (HEAD + "constant @c : f4[] = [1]", 2, "constant `@c`: `f4` is not an element type"),
        (HEAD + "constant @c : foo[] = [1]", 2, "`foo` is not an element type"),
        (HEAD + "constant @c : finfo[] = [1]", 2, "`finfo` is not an element type"),
        (HEAD + "constant @c : float32[N] = []", 2, "its shape must be of integers"),
        (HEAD + "constant @c : float32[-1] = []", 2, "a negative dimension"),
        (HEAD + "constant @c : float32[2] = [1.0]", 2, "expected 2 elements, found 1"),
        (HEAD + "constant @c : float32[0, 9999999999999999999999] = []", 2, "dimension exceeded"),
        (HEAD + "constant @c : int8[1] = [128]", 2, "an element does not fit the type int8"),
        (HEAD + "constant @c : int8[1] = [1.0]", 2, "1.0 is not an element of type int8"),
        (HEAD + "constant @c : int8[1] = [true]", 2, "True is not an element of type int8"),
        (HEAD + "constant @c : float16[1] = [1e5]", 2, "100000.0 does not fit the type float16"),
        (HEAD + "constant @c : bool[1] = [1]", 2, "1 is not an element of type bool"),
        (HEAD + "constant @c : int8[1] = 1", 2, "expected `[` or `blob`, found `1`"),
        (
            HEAD + "constant @c : int8[1] = blob 5",
            2,
            "expected `sha256:` and 64 hexadecimal digits",
        ),
        (HEAD + f"constant @c : int8[1] = blob sha256:{SHA}", 2, "no constant has the content"),
        (HEAD + "constant @c : int8[0]=[]\nconstant @c : int8[0]=[]", 3, "`@c` is defined twice"),
        (HEAD + "%y : f[] = 5()", 2, "expected the kind of an op, found `5`"),
        (HEAD + "%y : f[] g()", 2, "expected `,` or `=`, found `g`"),
        (HEAD + "g(x)", 2, "expected a value or a constant, found `x`"),
        (HEAD + "g(%x %y)", 2, "expected `,` or `)`, found `%y`"),
        (HEAD + "g() {1 = 2}", 2, "expected an attribute, found `1`"),
        (HEAD + "g() {a 2}", 2, "expected `=`, found `2`"),
        (HEAD + "g() {a = b}", 2, "expected a literal, found `b`"),
        (HEAD + "g() {a = 1, a = 2}", 2, "attribute `a` is given twice"),
        (HEAD + "g() {a = [1, 2\n}", 3, "expected `,` or `]`, found `}`"),
        (HEAD + "g() {a = " + "[" * 100, 2, f"lists are nested deeper than {MAX_DEPTH}"),
        (HEAD + "g() {a = " + "1" * 5000 + "}", 2, "has too many digits"),
        (HEAD + 'g() {a = "\\q"}', 2, "is not a string of JSON"),
        (HEAD + "g() from a", 2, "expected an ONNX node as a string, found `a`"),
        (HEAD + "g() on 5", 2, "expected a unit, found `5`"),
        (HEAD + "g() on core x", 2, "expected chip and index of the unit, found `x`"),
        (HEAD + "output y = %y", 2, "expected the name of an output as a string, found `y`"),
        (HEAD + 'output "y" %y', 2, "expected `=`, found `%y`"),
        (HEAD + "# a comment\n\n  !", 4, 'unexpected character "!"'),
    ],
)
def test_parse_errors(text: str, line: int, message: str) -> None:
    with pytest.raises(IrError) as caught:
        parse_module(text)
    assert caught.value.message.startswith(f"line {line}: ")
    assert message in caught.value.message


def test_a_blob_of_another_type_is_refused() -> None:
    module = replace(EMPTY, constants={"@c": np.arange(20)})
    text = print_module(module).replace("int64[20]", "int64[4, 5]")
    with pytest.raises(IrError, match=r"line 2: constant `@c`: the blob is of type int64\[20\]"):
        parse_module(text, module.constants)


@given(st.text(alphabet='module"={}%@x:[],()_?<>- 1N.e\\\n', max_size=40))
@settings(max_examples=300)
def test_any_text_parses_or_fails_with_a_line(text: str) -> None:
    try:
        parse_module(HEAD + text)
    except IrError as error:
        assert error.message.startswith("line ")
