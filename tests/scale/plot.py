"""Line charts as SVG, with nothing but the standard library. Light and dark follow the reader's setting."""

import html
import math

WIDE, HIGH = 860, 190
LEFT, RIGHT, TOP, BOTTOM = 70, 150, 34, 30
COLOURS = ["#2a78c0", "#c2571a", "#3a9a5c", "#8a4fbf", "#b8860b", "#c03a6b", "#4a9aa8", "#7a7a7a", "#5a6fd0"]
STYLE = (
    "text{font:12px sans-serif;fill:#333}.t{font-weight:bold;font-size:14px}.g{stroke:#ddd;fill:none}"
    "@media(prefers-color-scheme:dark){text{fill:#ccc}.g{stroke:#444}}"
)


class Chart:
    """One panel; each series is a name and its points."""

    def __init__(self, title: str, unit: str, series: dict, steps: bool = False, marks: list | None = None) -> None:
        self.title, self.unit, self.steps, self.marks = title, unit, steps, marks or []
        self.series = {name: points for name, points in series.items() if points}


def nice(most: float) -> tuple:
    """The end of an axis, and the distance of its lines."""
    if most <= 0:
        return 1.0, 0.5
    raw = most / 4
    power = 10 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw)
    return math.ceil(most / step) * step, step


def thin(points: list, most: int = 600) -> list:
    """As few points as a screen shows: of each part the smallest and the largest."""
    if len(points) <= most:
        return points
    size, kept = math.ceil(len(points) * 2 / most), []
    for at in range(0, len(points), size):
        part = points[at : at + size]
        kept += sorted({min(part, key=lambda point: point[1]), max(part, key=lambda point: point[1])})
    return kept


def text(x: float, y: float, said: str, more: str = "") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" {more}>{html.escape(said)}</text>'


def panel(chart: Chart, top: float, end: float, unit: str) -> str:
    points = [point for series in chart.series.values() for point in series]
    high, step = nice(max((y for _, y in points), default=1))
    place_x = lambda x: LEFT + (WIDE - LEFT - RIGHT) * x / (end or 1)
    place_y = lambda y: top + TOP + (HIGH - TOP - BOTTOM) * (1 - y / high)
    parts = [text(LEFT, top + 18, f"{chart.title} ({chart.unit})", 'class="t"')]
    for line in range(int(high / step + 0.5) + 1):
        y = place_y(line * step)
        parts.append(f'<path class="g" d="M{LEFT} {y:.1f}H{WIDE - RIGHT}"/>')
        parts.append(text(LEFT - 6, y + 4, f"{line * step:g}", 'text-anchor="end"'))
    wide, across = nice(end)
    for tick in range(int(wide / across + 0.5) + 1):
        if tick * across <= end:
            said = f"{tick * across:g}" + (f" {unit}" if tick == 0 else "")
            parts.append(text(place_x(tick * across), top + HIGH - 12, said, 'text-anchor="middle"'))
    for at in chart.marks:
        parts.append(f'<path d="M{place_x(at):.1f} {top + TOP}V{top + HIGH - BOTTOM}" stroke="#c33" stroke-dasharray="2 3"/>')
    for number, (name, series) in enumerate(chart.series.items()):
        colour = COLOURS[number % len(COLOURS)]
        placed = [(place_x(x), place_y(y)) for x, y in (series if chart.steps else thin(series))]
        path = f"M{placed[0][0]:.1f} {placed[0][1]:.1f}"
        for x, y in placed[1:]:
            path += f"H{x:.1f}V{y:.1f}" if chart.steps else f"L{x:.1f} {y:.1f}"
        parts.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.4"/>')
        parts.append(text(WIDE - RIGHT + 8, top + TOP + 6 + 15 * number, name, f'style="fill:{colour}"'))
    return "".join(parts)


def svg(charts: list, end: float, unit: str) -> str:
    """All panels, one below the other, over the same time from 0 to `end`."""
    high = HIGH * len(charts)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE} {high}" role="img"><style>{STYLE}</style>'
    return head + "".join(panel(chart, HIGH * at, end, unit) for at, chart in enumerate(charts)) + "</svg>\n"
