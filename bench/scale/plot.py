"""Time over size as an SVG picture: points, the power law that fits them, and its exponent."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from bench.scale.records import growth

WIDTH, HEIGHT = 380, 300
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 34, 44


@dataclass(frozen=True)
class Panel:
    """One pair of axes, both logarithmic.

    Attributes:
        title: above it.
        label: of the horizontal axis.
        sizes, seconds: of the points.
    """

    title: str
    label: str
    sizes: Sequence[float]
    seconds: Sequence[float]


def picture(panels: Sequence[Panel]) -> str:
    """The panels side by side, as the text of an SVG file."""
    width = WIDTH * len(panels)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" '
        f'width="{width}" height="{HEIGHT}" font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{HEIGHT}" fill="white"/>',
    ]
    for index, panel in enumerate(panels):
        lines += [f'<g transform="translate({index * WIDTH} 0)">', *_panel(panel), "</g>"]
    return "\n".join([*lines, "</svg>", ""])


def _panel(panel: Panel) -> Iterator[str]:
    x_low, x_high = _decades(panel.sizes)
    y_low, y_high = _decades(panel.seconds)

    def x(size: float) -> float:
        share = (math.log10(size) - x_low) / (x_high - x_low)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def y(seconds: float) -> float:
        share = (math.log10(seconds) - y_low) / (y_high - y_low)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)

    bottom, top = HEIGHT - BOTTOM, TOP
    for power in range(x_low, x_high + 1):
        at = x(10.0**power)
        yield f'<path d="M{at} {top}V{bottom}" stroke="#ddd"/>'
        yield f'<text x="{at}" y="{bottom + 16}" text-anchor="middle">{_power(power)}</text>'
    for power in range(y_low, y_high + 1):
        at = y(10.0**power)
        yield f'<path d="M{LEFT} {at}H{WIDTH - RIGHT}" stroke="#ddd"/>'
        yield f'<text x="{LEFT - 6}" y="{at + 4}" text-anchor="end">{_power(power)}</text>'
    exponent = growth(panel.sizes, panel.seconds)
    logs = [math.log(value) for value in panel.sizes], [math.log(value) for value in panel.seconds]
    middle = tuple(sum(each) / len(each) for each in logs)
    ends = [
        (size, math.exp(middle[1] + exponent * (math.log(size) - middle[0])))
        for size in (min(panel.sizes), max(panel.sizes))
    ]
    line = "L".join(f"{x(size)} {y(seconds)}" for size, seconds in ends)
    yield f'<path d="M{line}" stroke="#4878a8" fill="none" stroke-dasharray="5 3"/>'
    for size, seconds in zip(panel.sizes, panel.seconds, strict=True):
        yield f'<circle cx="{x(size)}" cy="{y(seconds)}" r="3.5" fill="#b03030"/>'
    title = f"{panel.title}: exponent {exponent:.2f}"
    yield f'<text x="{LEFT}" y="20" font-size="13">{escape(title)}</text>'
    centre = (LEFT + WIDTH - RIGHT) / 2
    yield f'<text x="{centre}" y="{HEIGHT - 8}" text-anchor="middle">{escape(panel.label)}</text>'
    yield (
        f'<text transform="translate(16 {(top + bottom) / 2}) rotate(-90)" '
        'text-anchor="middle">CPU seconds</text>'
    )


def _decades(values: Sequence[float]) -> tuple[int, int]:
    """The powers of ten around the values."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)


def _power(power: int) -> str:
    """10^power as a person writes it."""
    if -3 < power < 4:
        return f"{10.0**power:g}"
    return f'10<tspan dy="-4" font-size="8">{power}</tspan>'
