"""What a user feeds: what is refused, and how it becomes tokens and back."""

from typing import Any

import numpy as np
import pytest

from anacc.errors import FeedError, ProgramError
from anacc.program.manifest import Border
from anacc.program.model import Channel, Format
from anacc_runtime import LoadedProgram, borders
from anacc_runtime.borders import check_feed, decode, encode
from tests.runtime import examples
from tests.runtime.builder import F16, I8, TENSOR, Builder

Array = np.ndarray[Any, Any]
ONE = np.zeros((2, 6, 2), np.float32)
GOOD = {"first": ONE, "even": np.zeros((2, 3, 3), np.float32), "odd": np.ones((2, 3, 3), "f")}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frist": ONE}, "no input `frist`\nhint: did you mean `first`?"),
        ({"zzz": ONE}, "no input `zzz`\nhint: the inputs are `first`, `even`, `odd`"),
        ({"first": ONE.astype(np.float64)}, "`first` has element type float64, not float32\nhint"),
        ({"first": ONE.astype(np.int8)}, "element type int8"),
        ({"first": [ONE]}, "input `first` is not a NumPy array but list"),
        ({"first": ONE[0]}, r"`first` has shape [6, 2], not [batch, 6, 2]"),
        ({"first": ONE[:, :5]}, r"shape [2, 5, 2], not [batch, 6, 2]"),
        ({"even": GOOD["even"][:1]}, "`even` has 1 samples, but input `first` has 2"),
        ({"first": ONE.tolist()}, "`first` is not a NumPy array but list"),
        ({"first": ONE * np.nan}, "`first` holds a value that is not a number"),
    ],
)
def test_wrong_feeds_are_refused(change: dict[str, Any], message: str) -> None:
    program = LoadedProgram(examples.concatenation())
    program.run(GOOD)
    with pytest.raises(FeedError) as error:
        program.run({**GOOD, **change})
    assert message in str(error.value)


def test_a_missing_input_is_refused() -> None:
    with pytest.raises(FeedError, match="lacks input `odd`"):
        LoadedProgram(examples.concatenation()).run({k: GOOD[k] for k in ("first", "even")})


def test_a_fixed_batch_is_enforced() -> None:
    b = Builder()
    b.batch = 3
    b.input("x", b.channel(I8, 2), (3, 2))
    manifest = b.image().manifest
    assert check_feed({"x": np.zeros((3, 2), np.float32)}, manifest) == 3
    with pytest.raises(FeedError, match="has 2 samples, but the program has 3"):
        check_feed({"x": np.zeros((2, 2), np.float32)}, manifest)


def border(shape: tuple[int | None, ...], batch_axis: int | None = 0, **keys: Any) -> Border:
    rest = len(shape) - (batch_axis is not None)
    return Border(
        **{
            "name": "t",
            "channel": 0,
            "dtype": "float32",
            "shape": shape,
            "batch_axis": batch_axis,
            "permutation": tuple(range(rest)),
            "scale": 1.0,
            **keys,
        }
    )


def test_codes_round_to_even_and_saturate() -> None:
    values = np.array([[0.25, 0.75, -0.25, 63.5, 1e30, -np.inf, np.inf, 3e38]], np.float32)
    tokens = encode(values, border((None, 8), scale=0.5), Channel(I8, 8, 1), 1)
    assert tokens.tolist() == [[[0, 2, 0, 127, 127, -127, 127, 127]]]


def test_integers_of_quantised_models_are_taken_off_their_zero_point() -> None:
    """Real zero is the code 0 on the chip; results round, and saturate at the integers' type."""
    values = np.array([[0, 100, 128, 255]], np.uint8)
    entry = border((None, 4), dtype="uint8", scale=2.0, zero=128)
    tokens = encode(values, entry, Channel(I8, 4, 1), 1)
    assert tokens.tolist() == [[[-64, -14, 0, 64]]]
    back = np.array([[[-64.0, -14.25, 0.25, 70.0]]], np.float16)
    assert decode(back, entry, Channel(F16, 4, 1), 1).tolist() == [[0, 100, 128, 255]]
    real = border((None, 4), scale=2.0, zero=-3)
    assert decode(back, real, Channel(F16, 4, 1), 1).tolist() == [[-131.0, -31.5, -2.5, 137.0]]


def test_the_division_is_binary32() -> None:
    """0.15 / 0.1 is below 1.5 in binary64, but 1.5 and so 2 in binary32."""
    values = np.array([[0.15]], np.float32)
    tokens = encode(values, border((None, 1), scale=0.1), Channel(I8, 1, 1), 1)
    assert tokens.tolist() == [[[int(np.rint(np.float32(0.15) / np.float32(0.1)))]]]


def test_binary16_saturates() -> None:
    values = np.array([[1e9, -1e9, 2.0**-24, -0.0]], np.float64)
    tokens = encode(values, border((None, 4), dtype="float64"), Channel(F16, 4, 1), 1)
    assert tokens.tolist() == [[[65504.0, -65504.0, 2.0**-24, 0.0]]]
    assert np.signbit(tokens[0, 0, 3])


@pytest.mark.parametrize("format", [I8, F16])
@pytest.mark.parametrize("axis", [0, 1, 3])
def test_permutations_and_batch_axes_come_back(format: Format, axis: int) -> None:
    rng = np.random.default_rng(0)
    tensor = rng.integers(-50, 50, (2, 3, 4, 5)).astype(np.float32)
    shape = tuple(None if k == axis else n for k, n in enumerate(tensor.shape))
    entry = border(shape, axis, permutation=(2, 0, 1), scale=0.5)
    size = tensor.size // tensor.shape[axis]
    channel = Channel(format, size // 2, 1)
    tokens = encode(tensor / 2, entry, channel, tensor.shape[axis])
    assert tokens.shape == (tensor.shape[axis], 2, size // 2)
    first = np.moveaxis(tensor, axis, 0)[0].transpose(2, 0, 1)
    assert (tokens[0].ravel() == first.ravel()).all()
    assert (decode(tokens, entry, channel, tensor.shape[axis]) == tensor / 2).all()


@pytest.mark.parametrize("format", [I8, F16])
@pytest.mark.parametrize("part", [1, 7, 40, 100])
def test_conversion_in_parts_changes_nothing(
    format: Format, part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensor = np.random.default_rng(1).normal(size=(4, 3, 2, 5)).astype(np.float32)
    entry = border((4, None, 2, 5), 1, permutation=(1, 2, 0), scale=0.013)
    channel = Channel(format, 8, 1)
    tokens = encode(tensor, entry, channel, 3)
    whole = decode(tokens, entry, channel, 3)
    monkeypatch.setattr(borders, "PART", part)
    assert (encode(tensor, entry, channel, 3) == tokens).all()
    assert (decode(tokens, entry, channel, 3) == whole).all()


@pytest.mark.parametrize("format", [I8, F16])
def test_a_number_is_a_tensor(format: Format) -> None:
    entry, channel = border((), None, scale=0.5), Channel(format, 1, 1)
    tokens = encode(np.array(1.5, np.float32), entry, channel, 1)
    assert tokens.tolist() == [[[3]]]
    assert decode(tokens, entry, channel, 1).tolist() == 1.5


def test_no_samples_have_no_tokens() -> None:
    entry, channel = border((None, 4)), Channel(I8, 2, 1)
    tokens = encode(np.empty((0, 4), np.float32), entry, channel, 0)
    assert tokens.shape == (0, 2, 2)
    assert decode(tokens, entry, channel, 0).shape == (0, 4)


def test_a_tensor_without_batch_is_seen_by_every_sample() -> None:
    tensor = np.array([1, 2], np.float32)
    entry, channel = border((2,), None), Channel(I8, 1, 1)
    assert encode(tensor, entry, channel, 3).tolist() == [[[1], [2]]] * 3
    assert decode(encode(tensor, entry, channel, 1), entry, channel, 1).tolist() == [1, 2]
    with pytest.raises(ProgramError, match="no batch axis, but there are 3 samples"):
        decode(encode(tensor, entry, channel, 3), entry, channel, 3)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("float16", [1.5, -2.5]),
        ("float64", [1.5, -2.5]),
        ("int8", [2, -2]),
        ("uint8", [2, 0]),
        ("int64", [2, -2]),
        ("uint64", [2, 0]),
        ("bool", [True, True]),
    ],
)
def test_outputs_have_the_type_of_the_model(dtype: str, expected: list[float]) -> None:
    tokens = np.array([[[3, -5]]], np.int8)
    result = decode(tokens, border((None, 2), dtype=dtype, scale=0.5), Channel(I8, 2, 1), 1)
    assert result.dtype == np.dtype(dtype)
    assert result.tolist() == [expected]


def test_tensors_pass_untouched() -> None:
    tensor = np.array([[np.nan, 1e300]])
    channel = Channel(TENSOR, 0, 1)
    assert encode(tensor, border((None, 2)), channel, 1) is tensor
    assert decode(tensor, border((None, 2)), channel, 1) is tensor


def test_tokens_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ProgramError, match="does not fill whole tokens"):
        encode(np.zeros((1, 5), np.float32), border((None, 5)), Channel(I8, 2, 1), 1)
    with pytest.raises(ProgramError, match="is not filled by its 4 elements"):
        decode(np.zeros((1, 2, 2), np.int8), border((None, 5)), Channel(I8, 2, 1), 1)


def test_every_finite_binary16_number_leaves_exactly() -> None:
    bits = np.arange(1 << 16, dtype=np.uint16)
    halves = bits[bits & 0x7C00 != 0x7C00].view(np.float16)
    border = Border(
        name="x", channel=0, dtype="float32", shape=(None, len(halves)), batch_axis=0,
        permutation=(0,), scale=1.0,
    )  # fmt: skip
    channel = Channel(Format.BINARY16, len(halves), 1)
    decoded = decode(halves.reshape(1, 1, -1), border, channel, 1)
    assert decoded.tobytes() == halves.astype(np.float32).tobytes()
