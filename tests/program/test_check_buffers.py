"""The rules of buffers: which patterns of loads and stores are accepted."""

from __future__ import annotations

import pytest

from anacc.errors import ProgramError
from anacc.program.check import check
from anacc.program.image import Image
from tests.program import sample


def with_bridge_body(body: str) -> Image:
    """The sample with another body in its window stream, for the rules of buffers."""
    begin = sample.TEXT.index("  loop 6\n    recv r0[0:4], c0")
    end = sample.TEXT.index(".stream 2")
    return sample.image(sample.TEXT[:begin] + body + sample.TEXT[end:])


WINDOWS = """
  loop 6
    load r1[0:12], @0+4*i0{12:1}
    send c1, r1[0:12]
  end
"""


@pytest.mark.parametrize(
    "body",
    [
        # Stores with one range that never meet: even and odd pairs.
        "loop 3\nrecv r0[0:4], c0\nstore @4+8*i0{4:1}, r0[0:4]\nend\n"
        "loop 3\nrecv r0[0:4], c0\nstore @8+8*i0{4:1}, r0[0:4]\nend\n" + WINDOWS,
        # Backwards, and with the channels apart.
        "loop 2\nloop 3\nrecv r0[0:4], c0\nstore @27-12*i0-1*i1{2:-6, 2:-3}, r0[0:4]\nend\nend\n"
        + WINDOWS,
        # The load stands before the store, which does not need it.
        "loop 6\nload r1[0:12], @0+4*i0{12:1}\nsend c1, r1[0:12]\nend\n"
        "loop 6\nrecv r0[0:4], c0\nstore @4+4*i0{4:1}, r0[0:4]\nend\n",
        # A window of a sequential loop: what is loaded was stored in the same iteration.
        "loop 6 seq\nrecv r0[0:4], c0\nstore @4+4*i0{4:1}, r0[0:4]\n"
        "load r1[0:8], @0+4*i0{8:1}\nload r1[8:12], @28{4:1}\nsend c1, r1[0:12]\nend\n",
    ],
)
def test_valid_buffer_patterns(body: str) -> None:
    check(with_bridge_body(body))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        # The load of a sequential loop looks one iteration ahead.
        (
            "loop 6 seq\nrecv r0[0:4], c0\nstore @4+4*i0{4:1}, r0[0:4]\n"
            "load r1[0:12], @0+4*i0{12:1}\nsend c1, r1[0:12]\nend\n",
            "instruction 0.2 `load`: may load an element before instruction 0.1 stores it",
        ),
        (
            "loop 3\nrecv r0[0:4], c0\nstore @4+8*i0{4:1}, r0[0:4]\nend\n"
            "loop 3\nrecv r0[0:4], c0\nstore @6+8*i0{4:1}, r0[0:4]\nend\n" + WINDOWS,
            "instruction 1.1 `store`: may store an element that instruction 0.1 stores",
        ),
    ],
)
def test_invalid_buffer_patterns(body: str, reason: str) -> None:
    with pytest.raises(ProgramError) as caught:
        check(with_bridge_body(body))
    assert reason in caught.value.message
