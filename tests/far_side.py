"""A program of its own at the far side: watches the camera and listens to the microphone as other programs do.

    python -m tests.far_side SECONDS WIDTH HEIGHT CAMERA [MICROPHONE]

It reads them through GStreamer and pw-record, and prints as JSON: `pictures` [arrival in ns, number in the pixels (None
where there is none), mean grey], `clicks` [arrival in ns].
"""

import json
import subprocess
import sys
import threading
import time

import numpy as np

from tests.doubles import read_number

RATE = 48_000


def watch(camera, width, height, pictures):
    source = f"gst-launch-1.0 -q pipewiresrc target-object={camera}"
    command = f"{source} ! videoconvert ! video/x-raw,format=BGR ! fdsink fd=1 sync=false"
    program = subprocess.Popen(command.split(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    threading.Thread(target=read_pictures, args=(program.stdout, width, height, pictures), daemon=True).start()
    return program


def read_pictures(pipe, width, height, pictures):
    while len(data := pipe.read(width * height * 3)) == width * height * 3:
        now = time.monotonic_ns()
        image = np.frombuffer(data, np.uint8).reshape(height, width, 3)
        pictures.append((now, read_number(image), float(image[::8, ::8].mean())))


def listen(microphone, clicks):
    args = ["pw-record", "--target", microphone, "--rate", str(RATE), "--channels", "2", "--format", "f32",
            "--latency", "256", "-"]  # fmt: skip
    program = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    threading.Thread(target=read_sound, args=(program.stdout, clicks), daemon=True).start()
    return program


def read_sound(pipe, clicks):
    quiet_ns, last, rest = 300_000_000, 0, b""
    while came := pipe.read1(65536):
        now, data = time.monotonic_ns(), rest + came
        whole = len(data) // 8 * 8
        sound, rest = np.frombuffer(data[:whole], np.float32)[::2], data[whole:]
        loud = np.flatnonzero(sound > 0.3)
        if loud.size:
            heard = now - int((len(sound) - loud[0]) * 1e9 / RATE)
            if heard - last > quiet_ns:
                clicks.append(heard)
            last = heard


def main(seconds, width, height, camera, microphone=None):
    pictures, clicks = [], []
    programs = [watch(camera, int(width), int(height), pictures)]
    if microphone:
        programs.append(listen(microphone, clicks))
    time.sleep(float(seconds))
    for program in programs:
        program.kill()
    json.dump({"pictures": pictures, "clicks": clicks}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
