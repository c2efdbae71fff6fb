"""Each channel's route joins its writer with all its readers, and no link is over capacity.

Properties and arguments:

1. The links of a route form a tree: from the writer's unit they reach the unit of each reader,
   and without any one of them some reader is no longer reached.  So none is missing, none
   superfluous and none counted twice.
2. In the steady state a link passes all values of a sample while the slowest stage of the program
   works on one.  A link is over capacity when it needs longer than that stage: then the stage does
   not get its values at the pace that the program's own times promise.

Links have the numbers of the program format: on each chip, for each core those to its right, left,
lower and upper neighbour, as far as the target has them, then one to each GDPU, then one from each;
behind those of all chips, for each pair of neighbouring chips the one up and the one down.
What goes to or comes from a bridge or the host uses no link on its chip, and the host, though its
unit has the number of a chip, reaches each chip without links between them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from anacc.program.image import Image
from anacc.program.model import Format, Unit
from anacc.targets import Target
from anacc.verification.faults import Findings
from anacc.verification.stages import slowest_stages
from anacc.verification.structure import Ends, named, round_of

Point = tuple[str, int]  # ("core" or "gdpu", index) on a chip
_BITS = {Format.INT8: 8, Format.INT16: 16, Format.INT32: 32, Format.BINARY16: 16}


def links_of_chip(target: Target) -> list[tuple[list[Point], list[Point]]]:
    """For each link of a chip in order, the units that it starts from and those that it reaches."""
    rows, columns = target.grid.rows.value, target.grid.columns.value
    directions = target.links.directions.value
    ways = [(0, 1), (0, -1)] if "horizontal" in directions else []
    ways += [(1, 0), (-1, 0)] if "vertical" in directions else []
    found: list[tuple[list[Point], list[Point]]] = []
    for core in range(rows * columns):
        for down, right in ways:
            row, column = core // columns + down, core % columns + right
            if 0 <= row < rows and 0 <= column < columns:
                found.append(([("core", core)], [("core", row * columns + column)]))
    gdpus = range(target.gdpu.count.value)
    wired: list[list[Point]] = []
    for gdpu in gdpus:
        any_core = target.gdpu.wiring.value == "any"
        cores = range(rows * columns) if any_core else range(gdpu, rows * columns, columns)
        wired.append([("core", core) for core in cores])
    found += [(wired[gdpu], [("gdpu", gdpu)]) for gdpu in gdpus]
    found += [([("gdpu", gdpu)], wired[gdpu]) for gdpu in gdpus]
    return found


def check_routes(image: Image, target: Target, ends: Ends, findings: Findings) -> None:
    """Check the route of every channel and the load of every link."""
    chip_links = links_of_chip(target)
    chips = 1 + max((stream.unit.chip for stream in image.code.streams), default=0)
    total = len(chip_links) * chips + 2 * (chips - 1)
    busy: dict[tuple[int, int], float] = {}  # by round and link
    for number, channel in enumerate(image.code.channels):
        reason = _wrong(image, number, ends, chip_links, chips, total)
        if reason:
            writer = named(image, ends.writer[number])
            findings.fault("link", f"channel {number}, which {writer} writes: {reason}")
            continue
        values = channel.token_size * ends.tokens[number]
        cycles = -(-_BITS.get(channel.format, 8) // target.links.bits_per_value.value)
        now = round_of(image.code.streams[ends.writer[number]])
        for link in channel.route:
            inner = link < len(chip_links) * chips
            rate = target.links.values_per_ns if inner else target.links.chip_values_per_ns
            busy[now, link] = busy.get((now, link), 0.0) + values * cycles / rate.value
    stages = slowest_stages(image, target)
    for (now, link), ns in sorted(busy.items()):
        stage = stages[now]
        if ns > stage.ns * (1 + 1e-9):
            findings.fault(
                "link",
                f"link {link} needs {ns:.0f} ns for the values of a sample, more than the "
                f"{stage.ns:.0f} ns of the slowest stage ({stage.unit})",
            )
    busiest = max(busy, key=lambda place: (busy[place], -place[1]), default=None)
    slowest = max(stages.values(), key=lambda stage: stage.ns, default=None)
    findings.figures["links"] = {
        "used": len({link for _, link in busy}),
        "of": total,
        "busiest": busiest[1] if busiest else None,
        "busiest_ns": busy[busiest] if busiest else 0.0,
        "slowest_stage_ns": slowest.ns if slowest else 0.0,
        "slowest_stage": slowest.unit if slowest else "",
    }


def _wrong(
    image: Image,
    number: int,
    ends: Ends,
    chip_links: Sequence[tuple[list[Point], list[Point]]],
    chips: int,
    total: int,
) -> str | None:
    """Why a channel's route is wrong, or None."""
    streams, route = image.code.streams, image.code.channels[number].route
    if ends.writer[number] < 0:
        return "it has no writer"
    source = streams[ends.writer[number]].unit
    now = round_of(streams[ends.writer[number]])
    # What a later round reads waits for it in the memory of the host.
    readers = {
        streams[reader].unit for reader in ends.readers[number] if round_of(streams[reader]) == now
    } - {source}
    if len(set(route)) < len(route):
        return "its route names a link twice"
    if any(not 0 <= link < total for link in route):
        return f"its route names a link that does not exist among {total}"
    inner = len(chip_links) * chips
    needed = _between_chips(source, readers, inner)
    if (found := {link for link in route if link >= inner}) != needed:
        return (
            f"it crosses the links between chips {sorted(found)}, but must cross {sorted(needed)}"
        )
    local = [
        reader
        for reader in readers
        if reader.chip == source.chip and {reader.kind, source.kind} <= {"core", "gdpu"}
    ]
    goals = {(reader.kind, reader.index): str(reader) for reader in local}
    base = source.chip * len(chip_links)
    own = [link - base for link in route if link < inner]
    if any(not 0 <= link < len(chip_links) for link in own):
        return "its route has links of a chip that it does not run on"
    start = (source.kind, source.index)
    reached = _reached(start, [chip_links[link] for link in own])
    if missing := sorted(text for goal, text in goals.items() if goal not in reached):
        return f"its route does not reach {missing[0]} from {source}"
    for link in own:
        rest = [chip_links[other] for other in own if other != link]
        if goals.keys() <= _reached(start, rest):
            return f"its route from {source} does not need link {link + base}"
    return None


def _between_chips(source: Unit, readers: Iterable[Unit], first: int) -> set[int]:
    """The links between neighbouring chips on the way from a unit to others."""
    needed: set[int] = set()
    if source.kind == "host":
        return needed
    for reader in readers:
        if reader.kind == "host":
            continue
        needed.update(first + 2 * chip for chip in range(source.chip, reader.chip))
        needed.update(first + 2 * chip + 1 for chip in range(reader.chip, source.chip))
    return needed


def _reached(start: Point, links: Iterable[tuple[list[Point], list[Point]]]) -> set[Point]:
    reached, left = {start}, list(links)
    while True:
        rest = []
        before = len(reached)
        for sources, sinks in left:
            if reached.isdisjoint(sources):
                rest.append((sources, sinks))
            else:
                reached.update(sinks)
        if len(reached) == before:
            return reached
        left = rest
