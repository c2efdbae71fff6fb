"""Which axis is the batch, and what the other symbols are."""

from typing import Any

import numpy as np
import pytest

from anacc.errors import CompileError, FeedError, UsageError
from anacc.frontend import import_model
from anacc.ir import BATCH, Module
from tests.frontend.check import check, feed_of, floats, model

LSTM: dict[str, Any] = {"w": floats(1, 20, 4), "r": floats(1, 20, 5)}


def shape(module: Module, name: str) -> object:
    return module.tensor(f"%{name}").shape


def test_shape_arithmetic_as_pytorch_exports_it() -> None:
    proto = model(
        """g (float[N,3,4,4] x) => (float[N,5] y) {
            shape = Shape (x)
            size = Gather (shape, zero)
            row = Unsqueeze (size, axis)
            target = Concat <axis=0> (row, rest)
            flat = Reshape (x, target)
            y = Gemm (flat, w)
        }""",
        zero=np.array(0),
        axis=np.array([0]),
        rest=np.array([48]),
        w=floats(48, 5),
    )
    module = check(proto, "reshape", "linear")
    assert module.batch is None and shape(module, "flat") == (BATCH, 48)
    names = [node.op_type for node in module.source.model.graph.node]
    assert names == ["Reshape", "Gemm"]


def test_two_leading_symbols_are_one_batch() -> None:
    proto = model("g (float[A,3] x, float[B,3] z) => (float[A,3] y) { y = Add (x, z) }")
    assert check(proto, "add").batch is None


def test_two_leading_symbols_that_cannot_be_one() -> None:
    proto = model(
        "g (float[A,3] x, float[B,3] z) => (float[A,3] y) { m = ReduceMean <axes=[0]> (z) "
        "t = Gemm (m, w)  y = Relu (x) }",
        w=floats(3, 3),
    )
    assert check(proto, "relu").batch is None


def test_time_major_recurrence_has_its_batch_on_axis_one() -> None:
    proto = model(
        "g (float[T,N,4] x) => (float[T,1,N,5] y) { y = LSTM <hidden_size=5> (x, w, r) }", **LSTM
    )
    module = check(proto, "lstm", sizes={"T": 6}, shapes={"T": 6})
    assert module.batch is None and shape(module, "y") == (6, 1, BATCH, 5)
    with pytest.raises(CompileError, match="dimensions `N`, `T` have no size, and not all"):
        import_model(proto)
    with pytest.raises(CompileError, match="dimension `T` of input `x` has no size") as caught:
        import_model(proto, shapes={"N": 2})
    assert caught.value.hint is not None and "--shape T=SIZE" in caught.value.hint


def test_a_sequence_that_leads_is_no_batch() -> None:
    proto = model(
        """g (int64[T,1] ids, float[1,1,5] h) => (float[T,1,5] y) {
            x = Gather (table, ids)
            all = LSTM <hidden_size=5> (x, w, r, , , h)
            y = Squeeze (all, one)
        }""",
        table=floats(9, 4),
        one=np.array([1]),
        **LSTM,
    )
    module = check(proto, "host", "lstm", "reshape", sizes={"T": 6}, sample=True)
    assert module.batch == 1 and shape(module, "x") == (6, 1, 4)
    assert check(proto, "host", "lstm", "reshape", sizes={"T": 6}, shapes={"T": 6}).batch == 1
    with pytest.raises(CompileError, match="`T` is not the batch, because node `LSTM:all`"):
        import_model(proto)


def test_static_batch_of_one_has_no_batch_axis() -> None:
    proto = model(
        """g (float[1,1,4] x, float[1,2,5,2] states) => (float[1,1,5] y, float[1,5] last) {
            t = Transpose <perm=[1,0,2]> (x)
            a = Slice (states, zeros, h_end, axes)
            b = Squeeze (a, one_three)
            h = Unsqueeze (b, zero)
            all, k = LSTM <hidden_size=5> (t, w, r, , , h)
            u = Transpose <perm=[2,1,0,3]> (all)
            y = Squeeze (u, one)
            last = Squeeze (k, zero)
        }""",
        zeros=np.array([0, 0]),
        h_end=np.array([1, 1]),
        axes=np.array([1, 3]),
        one_three=np.array([1, 3]),
        zero=np.array([0]),
        one=np.array([1]),
        **LSTM,
    )
    module = check(
        proto, "transpose", "slice", "reshape", "reshape", "lstm", "transpose", "reshape", "reshape"
    )
    assert module.batch == 1 and shape(module, "x") == (1, 1, 4)


def test_static_batch_above_one_is_a_batch_of_that_size() -> None:
    proto = model(
        "g (float[4,2,3,3] x) => (float[4,5] y) "
        "{ c = Relu (x)  f = Reshape (c, s)  y = Gemm (f, w) }",
        s=np.array([4, 18]),
        w=floats(18, 5),
    )
    module = check(proto, "relu", "reshape", "linear")
    assert module.batch == 4 and shape(module, "y") == (BATCH, 5)
    assert module.source.ports.inputs[0].shape == (None, 2, 3, 3)


def test_a_leading_axis_that_is_cut_is_no_batch() -> None:
    proto = model(
        "g (float[2,1,4] states) => (float[1,1,4] y) "
        "{ h, c = Split <axis=0> (states, s)  y = Add (h, c) }",
        s=np.array([1, 1]),
    )
    assert check(proto, "slice", "slice", "add").batch == 1


def test_symbols_of_different_size_in_the_sample_are_not_one_batch() -> None:
    proto = model(
        "g (float[A,3] x, float[B,3] z) => (float[A,3] y, float[B,3] t) "
        "{ y = Relu (x)  t = Relu (z) }"
    )
    module = import_model(proto, sample={"x": floats(2, 3), "z": floats(5, 3)})
    assert module.batch is None and shape(module, "z") == (5, 3)


def test_a_symbol_bound_by_the_user_is_a_fixed_batch() -> None:
    proto = model("g (float[N,3] x) => (float[N,3] y) { y = Relu (x) }")
    assert check(proto, "relu", shapes={"N": 3}).batch == 3


def test_unnamed_axes_are_called_by_input_and_place() -> None:
    proto = model("g (float[N,3,W] x) => (float[N,3,W] y) { y = Relu (x) }")
    for place in (0, 2):
        proto.graph.input[0].type.tensor_type.shape.dim[place].ClearField("dim_param")
    module = import_model(proto, shapes={"x:2": 7})
    assert shape(module, "y") == (BATCH, 3, 7)
    assert shape(import_model(proto, sample={"x": floats(2, 3, 8)}), "y") == (BATCH, 3, 8)


def test_a_batch_baked_into_a_reshape_is_told() -> None:
    proto = model(
        "g (float[N,3,4] x) => (float[1,5] y) { f = Reshape (x, s)  y = Gemm (f, w) }",
        s=np.array([1, -1]),
        w=floats(12, 5),
    )
    with pytest.raises(CompileError, match="`N` is not the batch, because node `Gemm:y`"):
        import_model(proto)
    assert import_model(proto, shapes={"N": 1}).batch == 1


def test_several_times_the_batch_goes_to_the_host() -> None:
    proto = model(
        "g (float[N,2,3] x) => (float[N,2,3] y) "
        "{ f = Reshape (x, s)  r = Relu (f)  y = Reshape (r, t) }",
        s=np.array([-1, 3]),
        t=np.array([-1, 2, 3]),
    )
    module = check(proto, "host", "host", "host")
    assert module.tensor("%f").shape is None


@pytest.mark.parametrize("size", [1, 4, 10])
@pytest.mark.parametrize("end", [5, 1500, 2**31 - 2])
def test_a_slice_of_the_batch_that_ends_goes_to_the_host(end: int, size: int) -> None:
    """It is whole at small sizes, but not at all."""
    proto = model(
        "g (float[N,4] x) => (float[M,4] y) { y = Slice (x, s, e, a) }",
        s=np.array([0]),
        e=np.array([end]),
        a=np.array([0]),
    )
    check(proto, "host", sizes={"N": size})


@pytest.mark.parametrize("end", [2**31 - 1, 2**63 - 1])
def test_a_slice_of_the_batch_without_end_is_whole(end: int) -> None:
    proto = model(
        "g (float[N,4] x) => (float[N,3] y) { y = Slice (x, s, e) }",
        s=np.array([0, 1]),
        e=np.array([end, 4]),
    )
    check(proto, "slice")


@pytest.mark.parametrize("size", [1, 2, 3, 9])
@pytest.mark.parametrize("function", ["Min", "Max"])
@pytest.mark.parametrize("bound", [2, 3, 512, 1024])
def test_what_the_batch_bounds_is_no_constant(function: str, bound: int, size: int) -> None:
    """Equal at some sizes of the batch, not at all."""
    proto = model(
        f"""g (float[N,4] x) => (float[N,4] z) {{
            shape = Shape (x)
            count = Gather (shape, zero)
            some = {function} (count, bound)
            factor = Cast <to=1> (some)
            y = MatMul (x, w)
            z = Mul (y, factor)
        }}""",
        zero=np.array(0),
        bound=np.array(bound),
        w=floats(4, 4),
    )
    check(proto, *"host host host host linear host".split(), sizes={"N": size})


def test_a_large_state_of_zeros_is_known_by_one_sample() -> None:
    """At a large batch it is not computed: it would take too much memory."""
    proto = model(
        """g (float[N,3,512,512] x) => (float[N,3,512,512] y) {
            shape = Shape (x)
            ones = ConstantOfShape <value = float[1] {1.0}> (shape)
            y = Add (x, ones)
        }"""
    )
    assert [op.kind for op in import_model(proto).ops] == ["affine"]


def test_wrong_shapes_are_refused() -> None:
    proto = model("g (float[batch,3,width] x) => (float[batch,3,width] y) { y = Relu (x) }")
    with pytest.raises(UsageError, match="no dimension `widht`") as caught:
        import_model(proto, shapes={"widht": 3})
    assert caught.value.hint == "did you mean `width`?"
    with pytest.raises(UsageError, match="at least 1"):
        import_model(proto, shapes={"width": 0})
    with pytest.raises(FeedError, match="no input `z`"):
        import_model(proto, sample={"z": floats(1)})
    with pytest.raises(FeedError, match=r"`x` has shape \(2, 4, 5\), not \(batch, 3, width\)"):
        import_model(proto, sample={"x": floats(2, 4, 5)})


def test_the_sample_does_not_bind_the_batch() -> None:
    proto = model("g (float[N,3] x) => (float[N,3] y) { y = Relu (x) }")
    assert import_model(proto, sample=feed_of(proto)).batch is None
