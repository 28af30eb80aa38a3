"""The figures of live/cli/bench/quality.py for the real loop on the shipped clip."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from live.app import loop_of, parts_of
from live.cli.bench.excerpt import Excerpt
from live.cli.bench.quality import Judge
from live.personas import open_persona
from live.run import read_run


def judge_sample(face, finder, *pairs, until_s):
    """The figures of the real loop on the shipped clip, worn `face`; `pairs` are settings as `--set` takes them.

    `finder` is an opened one, of its own: the loop has another.
    """
    judge = Judge(open_persona(face, finder), finder)
    run = read_run(None, list(pairs), {"source": "sample", "face": face, "sink": "null", "fast": True})
    parts = parts_of(run)
    parts.marks = ()  # the figures are of the swap
    wearers = deque()  # a run without real time gives one picture for each that went in, in order
    parts.source = Excerpt(parts.source, end_s=until_s, see=lambda captured: wearers.append(captured.image.copy()))
    parts.sinks = {"judge": _Pairs(wearers, judge)}
    loop_of(run, parts).run()
    return judge.figures()


@dataclass
class _Pairs:
    """Sink: gives the judge each picture with the wearer's."""

    wearers: deque
    judge: Judge

    def open(self, format):
        pass

    def write(self, frame):
        self.judge.add(self.wearers.popleft(), frame.image if frame.state == "live" else None)

    def close(self):
        pass
