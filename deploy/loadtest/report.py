# SPDX-License-Identifier: Apache-2.0
"""What was measured, as Markdown with one table a scenario, and a plot each as SVG: how many instances were done after
how long, one line a controller. And how far it is while it lasts."""
import html
import math
import os
import sys
import time

COLOURS = ("#1b6ac9", "#d1495b", "#3a7d44", "#8d6a9f", "#c98a1b", "#444444")
WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 640, 320, 60, 46, 28, 20


def percentile(values, p):
    """The smallest value that p percent of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(p / 100 * len(ordered)) - 1)]


def seconds(s):
    return f"{1000 * s:.0f} ms" if s < 10 else f"{s:.1f} s"


class Progress:
    """Count, rate and time left on stderr: on a terminal one line that is written over, elsewhere a plain line now and then."""

    def __init__(self, what, to=sys.stderr, clock=time.monotonic):
        self.what, self.to, self.clock, self.terminal = what, to, clock, to.isatty()
        self.began, self.told, self.shown = clock(), None, False

    def tell(self, done, total):
        now = self.clock()
        first, each = (1, 0.2) if self.terminal else (10, 10)
        if now - self.began < first or (self.told is not None and now - self.told < each):
            return
        rate = done / (now - self.began)
        text = f"{self.what}: {done} of {total}" + (f", {rate:.0f}/s, {math.ceil((total - done) / rate)} s left" if done else "")
        self.to.write(f"\r\x1b[K{text}" if self.terminal else text + "\n")
        self.to.flush()
        self.told, self.shown = now, self.terminal

    def end(self):
        if self.shown:
            self.to.write("\r\x1b[K")
            self.to.flush()


def ticks(largest):
    """Round numbers up to the largest, four to eight of them."""
    step = 10 ** math.floor(math.log10(largest))
    while largest / step < 4:
        step /= 2
    return [i * step for i in range(int(largest / step) + 1)]


def svg(title, results):
    """Cumulative distribution of the latencies of several results."""
    largest = max(max(r.latencies) for r in results) or 0.001
    x = lambda v: LEFT + (WIDTH - LEFT - RIGHT) * v / largest
    y = lambda share: HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * share
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="12">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>', f'<text x="{LEFT}" y="18" font-weight="bold">{html.escape(title)}</text>']
    for t in ticks(largest):
        out.append(f'<line x1="{x(t):.1f}" y1="{TOP}" x2="{x(t):.1f}" y2="{HEIGHT - BOTTOM}" stroke="#ddd"/>')
        out.append(f'<text x="{x(t):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{seconds(t)}</text>')
    for share in (0, 0.25, 0.5, 0.75, 1):
        out.append(f'<line x1="{LEFT}" y1="{y(share):.1f}" x2="{WIDTH - RIGHT}" y2="{y(share):.1f}" stroke="#ddd"/>')
        out.append(f'<text x="{LEFT - 6}" y="{y(share) + 4:.1f}" text-anchor="end">{100 * share:.0f}%</text>')
    for i, r in enumerate(results):
        points, n = [f"{x(0):.1f},{y(0):.1f}"], len(r.latencies)
        for k, v in enumerate(sorted(r.latencies)):
            points += [f"{x(v):.1f},{y(k / n):.1f}", f"{x(v):.1f},{y((k + 1) / n):.1f}"]
        colour = COLOURS[i % len(COLOURS)]
        out.append(f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out.append(f'<text x="{LEFT + 130 * i}" y="{HEIGHT - 8}" fill="{colour}">{html.escape(r.controller)}</text>')
    return "\n".join(out + ["</svg>", ""])


def table(results):
    rows = ["| controller | measured | p50 | p95 | largest | in all | writes of children | of instances | processor | memory |",
            "|---|---|---|---|---|---|---|---|---|---|"]
    for r in results:
        cpu, rss = (f"{r.cpu_s:.2f} s", f"{r.rss_kib / 1024:.1f} MiB") if r.rss_kib else ("-", "-")
        cells = [r.controller, str(len(r.latencies)), *(seconds(percentile(r.latencies, p)) for p in (50, 95, 100)), seconds(r.took_s),
                 str(r.child_writes), str(r.instance_writes), cpu, rss]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def write(folder, facts, scenarios, results):
    """facts: (name, text) pairs; scenarios: (name, what it is) in order; results: all of them. Returns the report's path."""
    os.makedirs(folder, exist_ok=True)
    text = ["# Load test", "", *(f"- {name}: {value}" for name, value in facts), ""]
    for name, words in scenarios:
        own = [r for r in results if r.scenario == name]
        if not own:
            continue
        with open(os.path.join(folder, name + ".svg"), "w") as f:
            f.write(svg(name, own))
        text += [f"## {name}", "", words, "", table(own), "", f"![{name}]({name}.svg)", ""]
    path = os.path.join(folder, "report.md")
    with open(path, "w") as f:
        f.write("\n".join(text))
    return path
