"""Pictures that hold their own number, written into a sink as fast as a camera would."""

from __future__ import annotations

import threading
from contextlib import contextmanager

import numpy as np

from tests.time_code import burn

WIDTH, HEIGHT = 640, 360


def numbered(number, width=WIDTH, height=HEIGHT, behind=None):
    """A blue picture, or a copy of the one `behind`, BGR, with this number burned in."""
    image = np.full((height, width, 3), (200, 120, 40), np.uint8) if behind is None else behind.copy()
    burn(image, number)
    return image


@contextmanager
def feeding(sink, safe_frame, picture=numbered, period_s=1 / 30):
    """Writes `picture(1)`, `picture(2)` and so on; gives a list that holds the newest number."""
    over, newest = threading.Event(), [0]

    def feed():
        while not over.wait(period_s):
            newest[0] += 1
            sink.write(safe_frame(picture(newest[0])))

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield newest
    finally:
        over.set()
        thread.join()
