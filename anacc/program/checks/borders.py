"""Borders: the manifest's inputs, outputs and segments agree with the code."""

from __future__ import annotations

from collections import Counter

import numpy as np

from anacc.host_values import NUMBERS, is_tensor
from anacc.program.checks.fault import fault
from anacc.program.graph import border_elements, instruction_borders
from anacc.program.image import Image
from anacc.program.manifest import Border, Manifest, Port
from anacc.program.model import Format, Instr, instructions
from anacc.program.names import shown

# Elements of one tensor of the host; a bound on what a damaged program can allocate.
MAX_ELEMENTS = 2**40

# Axes of a tensor; one more must be possible in NumPy.
MAX_RANK = 32

# Types of a border of the model, and of its port where that may be another one.
_CONVERTED = (("float32", "float16"), ("float32", "float64"))


def check_borders(image: Image) -> None:
    """Each border is well formed and used by one host instruction, each segment run once.

    Raises:
        ProgramError: one is not.
    """
    manifest = image.manifest
    if len(image.segments) != len(manifest.segments):
        raise fault(
            f"the program has {len(image.segments)} ONNX segments but its manifest "
            f"{len(manifest.segments)}"
        )
    if manifest.batch is not None and manifest.batch < 1:
        raise fault(f"the batch is {manifest.batch}")
    for position, border in enumerate(manifest.borders):
        reason = _shape(manifest, border) or _order(border) or _tokens(image, border)
        if reason is not None:
            raise fault(f"border {position} `{shown(border.name)}`: {reason}")
    for position, segment in enumerate(manifest.segments):
        for number in (*segment.inputs, *segment.outputs):
            if not 0 <= number < len(manifest.borders):
                raise fault(f"segment {position} names border {number}, which does not exist")
    _check_uses(image)
    _check_ports(image)


def _shape(manifest: Manifest, border: Border | Port) -> str | None:
    """Only the batch axis may have an open size, and it has that of the batch."""
    rank, axis = len(border.shape), border.batch_axis
    if rank and not is_tensor(border.dtype):
        return f"it is of type {border.dtype} and yet has {rank} axes"
    if rank > MAX_RANK:
        return f"there are {rank} axes, more than {MAX_RANK}"
    if axis is not None and not 0 <= axis < rank:
        return f"batch axis {axis} does not exist in {rank} axes"
    for position, size in enumerate(border.shape):
        if size is None and position != axis:
            return f"axis {position} has no size and is not the batch axis"
        if size is not None and size < 0:
            return f"axis {position} has the size {size}"
    if axis is not None and border.shape[axis] != manifest.batch:
        return f"the batch is {border.shape[axis]} here but {manifest.batch} in the manifest"
    return None


def _order(border: Border) -> str | None:
    """The axes without the batch are permuted, and the scale is a positive binary32 number."""
    if border_elements(border) > MAX_ELEMENTS:
        return f"a sample has more than {MAX_ELEMENTS} elements"
    with np.errstate(over="ignore"):
        scale = np.float32(border.scale)
    if not (scale > 0 and np.isfinite(scale)):
        return f"the scale {border.scale} is no positive number of binary32"
    rest = len(border.shape) - (border.batch_axis is not None)
    if sorted(border.permutation) != list(range(rest)):
        return f"{list(border.permutation)} is no permutation of {rest} axes"
    return None


def _tokens(image: Image, border: Border) -> str | None:
    """A tensor is a whole number of tokens of codes or binary16 numbers."""
    if not 0 <= border.channel < len(image.code.channels):
        return f"channel {border.channel} does not exist"
    channel = image.code.channels[border.channel]
    if channel.format is Format.TENSOR:
        return None
    if border.dtype not in NUMBERS:
        return f"it is of type {border.dtype}, of which the chip takes and gives nothing"
    if channel.format not in (Format.INT8, Format.BINARY16):
        return f"channel {border.channel} holds {channel.format.value}, not i8, f16 or tensor"
    elements = border_elements(border)
    if elements % channel.token_size or not elements:
        return f"{elements} elements are no whole number of tokens of {channel.token_size}"
    return None


def _host_instructions(image: Image) -> list[Instr]:
    streams = (stream for stream in image.code.streams if stream.unit.kind == "host")
    return [instr for stream in streams for instr in instructions(stream.body)]


def _check_uses(image: Image) -> None:
    """One host instruction moves each border's tensor, one runs each segment."""
    borders: Counter[int] = Counter()
    segments: Counter[object] = Counter()
    for instr in _host_instructions(image):
        borders.update(border for _, border in instruction_borders(instr, image.manifest))
        if instr.op == "segment":
            segments[instr.operands[0]] += 1
    for position, border in enumerate(image.manifest.borders):
        if borders[position] != 1:
            raise fault(
                f"border {position} `{shown(border.name)}` is used {borders[position]} times"
            )
    for position in range(len(image.manifest.segments)):
        if segments[position] != 1:
            raise fault(f"segment {position} is run {segments[position]} times")


def _check_ports(image: Image) -> None:
    """Model inputs and outputs cross borders of their type and shape, each output one border."""
    manifest = image.manifest
    inputs, outputs = _by_name("input", manifest.inputs), _by_name("output", manifest.outputs)
    for port in manifest.inputs:
        if port.dynamic:
            raise fault(f"model input `{shown(port.name)}`: its shape cannot depend on the data")
    for port in (*manifest.inputs, *manifest.outputs):
        reason = _shape(manifest, port)
        if reason is not None:
            raise fault(f"model input or output `{shown(port.name)}`: {reason}")
    missing = set(outputs)
    for instr in _host_instructions(image):
        if instr.op == "segment":
            continue
        ((_, number),) = instruction_borders(instr, manifest)
        border = manifest.borders[number]
        found = (inputs if instr.op == "input" else outputs).get(border.name)
        if found is None:
            raise fault(f"border {number} `{shown(border.name)}` names no model {instr.op}")
        alike = border.dtype == found.dtype or (border.dtype, found.dtype) in _CONVERTED
        if not alike or (border.shape, border.batch_axis) != (found.shape, found.batch_axis):
            raise fault(f"border {number} `{shown(border.name)}`: type or shape is not the model's")
        if instr.op == "output":
            if border.name not in missing:
                raise fault(f"model output `{shown(border.name)}` crosses two borders")
            missing.remove(border.name)
    if missing:
        raise fault(f"model output `{shown(min(missing))}` crosses no border")


def _by_name(what: str, ports: tuple[Port, ...]) -> dict[str, Port]:
    result = {port.name: port for port in ports}
    if len(result) != len(ports):
        raise fault(f"two model {what}s have the same name")
    return result
