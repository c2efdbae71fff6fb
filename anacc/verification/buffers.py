"""Every element of a buffer is stored at most once, and before it is loaded.

Property: executed one instruction after another, a stream loads an element either after its only
store, or never stores it, and then it is padding (the fill).  All addresses lie inside.

Argument: addresses and the time of an execution are both affine in the loop indices (`structure`),
so both are written out for all executions of all stores, element by element, and then compared with
those of all loads.  This takes time and memory like the tensors themselves; nothing is
sampled: of a load, whose elements repeat strides, the latest of its stores counts, and the latest
over several strides is the latest of the latest over one.  Beyond `WORK` elements a buffer is not
written out, which the summary says.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from anacc.program.image import Image
from anacc.program.model import Access, Stream
from anacc.verification.faults import Findings
from anacc.verification.structure import Step, named, operands, steps

WORK = 2**31  # elements that the accesses of one program may touch
LARGEST = 2**26  # elements of a buffer, which are held some times
PIECE = 2**22  # elements at a time

Ints = npt.NDArray[np.int64]
_NEVER = -1


def positions(counts: tuple[int, ...], strides: tuple[int, ...], first: int, last: int) -> Ints:
    """sum(strides * index) for the iterations `first` to `last` - 1 of a loop nest, in order."""
    flat = np.arange(first, last, dtype=np.int64)
    found = np.zeros(last - first, np.int64)
    for count, stride in zip(reversed(counts), reversed(strides), strict=True):
        found += flat % count * stride
        flat //= count
    return found


def offsets(access: Access) -> Ints:
    """Address of each element of an access, less its base."""
    found = np.zeros(1, np.int64)
    for count, stride in access.dims:
        found = (found[:, np.newaxis] + np.arange(count, dtype=np.int64) * stride).reshape(-1)
    return found


def check_buffers(image: Image, findings: Findings) -> None:
    """Look for elements that are stored twice, loaded too early, or outside of their buffer."""
    work = WORK
    touched = 0
    for number, stream in enumerate(image.code.streams):
        if stream.buffer is None:
            continue
        accesses = [
            (step, access)
            for step in steps(stream.body)
            if step.instr.op in ("load", "store")
            for access in [operands(step.instr)["address"]]
            if isinstance(access, Access)
        ]
        size = sum(step.executions * access.length for step, access in accesses)
        size += stream.buffer.size * len({access.dims for _, access in accesses})
        if size > work or stream.buffer.size > LARGEST:
            findings.unproven.append(
                f"{named(image, number)}: {size} accesses of its buffer are too many to write out"
            )
            continue
        work -= size
        touched += size
        _check_stream(image, number, stream, accesses, findings)
    findings.figures["buffer_accesses"] = touched


def _check_stream(
    image: Image,
    number: int,
    stream: Stream,
    accesses: list[tuple[Step, Access]],
    findings: Findings,
) -> None:
    size = stream.buffer.size if stream.buffer else 0
    stored = np.full(size, _NEVER, np.int64)
    elements = 0
    for step, access in accesses:
        if reason := _outside(step, access, size):
            findings.fault("order", f"{named(image, number)}: a {step.instr.op} {reason}")
            return
        if step.instr.op == "store":
            elements += step.executions * access.length
            for addresses, times in _pieces(step, access):
                stored[addresses] = times[:, np.newaxis]
    if np.count_nonzero(stored != _NEVER) < elements:
        findings.fault("order", f"{named(image, number)} stores an element of its buffer twice")
    latest: dict[tuple[tuple[int, int], ...], Ints] = {(): stored}
    for step, access in accesses:
        if step.instr.op == "load" and (reason := _early(step, access, latest)):
            findings.fault("order", f"{named(image, number)}: a load {reason}")


def _outside(step: Step, access: Access, size: int) -> str | None:
    low = high = access.base
    pairs = [(loop.count, stride) for loop, stride in zip(step.loops, access.strides, strict=True)]
    for count, stride in (*pairs, *access.dims):
        low += min(0, (count - 1) * stride)
        high += max(0, (count - 1) * stride)
    if low < 0 or high >= size:
        return f"touches elements {low} to {high} of a buffer of {size}"
    return None


def _early(
    step: Step, access: Access, latest: dict[tuple[tuple[int, int], ...], Ints]
) -> str | None:
    """Compare when each execution loads with when the last of its elements was stored."""
    dims = tuple(dim for dim in access.dims if dim[0] > 1)
    for first in range(len(dims), -1, -1):
        if dims[first:] not in latest:
            inner = latest[dims[first + 1 :]]
            latest[dims[first:]] = _latest_along(inner, *dims[first])
    counts = tuple(loop.count for loop in step.loops)
    for first in range(0, step.executions, PIECE):
        last = min(first + PIECE, step.executions)
        starts = access.base + positions(counts, access.strides, first, last)
        times = step.first + positions(counts, step.periods, first, last)
        early = latest[dims][starts] > times
        if early.any():
            return (
                f"that starts at element {starts[early][0]} reads elements of its buffer that are "
                "stored only later"
            )
    return None


def _latest_along(times: Ints, count: int, stride: int) -> Ints:
    """max(times[a + k * stride]) for k < count, for each a; elements outside do not count."""
    found, done = times.copy(), 1
    while done < count:
        step = min(done, count - done) * stride
        before = found.copy()
        if 0 < step < len(found):
            np.maximum(before[:-step], before[step:], out=found[:-step])
        elif -len(found) < step < 0:
            np.maximum(before[-step:], before[:step], out=found[-step:])
        done += min(done, count - done)
    return found


def _pieces(step: Step, access: Access) -> Iterator[tuple[Ints, Ints]]:
    """Addresses (executions, elements) and times (executions,) of an access, a piece at a time."""
    counts = tuple(loop.count for loop in step.loops)
    inside = offsets(access)
    rows = max(1, PIECE // len(inside))
    for first in range(0, step.executions, rows):
        last = min(first + rows, step.executions)
        starts = access.base + positions(counts, access.strides, first, last)
        times = step.first + positions(counts, step.periods, first, last)
        yield starts[:, np.newaxis] + inside, times
