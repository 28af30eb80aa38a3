"""A webcam for the bed: plays the sample clip with time codes into a loopback camera, 30 frames a second, as YUYV.

python -m tests.devices.feeder /dev/video8          until it is ended; prints "ready" when the first frame is in
"""

from __future__ import annotations

import sys
import time

import cv2
import numpy as np

from live.frame import Format
from live.sinks.virtual_camera.loopback import Loopback
from tests.devices import timecode
from tests.devices.clip import HEIGHT, WIDTH, frames, to_and_fro

FPS = 30


def main(device):
    pictures = [cv2.cvtColor(image, cv2.COLOR_BGR2YUV_YUY2) for image in frames()]
    high = timecode.strip_px(WIDTH)
    for picture in pictures:
        picture[:high, :, 1] = picture[-high:, :, 1] = 128
    camera = Loopback(device, Format(WIDTH, HEIGHT, FPS), "YUYV")
    began, tick = time.monotonic(), 0
    while True:
        picture = pictures[to_and_fro(tick)]
        timecode.burn(picture[:, :, 0], to_and_fro(tick))
        camera.write_bytes(np.ascontiguousarray(picture))
        if tick == 0:
            print("ready", flush=True)  # noqa: T201
        tick += 1
        late = time.monotonic() - began - tick / FPS
        if late > 0.2:  # the bed stood still; do not catch up in a burst
            began += late
        time.sleep(max(-late, 0))


if __name__ == "__main__":
    main(sys.argv[1])
