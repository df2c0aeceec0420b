"""Line charts as SVG, written by hand: no library, the same bytes for the same figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 70, 24, 44, 96
COLOURS = ("#b3261e", "#8a6d00", "#00639b", "#386a20")
_GREY = "#777"


@dataclass(frozen=True, slots=True)
class Line:
    """One curve: its name, and its points with what is written beside each."""

    name: str
    points: Sequence[tuple[float, float, str]]


@dataclass(frozen=True, slots=True)
class Chart:
    """What is drawn; the x axis is logarithmic."""

    title: str
    x_label: str
    y_label: str
    x_ticks: Sequence[float]
    y_ticks: Sequence[float]
    lines: Sequence[Line]

    def draw(self) -> str:
        """Return the SVG."""
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}">',
            '<g font-family="sans-serif">',
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
            _text(WIDTH / 2, 24, self.title, size=15),
            _text(WIDTH / 2, HEIGHT - BOTTOM + 38, self.x_label),
            f'<g transform="rotate(-90 18 {HEIGHT / 2})">'
            + _text(18, HEIGHT / 2, self.y_label)
            + "</g>",
            *self._grid(),
        ]
        for at, line in enumerate(self.lines):
            parts += self._curve(line, COLOURS[at], at)
        return "\n".join([*parts, "</g></svg>"]) + "\n"

    def _grid(self) -> list[str]:
        parts = []
        for tick in self.x_ticks:
            x = self._x(tick)
            parts.append(_stroke(x, TOP, x, HEIGHT - BOTTOM, "#e4e4e4"))
            parts.append(_text(x, HEIGHT - BOTTOM + 18, f"{tick:g}"))
        for tick in self.y_ticks:
            y = self._y(tick)
            parts.append(_stroke(LEFT, y, WIDTH - RIGHT, y, "#e4e4e4"))
            parts.append(_text(LEFT - 8, y + 4, f"{tick:g}", anchor="end"))
        return parts

    def _curve(self, line: Line, colour: str, at: int) -> list[str]:
        spots = [(self._x(x), self._y(y), label) for x, y, label in line.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in spots)
        key = LEFT + at * 220
        return [
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>',
            *(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>' for x, y, _ in spots),
            *(_text(x, y - 9, label, size=10, fill=colour) for x, y, label in spots),
            f'<rect x="{key}" y="{HEIGHT - 36}" width="14" height="14" fill="{colour}"/>',
            _text(key + 20, HEIGHT - 25, line.name, anchor="start"),
        ]

    def _x(self, value: float) -> float:
        low, high = math.log(self.x_ticks[0]), math.log(self.x_ticks[-1])
        return LEFT + (math.log(value) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def _y(self, value: float) -> float:
        low, high = self.y_ticks[0], self.y_ticks[-1]
        return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)


def _stroke(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="{colour}"/>'


def _text(
    x: float, y: float, text: str, *, anchor: str = "middle", size: int = 12, fill: str = _GREY
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
        f'fill="{fill}">{escape(text)}</text>'
    )
