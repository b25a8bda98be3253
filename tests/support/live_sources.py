"""Live streams for tests: HTTP MJPEG in a thread, and a real RTSP server in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from support.tools import missing
from support.videos import numbered_frames

from sightline.images import encode_jpeg

_SYSTEM_PYTHON = "/usr/bin/python3"  # Debian's bindings of GStreamer are for Debian's Python
_RTSP_SCRIPT = """
import sys, gi
gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
port, path = sys.argv[1:]
server = GstRtspServer.RTSPServer(address="127.0.0.1", service=port)
factory = GstRtspServer.RTSPMediaFactory()
payload = "rtph264pay name=pay0 pt=96 config-interval=1"
factory.set_launch(f"( filesrc location={path} ! qtdemux ! h264parse ! {payload} )")
server.get_mount_points().add_factory("/droids", factory)
if server.attach(None) == 0:
    sys.exit(f"port {port} is taken")
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
"""


@contextmanager
def mjpeg_server(*, fps: float = 50, port: int = 0, cut_after: int | None = None) -> Iterator[str]:
    """Numbered frames as multipart JPEG, endless; gives the address.

    Args:
        fps: pace.
        port: 0 takes a free one.
        cut_after: each connection is cut after so many frames.
    """
    stopping = threading.Event()
    pictures = [encode_jpeg(frame) for frame in numbered_frames(200)]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            sent = 0
            try:
                while not stopping.is_set() and (cut_after is None or sent < cut_after):
                    picture = pictures[sent % len(pictures)]
                    head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(picture)
                    self.wfile.write(head + picture + b"\r\n")
                    sent += 1
                    time.sleep(1 / fps)
            except OSError:
                pass  # the reader has gone

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/stream.mjpg"
    finally:
        stopping.set()
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def rtsp_server(video: Path, *, port: int = 0) -> Iterator[str]:
    """A file played over RTSP at its own pace, from the begin for each who connects; gives the address."""
    bindings = "import gi; gi.require_version('GstRtspServer', '1.0')"
    if subprocess.run([_SYSTEM_PYTHON, "-c", bindings], capture_output=True, check=False).returncode:
        missing("GStreamer's RTSP server is not installed (gir1.2-gst-rtsp-server-1.0, python3-gi)")
    command = [_SYSTEM_PYTHON, "-c", _RTSP_SCRIPT, str(port), str(video)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=sys.stderr, text=True) as process:
        try:
            assert process.stdout is not None
            bound = process.stdout.readline().strip()
            assert bound, "the RTSP server did not start"
            yield f"rtsp://127.0.0.1:{bound}/droids"
        finally:
            process.kill()
