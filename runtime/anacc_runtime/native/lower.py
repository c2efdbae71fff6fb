"""Lowers the streams of a phase to a schedule of operations on memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass

from anacc.program.image import Image
from anacc_runtime.native.channels import Channels
from anacc_runtime.native.components import lower_together
from anacc_runtime.native.draft import Draft
from anacc_runtime.native.joints import find_joints
from anacc_runtime.native.layers import fuse
from anacc_runtime.native.layout import layout
from anacc_runtime.native.merge import merge
from anacc_runtime.native.operations import Schedule
from anacc_runtime.native.storage import Storage
from anacc_runtime.native.stores import store_directly
from anacc_runtime.native.streams import StreamLowering
from anacc_runtime.native.tiles import TileSpec
from anacc_runtime.network import Component, Ends, Network, Phase
from anacc_runtime.plan import plan


@dataclass(frozen=True)
class Lowered:
    """What the engine needs to execute a phase.

    Attributes:
        schedule: the operations.
        tiles: the crossbar tiles, as `TileCall.tile` counts them.
        channels: the channels in arrays of the caller, in the order of EXTERNAL regions' offsets;
            one that nothing is done with is left out.
    """

    schedule: Schedule
    tiles: tuple[TileSpec, ...]
    channels: tuple[int, ...]


def lower(image: Image, network: Network, phase: Phase) -> Lowered:
    """Lower a phase of the chip.

    Raises:
        Unsupported: there are no native operations for one of its streams.
    """
    draft = Draft()
    outside = phase.entering | phase.leaving
    feedback = frozenset[int]().union(*(part.feedback for part in phase.components))
    streams = [image.code.streams[s] for part in phase.components for s in part.streams]
    found = find_joints(streams, image.code.channels, network.token_counts)
    joints = {c: joint for c, joint in found.items() if outside.isdisjoint(joint.channels)}
    channels = Channels(image, network.token_counts, draft, outside, feedback, joints)
    ends = network.ends
    buffers: dict[Hashable, Storage] = {}
    for component in phase.components:
        lower_together(_streams(image, component, ends, draft, channels, buffers), draft)
    merge(draft)
    store_directly(draft)
    constants = image.constants16.nbytes, image.constants32.nbytes
    schedule, arrays = layout(draft, constants)
    return Lowered(schedule, tuple(draft.tiles), arrays)


def _streams(
    image: Image,
    component: Component,
    ends: Ends,
    draft: Draft,
    channels: Channels,
    buffers: dict[Hashable, Storage],
) -> list[StreamLowering]:
    levels: Counter[tuple[int, int]] = Counter()
    readers = {
        channel: tuple(s for s in component.streams if channel in ends[s][0])
        for channel in component.feedback
    }
    result = []
    for number in component.streams:
        code = image.code.streams[number]
        plans = tuple(fuse(part, code) for part in plan(code, component.feedback))
        result.append(
            StreamLowering(
                image, number, plans, component.feedback, draft, channels, levels, readers, buffers
            )
        )
    return result
