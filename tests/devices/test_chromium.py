"""A browser that looks at the virtual camera: Chromium's getUserMedia, as meeting sites use it."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time

import cv2
import numpy as np
import pytest

from tests.devices.bed import VIRTUAL
from tests.devices.clip import faces
from tests.devices.consumer import BARE_BELOW, judge

START_S = 180
# Draws the camera at its own size once a second and sends the pictures to the server.
PAGE = """<!doctype html><video id=v autoplay muted playsinline></video><script>
(async () => {
  const told = {devices: [], pictures: []};
  try {
    const any = await navigator.mediaDevices.getUserMedia({video: true});  // names are told only after that
    any.getTracks().forEach(track => track.stop());
    const cameras = (await navigator.mediaDevices.enumerateDevices()).filter(d => d.kind === 'videoinput');
    told.devices = cameras.map(d => d.label);
    const chosen = cameras.find(d => d.label.startsWith('doppelcam'));
    const stream = await navigator.mediaDevices.getUserMedia(
      {video: {deviceId: {exact: chosen.deviceId}, width: 1280, height: 720}});
    told.label = stream.getVideoTracks()[0].label;
    told.size = stream.getVideoTracks()[0].getSettings();
    v.srcObject = stream;
    await v.play();
    const canvas = document.createElement('canvas');
    canvas.width = v.videoWidth; canvas.height = v.videoHeight;
    for (let i = 0; i < 8; i++) {
      await new Promise(done => setTimeout(done, 700));
      canvas.getContext('2d').drawImage(v, 0, 0);
      told.pictures.push(canvas.toDataURL('image/jpeg', 0.95));
    }
  } catch (error) { told.error = String(error); }
  await fetch('/told', {method: 'POST', body: JSON.stringify(told)});
})();
</script>"""


def serve(folder):
    """Serves the page on loopback (a camera needs a secure place) and gives what it posts back."""
    from http.server import BaseHTTPRequestHandler, HTTPServer

    told = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(PAGE.encode())

        def do_POST(self):
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args):
            pass

    return HTTPServer(("127.0.0.1", 0), Handler), told


@pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium is not installed")
def test_chromium_lists_doppelcam_and_shows_the_swapped_face(feed, doppelcam, look, processes, kept, record_property):
    feed()
    running = doppelcam("--sink", f"virtual:{VIRTUAL}")
    consumer = look(VIRTUAL)
    consumer.until("live", START_S)
    consumer.close()
    server, told = serve(kept)
    server.timeout = 1
    words = (
        "chromium --headless --no-sandbox --disable-gpu --no-zygote --no-first-run --disable-background-networking"
        " --disable-component-update --disable-sync --disable-quic --use-fake-ui-for-media-stream"
        f" --user-data-dir=/run/chromium http://127.0.0.1:{server.server_port}/"
    )
    with (kept / "chromium.log").open("wb") as log:
        processes.append(subprocess.Popen(words.split(), stdout=log, stderr=log))
    end = time.monotonic() + 180
    while not told and time.monotonic() < end:
        server.handle_request()
    assert told, (kept / "chromium.log").read_text()[-3000:]
    (answer,) = told
    assert "error" not in answer
    assert answer["label"].startswith("doppelcam")
    record_property("devices", answer["devices"])
    files = [base64.b64decode(picture.partition(",")[2]) for picture in answer["pictures"]]
    (kept / "chromium.jpg").write_bytes(files[-1])
    pictures = [cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_GRAYSCALE) for file in files]
    seen = [judge(picture, faces()) for picture in pictures]
    record_property("label", answer["label"])
    record_property("differences", [f.difference and round(f.difference, 1) for f in seen])
    # The browser leaves the one processor so little time that covers may come in between.
    assert {f.kind for f in seen} <= {"live", "torn", "cover"}
    assert len({f.number for f in seen if f.kind == "live"}) > 1
    assert all(f.difference is None or f.difference > BARE_BELOW for f in seen)
    assert running.end() == 0, running.said()
