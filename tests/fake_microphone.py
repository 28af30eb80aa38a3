"""A program of its own: a microphone in PipeWire that clicks at every whole second of CLOCK_MONOTONIC.

python -m tests.fake_microphone NAME [SECONDS]
"""

import sys
import time
from functools import partial

import numpy as np

from live.pipewire import OUT_OF, Stream
from live.sound.microphone import _OFFER, RATE
from live.sound.tape import Line

BLOCK = 480
CLICK = 96


def click(first_ns, inside, wanted):
    """Write stereo sound, the first sample of which is to be heard at `first_ns`."""
    count = min(wanted or BLOCK, len(inside) // 8)
    times = first_ns + np.arange(count) * (10**9 / RATE)
    sound = np.repeat((times % 10**9 < CLICK * 10**9 / RATE).astype(np.float32) * 0.8, 2)
    inside[: count * 8] = sound.view(np.uint8)
    return count


def main(name, seconds=60.0):
    properties = {
        "media.class": "Audio/Source",
        "node.name": name,
        "node.description": name,
        "node.latency": f"{BLOCK}/{RATE}",
        "node.group": "pipewire.dummy",  # the session's own clock drives it, as a sound card does elsewhere
        "priority.session": "2000",
    }
    stream = Stream(name, OUT_OF, properties, _OFFER, 0, unit=8)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    line, given, end = Line(RATE), 0, time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.003)
        if not stream.streaming:
            line, given = Line(RATE), 0
            continue
        _, waiting, now_ns = stream.times()
        if given:
            line.observe(given - waiting, now_ns)
        while waiting < 2 * BLOCK:
            first_ns = line.time_at(given) if line.known else time.perf_counter_ns()
            if not (count := stream.put(partial(click, first_ns))):
                break
            given, waiting = given + count, waiting + count
    stream.close()


if __name__ == "__main__":
    main(sys.argv[1], *map(float, sys.argv[2:]))
