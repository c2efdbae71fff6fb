"""Advance: what comes before the data movement, and what stays behind it."""

from __future__ import annotations

import numpy as np
import pytest

from anacc.frontend import import_model
from anacc.ir import verify
from anacc.pipeline import PASSES
from anacc_passes.advance import Advance
from anacc_passes.fuse import Fuse
from tests.frontend import interpreter
from tests.frontend.check import feed_of, floats, model, reference
from tests.passes.golden_text import check


@pytest.mark.parametrize("name", ["advance_activation", "advance_stays"])
def test_golden(name: str, update_golden: bool) -> None:
    check(name, Advance(), update_golden)


def test_a_transposed_convolution_takes_its_batch_norm_and_activation() -> None:
    """The numbers stay; afterwards one layer does it all, and the rest moves data."""
    proto = model(
        """g (float[N,2,4,3] x) => (float[N,3,a,b] z) {
            y = ConvTranspose <strides=[2,3], pads=[1,0,0,1]> (x, w)
            n = BatchNormalization (y, s, b, m, v)
            z = Clip (n, low, high)
        }""",
        15,
        w=floats(2, 3, 3, 3),
        s=floats(3),
        b=floats(3, seed=2),
        m=floats(3, seed=3),
        v=np.full(3, 0.3, np.float32),
        low=np.float32(-0.5),
        high=np.float32(1),
    )
    module = Advance()(import_model(proto))
    verify(module)
    feed = feed_of(proto)
    found, expected = interpreter.run(module, feed), reference(proto, feed)
    np.testing.assert_allclose(found["z"], expected["z"], rtol=1e-4, atol=1e-5)
    kinds = [op.kind for op in Fuse()(module).ops]
    assert kinds == ["crossbar", "reshape", "transpose", "reshape", "slice"]


def test_it_comes_before_fusion() -> None:
    assert PASSES.index(Advance) < PASSES.index(Fuse)
