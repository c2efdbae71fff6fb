"""Estimates the memory that a part of a batch needs, to choose how many samples to run at once and
to refuse a program of which a single one is too large."""

from __future__ import annotations

from math import prod

import numpy as np

from anacc.errors import ProgramError
from anacc.program.image import Image
from anacc.program.model import Slice, Stream
from anacc.program.walk import walk
from anacc_runtime.network import Network, Phase
from anacc_runtime.plan import writes
from anacc_runtime.registers import DTYPE

# Bytes that one sample may need; more is refused before any of it is allocated.
MAX_SAMPLE_BYTES = 8 * 2**30

# An instruction computes in binary32 or binary64 and holds two or three such arrays; one that only
# moves elements holds one more copy of them at most.
TEMPORARY_BYTES_PER_ELEMENT = 24
MOVES = ("recv", "send", "load", "store", "copy")


def bytes_per_sample(image: Image, phase: Phase, network: Network) -> int:
    """Bytes that one sample needs at the worst moment of a phase, roughly."""
    live: dict[int, int] = {}
    worst = 1
    for position, component in enumerate(phase.components):
        work = 0
        for number in component.streams:
            stream = image.code.streams[number]
            work += _stream_bytes(stream)
            for channel in network.ends[number][1]:
                kind = image.code.channels[channel]
                tokens = network.token_counts[channel]
                live[channel] = tokens * kind.token_size * np.dtype(DTYPE[kind.format]).itemsize
        worst = max(worst, work + sum(live.values()))
        for channel in [c for c in live if phase.last_reader.get(c, -1) <= position]:
            del live[channel]
    return worst


def check_sample(image: Image, phase: Phase, network: Network) -> int:
    """Bytes that one sample needs in a phase of the chip, roughly, if they are not too many.

    Raises:
        ProgramError: they are more than `MAX_SAMPLE_BYTES`.
    """
    needed = bytes_per_sample(image, phase, network)
    if needed > MAX_SAMPLE_BYTES:
        raise ProgramError(
            f"one sample needs some {needed / 2**30:.1f} GiB of memory, more than the "
            f"{MAX_SAMPLE_BYTES >> 30} GiB that the simulator allows",
            "feed the model smaller inputs",
        )
    return needed


def _stream_bytes(stream: Stream) -> int:
    """Registers and buffer, and the temporaries of the largest instruction."""
    # State is there from the start, whether or not it is written.
    registers: dict[int, int] = {
        number: register.length * np.dtype(DTYPE[register.format]).itemsize
        for number, register in enumerate(stream.registers)
        if register.state
    }
    largest = 0
    for place in walk(stream.body):
        iterations = prod(loop.count for loop in place.loops if not loop.sequential)
        for target in writes(place.instr):
            register = stream.registers[target.register]
            size = iterations * register.length * np.dtype(DTYPE[register.format]).itemsize
            registers[target.register] = max(registers.get(target.register, 0), size)
        operands = [operand for operand in place.instr.operands if isinstance(operand, Slice)]
        elements = iterations * sum(operand.length for operand in operands)
        element = TEMPORARY_BYTES_PER_ELEMENT
        if place.instr.op in MOVES:
            formats = [stream.registers[operand.register].format for operand in operands]
            element = max((np.dtype(DTYPE[each]).itemsize for each in formats), default=0)
        largest = max(largest, elements * element)
    buffer = 0
    if stream.buffer is not None:
        buffer = stream.buffer.size * np.dtype(DTYPE[stream.buffer.format]).itemsize
    return sum(registers.values()) + buffer + largest
