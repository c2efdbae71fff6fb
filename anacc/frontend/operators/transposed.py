"""Transposed convolutions, as ordinary ones.

Along one axis, input i adds to the outputs o with o + begin = i s + k d, for a stride s and taps k
of dilation d, after `begin` elements that are cut off.  Let o + begin = s q + r, with a phase
0 <= r < s.  Then r is k d modulo s, and the input is i = q - t with t = (k d - r) / s: each phase
is a convolution of its own with the taps k that have its remainder, the last of them T = (K - 1) d
/ s (floor) elements back.  This is the sub-pixel form [1]_: one convolution gives all phases of a
place q as channels of their own, and a reshape, a transpose and a reshape put them side by side.
So nothing is multiplied by the zeros that a stuffed input would have, and a crossbar is driven once
for each input position.

References:
    .. [1] W. Shi et al., "Is the deconvolution layer the same as a convolutional layer?",
       arXiv:1609.07009, 2016.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from anacc.frontend.chain import Chain
from anacc.frontend.external import Array
from anacc.frontend.node import Node, Unsupported, spatial
from anacc.frontend.operators.convolution import has_constant_parameters, has_up_to_three_axes
from anacc.frontend.operators.windows import has_batch_first, has_known_padding
from anacc.frontend.registry import imports


@dataclass(frozen=True)
class Axis:
    """One spatial axis of a transposed convolution.

    Attributes:
        size: of the input.
        result: size of the output.
        taps: of the kernel.
        stride, dilation: of the transposed convolution.
        begin: outputs that are cut off in front.
    """

    size: int
    result: int
    taps: int
    stride: int
    dilation: int
    begin: int

    def tap(self, k: int) -> tuple[int, int]:
        """(phase r, elements back t) of a tap."""
        t, r = divmod(k * self.dilation, self.stride)
        return r, t

    @property
    def hole(self) -> int:
        """The dilation of the convolution: what the distances of all its taps have in common."""
        return math.gcd(*(self.tap(k)[1] for k in range(self.taps))) or 1

    @property
    def reach(self) -> int:
        """T, the distance of the last tap."""
        return self.tap(self.taps - 1)[1]

    @property
    def places(self) -> tuple[int, int]:
        """First and last q.  They are those of the output, or more where these would not see all of
        the input: a convolution has no negative padding."""
        first, last = self.begin // self.stride, (self.begin + self.result - 1) // self.stride
        return min(first, self.reach), max(last, self.size - 1)

    @property
    def pads(self) -> tuple[int, int]:
        """Zeros before and after the input: the window of q is q - T ... q."""
        first, last = self.places
        return self.reach - first, last - (self.size - 1)

    @property
    def cut(self) -> range:
        """The outputs among those of all places."""
        start = self.begin - self.places[0] * self.stride
        return range(start, start + self.result)


@imports(
    "ConvTranspose",
    requires=(has_constant_parameters, has_up_to_three_axes, has_known_padding, has_batch_first),
)
def import_conv_transpose(node: Node) -> None:
    """ConvTranspose becomes a `conv` with as many channels more as an input has outputs."""
    kernel = np.asarray(node.constant(1))
    axes = _axes(node, kernel.shape[2:])
    group = int(node.attribute("group", 1))
    if group < 1 or kernel.shape[0] % group:
        raise Unsupported("its groups fit its channels")
    outputs, phases = kernel.shape[1] * group, tuple(axis.stride for axis in axes)
    suffix = "x".join(map(str, ("phases", *(f"{a.stride}d{a.dilation}" for a in axes), group)))
    constants = [node.weight(1, _phase_weight(kernel, axes, group), suffix)]
    if node.has(2):
        bias = np.repeat(np.asarray(node.constant(2)), math.prod(phases))
        constants.append(node.weight(2, bias, suffix))
    chain = Chain(node, node.value(0)).apply(
        "conv",
        "phases",
        *constants,
        strides=(1,) * len(axes),
        pads=(*(axis.pads[0] for axis in axes), *(axis.pads[1] for axis in axes)),
        dilations=tuple(axis.hole for axis in axes),
        group=group,
    )
    batch, _, *places = chain.shape
    whole = [int(q) * stride for q, stride in zip(places, phases, strict=True)]
    if math.prod(phases) > 1:
        count = len(axes)
        pairs = itertools.chain(*((2 + count + n, 2 + n) for n in range(count)))
        chain.reshape((batch, outputs, *phases, *places))
        chain.transpose((0, 1, *pairs)).reshape((batch, outputs, *whole))
    chain.slice({2 + n: axis.cut for n, axis in enumerate(axes)}).finish()


def _phase_weight(kernel: Array, axes: list[Axis], group: int) -> Array:
    """The weight of the convolution, shape (M * phases, C / group, *taps).

    Args:
        kernel: of the transposed convolution, shape (C, M / group, *K).
        axes: one for each K.
        group: number of groups.
    """
    inputs, per_group = kernel.shape[0] // group, kernel.shape[1]
    phases = tuple(axis.stride for axis in axes)
    taps = tuple(axis.reach // axis.hole + 1 for axis in axes)
    weight = np.zeros((group, per_group, *phases, inputs, *taps), kernel.dtype)
    # (C, M / group, *K) -> (group, M / group, C / group, *K)
    grouped = kernel.reshape(group, inputs, *kernel.shape[1:]).swapaxes(1, 2)
    everything = slice(None)
    for place in np.ndindex(*kernel.shape[2:]):
        found = [axis.tap(k) for axis, k in zip(axes, place, strict=True)]
        phase = tuple(r for r, _ in found)
        # A window runs forwards and ends at q, so that the element t back is the last but t.
        tap = tuple((axis.reach - t) // axis.hole for axis, (_, t) in zip(axes, found, strict=True))
        there: tuple[slice | int, ...] = (everything, everything, *phase, everything, *tap)
        weight[there] = grouped[(everything, everything, everything, *place)]
    return weight.reshape(-1, inputs, *taps)


def _axes(node: Node, kernel: tuple[int, ...]) -> list[Axis]:
    """The spatial axes; sizes and pads by the formulas of the operator's documentation."""
    sizes = spatial(node.shape(0))
    count = len(sizes)

    def each(name: str, default: int) -> list[int]:
        values = node.attribute(name) or (default,) * count
        if len(values) < count:
            raise Unsupported("its attributes have one entry for each spatial axis")
        return [int(value) for value in values]

    strides, dilations, more = each("strides", 1), each("dilations", 1), each("output_padding", 0)
    pads = node.attribute("pads") or (0,) * (2 * count)
    wanted = node.attribute("output_shape")
    auto = node.attribute("auto_pad", "NOTSET")
    if len(kernel) != count or len(pads) != 2 * count or min((*kernel, *strides, *dilations)) < 1:
        raise Unsupported("its attributes have one entry for each spatial axis")
    axes = []
    for n, size in enumerate(sizes):
        full = strides[n] * (size - 1) + more[n] + (kernel[n] - 1) * dilations[n] + 1
        if wanted or auto.startswith("SAME"):
            result = int(wanted[n - count]) if wanted else size * strides[n]
            total = max(full - result, 0)
            begin = total // 2 if auto == "SAME_UPPER" else total - total // 2
            result = result if wanted else full - total
        else:
            begin, end = (0, 0) if auto == "VALID" else (pads[n], pads[n + count])
            result = full - begin - end
        if result < 1:
            raise Unsupported("its result has elements")
        axes.append(Axis(size, result, kernel[n], strides[n], dilations[n], begin))
    return axes
