"""LSTM: directions, initial states and outputs."""

import numpy as np
import pytest

from tests.frontend.check import check, floats, model


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("state", ["none", "constant", "input"])
def test_lstm(direction: str, state: str) -> None:
    count = 2 if direction == "bidirectional" else 1
    weights = {"w": floats(count, 20, 3), "r": floats(count, 20, 5), "b": floats(count, 40)}
    inputs, operands = "float[7,N,3] x", "x, w, r"
    if state == "constant":
        weights |= {"h": np.repeat(floats(count, 1, 5), 3, axis=1)}
        operands += ", b, , h"
    if state == "input":
        inputs += f", float[{count},N,5] h, float[{count},N,5] c"
        operands += ", , , h, c"
    text = (
        f"g ({inputs}) => (float[7,{count},N,5] y, float[{count},N,5] k) "
        f'{{ y, , k = LSTM <hidden_size=5, direction="{direction}"> ({operands}) }}'
    )
    fixed = {"N": 3} if state == "constant" else None
    module = check(model(text, 14, **weights), "lstm", shapes=fixed)
    assert module.ops[0].results == ("%y", "", "%k")
    assert module.batch == (3 if fixed else None)


def test_initial_state_of_zeros_for_each_sample() -> None:
    """As PyTorch exports it: zeros of the size of the batch."""
    proto = model(
        """g (float[7,N,3] x) => (float[7,1,N,5] y) {
            shape = Shape (x)
            size = Gather (shape, one)
            row = Unsqueeze (size, zero)
            whole = Concat <axis=0> (front, row, back)
            h = ConstantOfShape <value = float[1] {0.5}> (whole)
            y = LSTM <hidden_size=5> (x, w, r, , , h, h)
        }""",
        14,
        w=floats(1, 20, 3),
        r=floats(1, 20, 5),
        one=np.array(1),
        zero=np.array([0]),
        front=np.array([1]),
        back=np.array([5]),
    )
    module = check(proto, "lstm")
    assert module.batch is None
    assert module.constants["@h.state"].shape == (1, 1, 5)
