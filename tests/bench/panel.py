"""What the panel costs and how late its preview is: `python -m tests.bench.panel {cost|page|latency} [ROUNDS]`.

cost: the age at another sink (null) of ten seconds each, in turn with nobody watching and with a program that watches
15 pictures a second. page: the same with Chromium, which paints in software here, on the same processors. latency:
from a picture's capture, written into it, to its reading from the page's canvas in Chromium; and how soon the page has
its first picture.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import numpy as np

from live.panel import show
from live.panel.preview import Mirror
from live.panel.server import Panel
from live.run import read_run
from tests.browsers import chromium
from tests.time_code import READ_IN_PAGE, burn

WATCH = """
import json, sys
from websockets.sync.client import connect
with connect(sys.argv[1], max_size=None) as talk:
    talk.send(json.dumps({"watch": ["after"]}))
    for said in talk:
        if isinstance(said, bytes):
            talk.send('{"took": true}')
"""
READ = """() => { globalThis.seen = []; const canvas = document.getElementById("after"); let last = null;
  const step = () => { const code = canvas.width < 640 ? null : readCode(canvas, canvas.width);
    if (code !== null && code !== last) seen.push((Date.now() >>> 0) - code);
    last = code; requestAnimationFrame(step); };
  step(); }"""


class Stamped(Mirror):
    """Writes the time into each picture as it is captured: the low 32 bits of Date.now()."""

    def read(self):
        captured = super().read()
        burn(captured.image, int(time.time() * 1000) & 0xFFFFFFFF)
        return captured


@contextmanager
def running():
    run = read_run(None, ["sources.sample.repeat=true"], {"source": "sample", "face": "sample:joel", "sink": ["null"]})
    panel = Panel(run)
    url = panel.open(0)
    thread = threading.Thread(target=panel.show.work)
    thread.start()
    panel.show.start()
    while not (panel.show.state()["figures"] or {"fps": 0})["fps"]:
        time.sleep(0.1)
    time.sleep(3)
    try:
        yield panel, url
    finally:
        panel.show.end()
        thread.join()
        panel.close()


@contextmanager
def watching(how, url):
    if how == "program":
        process = subprocess.Popen([sys.executable, "-c", WATCH, url.replace("http", "ws") + "live"])
        time.sleep(2)
        yield
        process.kill()
        process.wait()
    elif how == "page":
        with chromium() as browser:
            browser.new_page(viewport={"width": 1280, "height": 800}).goto(url)
            time.sleep(4)
            yield
    else:
        time.sleep(2)
        yield


def cost(how, rounds):
    ages = {}
    with running() as (panel, url):
        for _ in range(rounds):
            for who in ("nobody", how):
                with watching(who, url):
                    ledger = panel.show._loop.ledger
                    ledger.restart()
                    time.sleep(10)
                    report = ledger.report()
                age = report["sinks"]["null"]["age_ms"]
                ages.setdefault(who, []).append((age["p50"], age["p95"]))
                say(f"{who}: {report['frames']['per_second']} fps, age p50 {age['p50']}, p95 {age['p95']} ms")
    for who, found in ages.items():
        p50, p95 = np.median(found, 0)
        say(f"median of {rounds}, {who}: p50 {p50:.1f}, p95 {p95:.1f} ms")


def latency():
    show.Mirror = Stamped
    with running() as (_, url), chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        begun = time.monotonic()
        page.goto(url, wait_until="commit")
        while not page.evaluate("document.getElementById('empty')?.hidden"):
            time.sleep(0.02)
        first = time.monotonic() - begun
        page.evaluate(READ_IN_PAGE)
        page.evaluate(READ)
        page.wait_for_timeout(15_000)
        seen = page.evaluate("seen")
    p50, p95 = np.percentile(seen, [50, 95])
    say(f"first picture {first:.2f} s after asking; {len(seen) / 15:.1f} a second, p50 {p50:.0f}, p95 {p95:.0f} ms")


def say(line):
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    mode = sys.argv[1]
    latency() if mode == "latency" else cost({"cost": "program"}.get(mode, mode), int([*sys.argv, "3"][2]))
