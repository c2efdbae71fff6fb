"""Token indices and the stream graph, against plain execution of the loops."""

from __future__ import annotations

from collections import Counter, defaultdict

from hypothesis import given
from hypothesis import strategies as st

from anacc.program import graph, tokens
from anacc.program.model import Instr, Loop, Node, Slice, Stream, Unit
from anacc.program.walk import Path
from tests.program import sample

_SLICE = Slice(0, 0, 1)
_accesses = st.one_of(
    st.integers(0, 1).map(lambda channel: Instr("recv", (_SLICE, channel))),
    st.integers(0, 1).map(lambda channel: Instr("send", (channel, _SLICE))),
    st.just(Instr("relu", (_SLICE, _SLICE))),
)
_nodes: st.SearchStrategy[Node] = st.recursive(
    _accesses,
    lambda inner: st.builds(Loop, st.integers(1, 3), st.lists(inner, max_size=3).map(tuple)),
    max_leaves=8,
)


def executed(body: tuple[Node, ...]) -> dict[Path, dict[tuple[int, ...], int]]:
    """The token of each execution, by instruction path and loop indices, found by running."""
    counts: Counter[tuple[str, int]] = Counter()
    found: dict[Path, dict[tuple[int, ...], int]] = defaultdict(dict)

    def run(nodes: tuple[Node, ...], path: Path, indices: tuple[int, ...]) -> None:
        for position, node in enumerate(nodes):
            if isinstance(node, Loop):
                for index in range(node.count):
                    run(node.body, (*path, position), (*indices, index))
            elif node.op != "relu":
                channel = node.operands[node.op == "recv"]
                assert isinstance(channel, int)
                found[*path, position][indices] = counts[node.op, channel]
                counts[node.op, channel] += 1

    run(body, (), ())
    return found


@given(st.lists(_nodes, max_size=3).map(tuple))
def test_indices_are_those_of_execution(body: tuple[Node, ...]) -> None:
    stream = Stream(Unit(0, "core", 0), "s", (), None, body)
    computed = tokens.index(stream)
    expected = executed(body)
    assert computed.keys() == expected.keys()
    for path, by_indices in expected.items():
        base, strides = computed[path]
        for indices, token in by_indices.items():
            steps = zip(strides, indices, strict=True)
            assert base + sum(stride * index for stride, index in steps) == token


def test_the_sample() -> None:
    code, manifest = sample.code(), sample.manifest(full=False)
    assert tokens.index(code.streams[2]) == {
        (1, 0, 0): (0, (3, 1)),
        (1, 0, 6): (0, (3, 1)),
    }
    assert tokens.index(code.streams[4]) == {
        (1,): (0, ()),
        (2, 0): (0, (1,)),
        (2, 4): (1, (1,)),
        (2, 5): (0, (1,)),
    }
    moved = graph.traffic(code, manifest)
    assert graph.token_counts(moved) == (6, 6, 6, 6, 7, 6, 1, 1)
    assert graph.writers(moved) == ((0,), (1,), (2,), (3,), (4,), (4,), (5,), (7,))
    assert graph.readers(moved) == ((1,), (2,), (3, 5), (4,), (3,), (6,), (7,), (8,))
    streams = graph.stream_graph(moved)
    assert sorted(streams.edges(data="channels")) == [
        (0, 1, [0]),
        (1, 2, [1]),
        (2, 3, [2]),
        (2, 5, [2]),
        (3, 4, [3]),
        (4, 3, [4]),
        (4, 6, [5]),
        (5, 7, [6]),
        (7, 8, [7]),
    ]


def test_loop_counts_cost_nothing() -> None:
    body: tuple[Node, ...] = (Instr("recv", (_SLICE, 0)),)
    for _ in range(8):
        body = (Loop(10**9, body),)
    (affine,) = tokens.index(Stream(Unit(0, "core", 0), "s", (), None, body)).values()
    assert affine == (0, tuple(10 ** (9 * level) for level in reversed(range(8))))
