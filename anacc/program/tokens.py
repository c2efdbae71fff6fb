"""Which token of its channel each recv and send of a stream touches.

Loops repeat their bodies a fixed number of times, so the number of tokens that an instruction's
predecessors took is an affine function of the enclosing loops' indices: every loop adds the tokens
of one of its iterations, every body the tokens of the nodes before.  An executor can therefore
gather the tokens of all iterations at once.
"""

from __future__ import annotations

from collections import Counter

from anacc.program.model import Instr, Loop, Node, Stream
from anacc.program.walk import Path

Access = tuple[str, int]  # "recv" or "send", channel
Affine = tuple[int, tuple[int, ...]]  # base, strides of the enclosing loops, outermost first


def index(stream: Stream) -> dict[Path, Affine]:
    """The affine token index of each recv and send of a stream.

    Args:
        stream: any stream; a host stream has no recv or send and yields an empty mapping.

    Returns:
        For each recv and send, keyed by its path (see `anacc.program.walk.Place`), (base, strides):
        in the iteration with loop indices i it takes or appends token
        base + sum(strides[k] * i[k]) of its channel, counted from 0 within one sample.  Several
        accesses of one channel interleave in program order; recv and send count separately.
    """
    result: dict[Path, Affine] = {}
    _index(stream.body, (), Counter(), (), result)
    return result


def totals(body: tuple[Node, ...]) -> Counter[Access]:
    """Tokens that one execution of a body takes ("recv", channel) and appends ("send", channel)."""
    result: Counter[Access] = Counter()
    for node in body:
        if isinstance(node, Loop):
            _add_repeated(result, totals(node.body), node.count)
        elif (access := _access(node)) is not None:
            result[access] += 1
    return result


def _index(
    body: tuple[Node, ...],
    path: Path,
    before: Counter[Access],
    strides: tuple[Counter[Access], ...],
    result: dict[Path, Affine],
) -> None:
    """Index a body of which `before` tokens went ahead; `strides` are the enclosing loops'."""
    before = Counter(before)
    for position, node in enumerate(body):
        here = (*path, position)
        if isinstance(node, Loop):
            inner = totals(node.body)
            _index(node.body, here, before, (*strides, inner), result)
            _add_repeated(before, inner, node.count)
        elif (touched := _access(node)) is not None:
            result[here] = before[touched], tuple(stride[touched] for stride in strides)
            before[touched] += 1


def _add_repeated(counts: Counter[Access], once: Counter[Access], times: int) -> None:
    for access, tokens in once.items():
        counts[access] += tokens * times


def _access(instr: Instr) -> Access | None:
    """The channel that a recv or send names, else None."""
    if instr.op not in ("recv", "send"):
        return None
    operand = instr.operands[1 if instr.op == "recv" else 0]
    return (instr.op, operand) if isinstance(operand, int) else None
