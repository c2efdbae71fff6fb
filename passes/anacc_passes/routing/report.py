"""The traffic of a routed module on the links, beside what it is at least."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from anacc.ir import Module, Op
from anacc.ir.chip_rules import channel, values_of
from anacc.targets import Target
from anacc_passes.routing.links import BITS, Node, links, numbers
from anacc_passes.routing.router import Router
from anacc_passes.routing.sites import chip_of, chips_of, meet, node_of, on_links


def link_report(module: Module, target: Target) -> dict[str, Any]:
    """The traffic of a routed module on the links, per sample, as JSON data.

    Returns:
        - `links`: for each link in use its `link` (number), `source`, `destination`, `values`,
          `ns` (how long it is busy), and its `schedule`: [channel, values] in the order in
          which the streams stand, which is the order in which the link serves them.
        - `busiest`: number of the link that is busy longest, None without traffic; `busiest_ns`.
        - `value_hops`: values times links that they cross, with its `bound`: a value crosses at
          least as many links as its farthest reader is away, and one into each of its readers.

    A link that is narrower than a value takes several cycles for it, which `ns` counts.
    """
    chips = chips_of(module)
    every = links(target, chips)
    inner = chips * len(numbers(target))
    schedule: dict[int, list[list[Any]]] = {}
    busy: dict[int, float] = {}
    hops = bound = 0
    consumers = module.consumers()
    distances = Router(target, chips)
    for op in module.ops:
        for name, route in zip(op.results, op.nested("routes"), strict=False):
            if not name:
                continue
            values = values_of(module, name)
            cycles = -(-BITS[channel(module, name).format] // target.links.bits_per_value.value)
            for link in route:
                schedule.setdefault(link, []).append([name[1:], values])
                width = target.links.values_per_ns if link < inner else (
                    target.links.chip_values_per_ns)  # fmt: skip
                time = values * cycles / width.value
                busy[link] = busy.get(link, 0.0) + time
            hops += values * len(route)
            bound += values * _least(distances, op, consumers[name])
    busiest = max(sorted(busy), key=lambda link: busy[link], default=None)
    return {
        "links": [
            {
                "link": link,
                "source": every[link].source,
                "destination": every[link].destination,
                "values": sum(values for _, values in schedule[link]),
                "ns": busy[link],
                "schedule": schedule[link],
            }
            for link in sorted(schedule)
        ],
        "busiest": busiest,
        "busiest_ns": 0.0 if busiest is None else busy[busiest],
        "value_hops": {
            "value": hops,
            "bound": bound,
            "meaning": "values per sample times links that they cross; with this placement, none "
            "can cross fewer than its farthest reader is away, nor fewer than it has readers",
        },
    }


def _least(router: Router, op: Op, readers: Iterable[Op]) -> int:
    """Links that a value of an op crosses at least, wherever it turns."""
    source, readers = node_of(op), [reader for reader in readers if meet(op, reader)]
    far = len(list(router.between_chips(op, readers)))
    near = [reader for reader in readers if chip_of(reader) == chip_of(op)]
    nodes = [node for node in dict.fromkeys(map(node_of, near)) if node != source]
    if not on_links(source):
        return far
    reached = [node for node in nodes if on_links(node)]
    farthest = max((router.least(source, node) for node in reached), default=0)
    return far + max(farthest, _entered(router.target, source, reached))


def _entered(target: Target, source: Node, readers: Sequence[Node]) -> int:
    """Links that end at a reader: one each, but one for all cores that a GDPU is wired to."""
    wired = [
        source[0] == "gdpu" and reader[0] == "core" and source[1] in target.gdpus_of(reader[1])
        for reader in readers
    ]
    return wired.count(False) + (source[0] == "gdpu" and bool(readers))
