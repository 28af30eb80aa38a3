"""Real servers on loopback that pictures come from: HTTP (Motion JPEG, MPEG-TS, HLS, files, junk) and RTSP."""

from __future__ import annotations

import base64
import io
import socket
import subprocess
import threading
import time
from contextlib import suppress
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import cv2

from tests.clips import numbered

SYSTEM_PYTHON = "/usr/bin/python3"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class HttpCamera:
    """Serves /video (Motion JPEG, numbered pictures), /ts (MPEG-TS), and files from `folder`; may ask for a password.

    It can be stopped in mid-stream and started again on the same port.
    """

    def __init__(self, folder=None, fps=50, password=None, silent_after=None):
        self.folder, self.fps, self.password, self.silent_after = folder, fps, password, silent_after
        self.port, self._server = free_port(), None
        self.asked = []

    def url(self, path, user=""):
        return f"http://{user}127.0.0.1:{self.port}/{path}"

    def start(self):
        camera = self
        self._stop = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                camera.asked.append(self.path)
                with suppress(OSError):
                    camera.answer(self)

            def log_message(self, *_):
                pass

        ThreadingHTTPServer.allow_reuse_address = True
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self):
        if self._server is not None:
            self._stop.set()
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def answer(self, handler):
        if self.password is not None:
            wanted = "Basic " + base64.b64encode(self.password.encode()).decode()
            if handler.headers.get("Authorization") != wanted:
                handler.send_response(401)
                handler.send_header("WWW-Authenticate", 'Basic realm="camera"')
                handler.end_headers()
                return
        path = handler.path.partition("?")[0].strip("/")
        file = Path(self.folder or "/nowhere") / path
        if path == "video":
            self._motion_jpeg(handler)
        elif path == "ts":
            self._mpeg_ts(handler)
        elif file.is_file():
            handler.send_response(200)
            handler.send_header("Content-Length", str(file.stat().st_size))
            handler.end_headers()
            handler.wfile.write(file.read_bytes())
        else:
            handler.send_error(404)

    def _pictures(self):
        began = time.monotonic()
        for number in range(10_000):
            wait_s = began + number / self.fps - time.monotonic()
            if self._stop.wait(max(wait_s, 0)):
                return
            if self.silent_after is not None and number >= self.silent_after:
                self._stop.wait()
                return
            yield numbered(number)

    def _motion_jpeg(self, handler):
        handler.send_response(200)
        handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        handler.end_headers()
        for picture in self._pictures():
            data = cv2.imencode(".jpg", picture)[1].tobytes()
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            handler.wfile.write(head.encode() + data + b"\r\n")

    def _mpeg_ts(self, handler):
        handler.send_response(200)
        handler.send_header("Content-Type", "video/mp2t")
        handler.end_headers()
        out = io.BytesIO()
        with av.open(out, "w", format="mpegts") as container:
            video = container.add_stream("libx264", rate=Fraction(self.fps))
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
            video.options = {"preset": "ultrafast", "tune": "zerolatency", "g": "10"}
            for picture in self._pictures():
                container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
                handler.wfile.write(out.getvalue())
                out.seek(0)
                out.truncate()


def write_hls(folder, pictures, fps=25):
    """A finished HLS playlist of these pictures in `folder`."""
    with av.open(str(folder / "list.m3u8"), "w", format="hls", options={"hls_time": "1"}) as container:
        video = container.add_stream("libx264", rate=fps)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.options = {"preset": "ultrafast", "g": str(fps)}
        for picture in pictures:
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(video.encode(None))


class RtspCamera:
    """GStreamer's RTSP server with one camera, rtsp://me:secret@.../cam; it can be killed and started again."""

    def __init__(self):
        self.port, self._process = free_port(), None

    @staticmethod
    def missing():
        """Why it cannot run here, or ""."""
        if not Path(SYSTEM_PYTHON).exists():
            return "there is no /usr/bin/python3"
        probe = (
            "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer, Gst;"
            "Gst.init(None); assert Gst.ElementFactory.find('x264enc') and Gst.ElementFactory.find('rtph264pay')"
        )
        done = subprocess.run([SYSTEM_PYTHON, "-c", probe], capture_output=True, text=True, check=False)
        return "" if done.returncode == 0 else "GStreamer's RTSP server is not installed: gir1.2-gst-rtsp-server-1.0"

    def url(self, user="me:secret@", path="cam"):
        return f"rtsp://{user}127.0.0.1:{self.port}/{path}"

    def start(self):
        script = Path(__file__).with_name("rtsp_server.py")
        self._process = subprocess.Popen(
            [SYSTEM_PYTHON, str(script), str(self.port), "me", "secret"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert self._process.stdout.readline() == "ready\n"
        return self

    def kill(self):
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()
        self._process = None
