"""The harness on real parts: a real server, real load, the kernel's own figures."""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.answers import DifferentBoxesError, must_agree
from bench.floor import answer, request_bytes
from bench.kept import Kept
from bench.load import Generator, Load
from bench.null_serving import MODEL, SIDE, fixed_detections, handlers
from bench.pictures import Size, draw, jpeg, multipart, turned
from bench.process_tree import ProcessTree
from bench.report import Aim, Section, Table, write
from bench.rounds import Summary, summarise
from sightline import Serving
from sightline.contract import OUTPUT_BOXES
from sightline.images import decode
from sightline.wire import serving_pb2 as wire

SMALL = Size("320x180", 320, 180)


class _Counter(BaseHTTPRequestHandler):
    """Answers with the length of what came; every third request with 503."""

    protocol_version = "HTTP/1.1"
    seen: list[int]
    lock = threading.Lock()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.lock:
            self.seen.append(len(body))
            number = len(self.seen)
        told = b"{}" * 20_000  # longer than one read
        self.send_response(503 if number % 3 == 0 else 200)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def counting() -> Iterator[tuple[int, list[int]]]:
    handler = type("Handler", (_Counter,), {"seen": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port, handler.seen
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_closed_loop_sends_each_body_in_turn_and_counts_refusals(
    counting: tuple[int, list[int]], tmp_path: Path
) -> None:
    port, seen = counting
    for name, size in (("a", 10), ("b", 3_000_000)):
        (tmp_path / name).write_bytes(bytes(size))
    bodies = [str(tmp_path / "a"), str(tmp_path / "b")]
    result = Generator(Load("127.0.0.1", port, "/", bodies, clients=3, requests=30)).run()
    assert (result.answered, result.failed) == (20, 10)
    assert len(result.latencies_ms) == 20
    assert sorted(seen) == [10] * 15 + [3_000_000] * 15
    assert result.own_cpu_seconds > 0


def test_an_open_loop_keeps_its_rate_and_its_end(counting: tuple[int, list[int]], tmp_path: Path) -> None:
    port, seen = counting
    (tmp_path / "a").write_bytes(b"x")
    load = Load("127.0.0.1", port, "/", [str(tmp_path / "a")], clients=8, rate=1000.0, requests=50)
    result = Generator(load).run()
    assert result.answered + result.failed == len(seen) == 50
    assert result.seconds > 0.02  # 50 arrivals at 1000 a second are not sent at once


def test_the_null_serving_answers_as_the_client_expects_one() -> None:
    from concurrent import futures

    import grpc

    server = grpc.server(futures.ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers(handlers(3))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with Serving(f"127.0.0.1:{port}", model=MODEL) as serving:
            pictures = [np.zeros((40, 50, 3), np.uint8)] * 3
            results = serving.detect_many(pictures)
    finally:
        server.stop(None).wait()
    boxes = fixed_detections(3)[OUTPUT_BOXES][:3]
    assert len(results) == 3
    for result in results:
        assert np.allclose([found.box_normalized for found in result.detections], boxes, atol=1e-6)  # type: ignore[union-attr]
        assert [found.label for found in result.detections] == ["BB-8", "R2-D2", "BB-8"]  # type: ignore[union-attr]


class _Closer(_Counter):
    """Says that it keeps the connection, and closes it after two answers."""

    def do_POST(self) -> None:
        self.answered = getattr(self, "answered", 0) + 1
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")
        self.close_connection = self.answered == 2


@pytest.mark.parametrize("clients", [1, 4])
def test_a_kept_connection_that_the_server_closes_is_opened_anew(tmp_path: Path, clients: int) -> None:
    body = tmp_path / "body"
    body.write_bytes(b"x" * 300_000)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Closer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        load = Load("127.0.0.1", server.server_port, "/", [str(body)], clients=clients, requests=21)
        result = Generator(load).run()
    finally:
        server.shutdown()
        server.server_close()
    assert (result.answered, result.failed) == (21, 0)
    assert result.reconnected >= 21 // 2 - clients


def test_the_floors_request_is_one_that_serving_reads() -> None:
    pixels = np.arange(SIDE * SIDE * 3, dtype=np.uint32).astype(np.uint8).reshape(SIDE, SIDE, 3)
    read = wire.PredictRequest.FromString(request_bytes(pixels))
    assert read.inputs["images"].tensor_content == pixels.tobytes()
    assert [dim.size for dim in read.inputs["images"].tensor_shape.dim] == [1, SIDE, SIDE, 3]


def test_a_turned_picture_is_upright_once_decoded() -> None:
    pixels = draw(SMALL)
    upright, sideways = decode(jpeg(pixels)), decode(turned(pixels))
    assert (sideways.width, sideways.height) == (upright.width, upright.height) == (320, 180)
    assert np.abs(sideways.pixels.astype(int) - upright.pixels).mean() < 3


def test_pictures_are_the_same_everywhere_and_as_large_as_photographs() -> None:
    assert np.array_equal(draw(SMALL), draw(SMALL))
    data = jpeg(draw(Size("1280x720", 1280, 720)))
    assert 0.07 < len(data) / (1280 * 720) < 0.2
    form, content_type = multipart(data)
    assert data in form
    assert content_type.partition("boundary=")[2].encode() in form


def _burn(seconds: float) -> None:
    while time.process_time() < seconds:
        cv2.GaussianBlur(np.zeros((200, 200), np.uint8), (9, 9), 0)


def test_a_trees_cpu_time_holds_its_children_also_after_they_ended() -> None:
    tree = ProcessTree(os.getpid())
    before, own = tree.cpu_seconds(), time.process_time()
    child = multiprocessing.get_context("spawn").Process(target=_burn, args=(1.0,))
    child.start()
    assert tree.count() >= 2
    assert tree.memory().proportional > tree.memory().largest / 2 > 1e6
    child.join(60)
    used = tree.cpu_seconds() - before - (time.process_time() - own)
    assert 0.9 < used < 3  # the child's second, and what starting it took


def test_boxes_that_differ_stop_the_run() -> None:
    good = answer(640, 480)
    assert must_agree("itself", good, good) == 3
    moved = json.loads(json.dumps(good))
    moved["detections"][1]["box_normalized"][2] += 0.1
    with pytest.raises(DifferentBoxesError, match="the peer found"):
        must_agree("the peer", moved, good)
    with pytest.raises(DifferentBoxesError, match="480"):
        must_agree("the peer", answer(480, 640), good)
    with pytest.raises(DifferentBoxesError, match="nothing was compared"):
        must_agree("the peer", {**good, "detections": []}, {**good, "detections": []})


def test_the_report_has_its_aims_tables_and_what_was_not_measured(tmp_path: Path) -> None:
    section = Section(
        "A part",
        ["Words.", Table(["a", "b"], [["x", Summary(1.234, 1.0, 1.5, 3)], ["y", 20_000.0]])],
        [Aim("low enough", 1.2, 1.35), Aim("fast enough", 0.8, 0.9, at_most=False)],
        {"x": Summary(1.0, 1.0, 1.0, 1)},
    )
    text = write(tmp_path, {"cores": 2}, [section], ["a GPU"]).read_text()
    assert "| low enough | 1.20 | at most 1.35 | yes |" in text
    assert "| fast enough | 0.80 | at least 0.9 | **no** |" in text
    assert "| x | 1.23 ±20 % |" in text
    assert "| y | 20000 |" in text
    assert "- a GPU" in text
    data = json.loads((tmp_path / "report.json").read_text())
    assert data["aims"][1] == {"what": "fast enough", "value": 0.8, "limit": 0.9, "reached": False}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.json", "report.md"]


def test_parts_of_an_interrupted_run_are_kept_until_they_are_reported(tmp_path: Path) -> None:
    section = Section("Video", [Table(["a"], [[summarise([1.0, 2.0, 4.0])]])], [Aim("b", 1.0, 2.0)], {"c": 1})
    Kept(quick=True, folder=tmp_path).add("video", section)
    again = Kept(quick=True, folder=tmp_path)
    assert "video" in again and "peers" not in again
    assert again.take("video") == section
    assert "video" not in Kept(quick=False, folder=tmp_path)  # measured less thoroughly
    again.clear()
    assert "video" not in Kept(quick=True, folder=tmp_path)
