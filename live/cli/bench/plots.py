"""The page of `bench loop --html`: plots drawn as SVG, tables, all in one file that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from live.spans import Span

_WIDE, _HIGH, _LEFT, _BOTTOM = 860, 224, 52, 28
_COLOURS = {"camera": "#8a8f98", "engine": "#3b82c4", "swap": "#a05bb5", "pixels": "#2f9e6e"}
_SINK = "#d9822b"
_POINTS = 4000  # more are not drawn one by one


def page(tree: dict[str, Any], spans: Sequence[Span]) -> str:
    """`tree`: the figures of `bench loop`; `spans`: what each thread did."""
    frames = _frames(spans)
    begins, ages = _ages(frames)
    age, cpu = tree["age_ms"], tree["cpu_ms_per_frame"]
    cards = [
        (f"{age['p50']:.1f} ms", "age, median"), (f"{age['p95']:.1f} ms", "age, p95"),
        (f"{tree['frames']['per_second']:.1f}", "frames a second"), (f"{cpu['all']:.1f} ms", "processor, a frame"),
        (f"{tree['percent_in_time']:.1f} %", f"within {tree['period_ms']:.1f} ms"),
        (f"{sum(tree['dropped'].values())}", "frames dropped"),
    ]  # fmt: skip
    body = [
        "<h1>doppelcam bench loop</h1>",
        "<div class=cards>" + "".join(f"<div><b>{value}</b>{label}</div>" for value, label in cards) + "</div>",
        "<h2>Age over time</h2><p>How old each frame was when its sink had it: one dot a frame.</p>",
        _scatter(begins, ages, tree["period_ms"]),
        "<h2>Histogram of ages</h2>",
        _histogram(ages, age),
        "<h2>A frame's way</h2><p>The frame of median age: which thread worked on it when.</p>",
        _waterfall(_median_frame(frames)),
        "<h2>Steps</h2>",
        _table(
            ("thread: step", "p50 ms", "p95", "p99", "processor ms"),
            [(n, s["p50"], s["p95"], s["p99"], s["cpu"]) for n, s in tree["steps_ms"].items()],
        ),
        "<h2>Each step alone</h2><p>On one thread, one frame after the other; whole pictures that it allocates.</p>",
        _table(
            ("step", "ms", "processor ms", "whole pictures"),
            [(n, c["ms"], c["cpu_ms"], c["pictures"]) for n, c in tree["alone"].items()],
        ),
        "<h2>Threads</h2>",
        _table(("thread", "processor, ms a frame"), list(cpu["threads"].items())),
        "<h2>Machine</h2>",
        _table(
            ("", ""),
            [("yardstick before, after", "{before} ms, {after} ms".format(**tree["yardstick_ms"])),
             ("memory before, after", "{start} MB, {end} MB".format(**tree["memory_mb"])),
             ("cores busy", cpu["cores_busy"]),
             *((name, facts["runs_on"]) for name, facts in tree["engines"].items())],
        ),
    ]  # fmt: skip
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>doppelcam bench loop</title>{_STYLE}{''.join(body)}"
    )


def _frames(spans: Sequence[Span]) -> dict[int, list[Span]]:
    """The spans of each frame that a sink has shown, from its finder on: reading is mostly waiting for the camera."""
    found: dict[int, list[Span]] = {}
    for span in spans:
        if span.frame:
            found.setdefault(span.frame, []).append(span)
    return {number: own for number, own in found.items() if {"read", "write"} <= {span.name for span in own}}


def _ages(frames: dict[int, list[Span]]) -> tuple[list[float], list[float]]:
    """Seconds since the first frame, and ms from the end of its reading to the last sink's end."""
    ends = [(max(s.ended_ns for s in own if s.name == "read"), max(s.ended_ns for s in own)) for own in frames.values()]
    start = min((read for read, _ in ends), default=0)
    return [(read - start) / 1e9 for read, _ in ends], [(end - read) / 1e6 for read, end in ends]


def _median_frame(frames: dict[int, list[Span]]) -> list[Span]:
    by_age = sorted(
        frames.values(), key=lambda own: max(s.ended_ns for s in own) - max(s.ended_ns for s in own if s.name == "read")
    )
    return by_age[len(by_age) // 2] if by_age else []


def _scatter(seconds: list[float], ages: list[float], period_ms: float) -> str:
    if not ages:
        return "<p>No frame was shown.</p>"
    every = max(1, len(ages) // _POINTS)
    top = _round_up(max(float(np.percentile(ages, 99.8)) * 1.15, period_ms * 1.1))
    last = max(seconds[-1], 1e-3)
    x = _Axis(last, _LEFT, _WIDE - 8)
    y = _Axis(top, _HIGH - _BOTTOM, 12)
    dots = "".join(
        f'<circle cx="{x(s):.1f}" cy="{y(ms):.1f}" r="1.6"/>'
        for s, ms in list(zip(seconds, ages, strict=True))[::every]
    )
    limit = f'<path class=limit d="M{_LEFT} {y(period_ms):.1f}H{_WIDE - 8}"/>'
    limit += _text(_WIDE - 10, y(period_ms) - 4, "camera period", "end")
    return _plot(_grid_y(top, y, "ms") + _grid_x(last, x, "s") + f"<g class=dots>{dots}</g>" + limit)


def _histogram(ages: list[float], age: dict[str, float]) -> str:
    if not ages:
        return ""
    top = _round_up(max(float(np.percentile(ages, 99.8)), 1.0))
    counts, edges = np.histogram(np.minimum(ages, top), bins=60, range=(0, top))
    most = max(1, int(counts.max()))
    x = _Axis(top, _LEFT, _WIDE - 8)
    y = _Axis(most, _HIGH - _BOTTOM, 12)
    bars = "".join(
        f'<rect x="{x(low):.1f}" y="{y(n):.1f}" width="{x(high) - x(low) - 1:.1f}" height="{y(0) - y(n):.1f}"/>'
        for n, low, high in zip(counts, edges, edges[1:], strict=False)
        if n
    )
    marks = "".join(
        f'<path class=limit d="M{x(age[p]):.1f} 12V{y(0):.1f}"/>{_text(x(age[p]) + 4, 14 + 13 * k, p)}'
        for k, p in enumerate(("p50", "p95", "p99"))
        if age[p] <= top
    )
    return _plot(_grid_x(top, x, "ms") + f"<g class=bars>{bars}</g>" + marks)


def _waterfall(own: list[Span]) -> str:
    work = sorted((span for span in own if span.name != "read"), key=lambda span: span.began_ns)
    if not work:
        return ""
    start = max(span.ended_ns for span in own if span.name == "read")
    last = max((span.ended_ns - start) / 1e6 for span in work)
    top, row = _round_up(last), 26
    x = _Axis(top, 150, _WIDE - 8)
    rows = []
    for k, span in enumerate(work):
        begin, end = (span.began_ns - start) / 1e6, (span.ended_ns - start) / 1e6
        colour = _COLOURS.get(span.thread, _SINK)
        late = x(begin) > _WIDE - 120  # no room behind the bar
        rows.append(
            _text(142, k * row + 19, f"{span.thread}: {span.name}", "end")
            + f'<rect x="{x(begin):.1f}" y="{k * row + 6}" width="{max(1.0, x(end) - x(begin)):.1f}" height="17" '
            f'fill="{colour}"/>'
            + _text(x(begin) - 5 if late else x(end) + 5, k * row + 19, f"{span.ms:.2f}", "end" if late else "start")
        )
    high = len(work) * row + _BOTTOM
    ticks = "".join(
        f'<path class=grid d="M{x(t):.1f} 0V{high - _BOTTOM + 2}"/>{_text(x(t), high - 10, f"{t:g} ms", "mid")}'
        for t in _ticks(top)
        if x(t) < _WIDE - 20
    )
    return _plot(ticks + "".join(rows), high)


@dataclass(frozen=True)
class _Axis:
    """Where a value from 0 to `top` lies in the plot, in its units; what is more lies at the end."""

    top: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (self.end - self.start) * min(float(value), self.top) / self.top


def _plot(content: str, high: int = _HIGH) -> str:
    return f'<svg viewBox="0 0 {_WIDE} {high}" role=img>{content}</svg>'


def _text(x: float, y: float, words: str, where: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class={where}>{escape(words)}</text>'


def _grid_y(top: float, y: _Axis, unit: str) -> str:
    return "".join(
        f'<path class=grid d="M{_LEFT} {y(t):.1f}H{_WIDE - 8}"/>{_text(_LEFT - 6, y(t) + 4, f"{t:g} {unit}", "end")}'
        for t in _ticks(top)
    )


def _grid_x(top: float, x: _Axis, unit: str) -> str:
    return "".join(_text(x(t), _HIGH - 8, f"{t:g} {unit}", "mid") for t in _ticks(top, 8) if x(t) < _WIDE - 20)


def _ticks(top: float, about: int = 5) -> list[float]:
    step = _round_up(top / about)
    return [round(k * step, 6) for k in range(int(top / step + 1e-9) + 1)]


def _round_up(value: float) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten."""
    power = 10.0 ** np.floor(np.log10(max(value, 1e-9)))
    return float(next(power * k for k in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if power * k >= value - 1e-12))


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    cells = "".join("<tr>" + "".join(f"<td>{escape(str(value))}</td>" for value in row) + "</tr>" for row in rows)
    heads = "".join(f"<th>{escape(text)}</th>" for text in head)
    return f"<table>{f'<tr>{heads}</tr>' if any(head) else ''}{cells}</table>"


_STYLE = """<style>
:root{--ink:#1c2128;--faint:#68707c;--paper:#fff;--line:#e3e6ea;--dot:#3b82c4;--mark:#c2452d}
@media(prefers-color-scheme:dark){
:root{--ink:#e6e8eb;--faint:#98a0ab;--paper:#16191e;--line:#2b3037;--dot:#64a8e8;--mark:#f0795f}}
body{font:15px/1.45 system-ui,sans-serif;color:var(--ink);background:var(--paper);
max-width:900px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.4rem}h2{font-size:1.05rem;margin:2rem 0 .3rem}p{color:var(--faint);margin:.2rem 0}
.cards{display:flex;flex-wrap:wrap;gap:.6rem}
.cards div{border:1px solid var(--line);border-radius:8px;padding:.5rem .9rem;color:var(--faint);font-size:.85rem}
.cards b{display:block;font-size:1.25rem;color:var(--ink)}
svg{width:100%;height:auto;font:12px system-ui,sans-serif}svg text{fill:var(--faint)}
.end{text-anchor:end}.mid{text-anchor:middle}.grid{stroke:var(--line)}
.limit{stroke:var(--mark);stroke-dasharray:4 3}.dots{fill:var(--dot);fill-opacity:.65}.bars{fill:var(--dot)}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
td,th{padding:.2rem .9rem .2rem 0;border-bottom:1px solid var(--line);text-align:left}
td+td,th+th{text-align:right}th{color:var(--faint);font-weight:500}
</style>"""
