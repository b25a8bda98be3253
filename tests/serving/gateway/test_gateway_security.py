"""Keys, rates, origins, headers, what may be fetched, how much is let in, TLS to Serving."""

from __future__ import annotations

import http.server
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from flask.testing import FlaskClient
from support.certificates import self_signed
from support.fake_serving import FakeServing, fake_serving
from support.pictures import jpeg

from sightline.errors import UnavailableError
from sightline_serving.gateway import keys as keys_module
from sightline_serving.gateway.keys import ApiKeys
from sightline_serving.gateway.security import STORE_PATIENCE
from sightline_serving.gateway.serving_connection import connect
from sightline_serving.gateway.settings import Settings

PICTURE = jpeg()
KEY, OTHER = "first-key-0123456789", "other-key-0123456789"


@pytest.fixture
def guarded(serving: FakeServing, make_client: Any, tmp_path: Path) -> FlaskClient:
    file = tmp_path / "keys"
    file.write_text(f"# who may ask\nkitchen: {KEY}\ngarage: {OTHER}  # the old camera\n")
    client: FlaskClient = make_client(serving.target, api_keys=file)
    return client


def test_without_a_key_only_probes_and_pages_answer(guarded: FlaskClient) -> None:
    response = guarded.post("/v1/detect", data=PICTURE)
    assert (response.status_code, response.get_json()["code"]) == (401, "unauthorized")
    assert response.headers["WWW-Authenticate"] == "Bearer"
    for address in ("/v1/models", "/v1/models/droids/card", "/detectors"):
        assert guarded.get(address).status_code == 401, address
    for address in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/"):
        assert guarded.get(address).status_code == 200, address


@pytest.mark.parametrize(
    "headers",
    [{"Authorization": f"Bearer {KEY}"}, {"X-API-Key": OTHER}, {"Doods-Auth-Key": KEY}],
)
def test_each_way_to_send_a_key(guarded: FlaskClient, headers: dict[str, str]) -> None:
    assert guarded.post("/v1/detect", data=PICTURE, headers=headers).status_code == 200


def test_the_name_is_logged_and_the_key_is_not(
    guarded: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        for key in (KEY, "wrong-key-0123456789"):
            guarded.post(
                "/v1/detect", data=PICTURE, headers={"X-API-Key": key, "X-Request-ID": f"by-{key[:5]}"}
            )
        guarded.get("/metrics")  # counts, and logs, what was asked before it
    # by its id: what an application that is gone had still to book comes in between
    lines = {getattr(record, "request_id", None): vars(record) for record in caplog.records}
    assert (lines["by-first"]["caller"], lines["by-wrong"]["caller"]) == ("kitchen", None)
    assert not any("0123456789" in str(vars(record)) for record in caplog.records)


def test_the_file_is_read_again_when_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys_module, "LOOK_EVERY", 0.0)
    file = tmp_path / "keys"
    file.write_text(f"kitchen: {KEY}\n")
    keys = ApiKeys(file)
    assert (keys.owner(KEY), keys.owner(OTHER)) == ("kitchen", None)
    fresh = tmp_path / "fresh"
    fresh.write_text(f"garage: {OTHER}\n")
    fresh.replace(file)
    assert (keys.owner(KEY), keys.owner(OTHER)) == (None, "garage")
    file.write_text("broken")
    assert keys.owner(OTHER) == "garage", "a file that cannot be read changes nothing"


@pytest.mark.parametrize("text", ["kitchen", ": 0123456789abcdef", "kitchen: short"])
def test_a_wrong_line_is_named_by_number_and_not_by_text(tmp_path: Path, text: str) -> None:
    file = tmp_path / "keys"
    file.write_text(f"good: {KEY}\n{text}\n")
    with pytest.raises(ValueError, match="line 2") as caught:
        ApiKeys(file)
    assert KEY not in str(caught.value)


def test_a_file_without_a_key_is_told_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "keys"
    file.write_text("# all were taken back\n")
    assert ApiKeys(file).owner(KEY) is None
    assert f"{file} holds no API key" in caplog.text


def test_rates_are_held_for_each_key(
    guarded: FlaskClient, serving: FakeServing, make_client: Any, tmp_path: Path
) -> None:
    client = make_client(serving.target, api_keys=tmp_path / "keys", rate_limit="2/minute")
    mine, theirs = {"X-API-Key": KEY}, {"X-API-Key": OTHER}
    statuses = [client.post("/v1/detect", data=PICTURE, headers=mine).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
    refused = client.post("/v1/detect", data=PICTURE, headers=mine)
    assert refused.get_json()["code"] == "rate_limited"
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert client.post("/v1/detect", data=PICTURE, headers=theirs).status_code == 200
    assert client.get("/healthz").status_code == 200


def test_rates_by_address_behind_a_proxy(serving: FakeServing, make_client: Any) -> None:
    client = make_client(serving.target, rate_limit="1/minute", proxies=1)

    def ask(address: str) -> int:
        return int(client.get("/v1/models", headers={"X-Forwarded-For": address}).status_code)

    assert [ask("10.0.0.1"), ask("10.0.0.1"), ask("10.0.0.2")] == [200, 429, 200]


def test_origins(serving: FakeServing, make_client: Any) -> None:
    client = make_client(serving.target, cors_origins=("https://ours.example",), rate_limit="1/minute")
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "X-API-Key"}
    ours = client.options("/v1/detect", headers={"Origin": "https://ours.example", **asked})
    assert ours.headers["Access-Control-Allow-Origin"] == "https://ours.example"
    assert "POST" in ours.headers["Access-Control-Allow-Methods"]
    theirs = client.options("/v1/detect", headers={"Origin": "https://theirs.example", **asked})
    assert "Access-Control-Allow-Origin" not in theirs.headers
    client.get("/v1/models", headers={"Origin": "https://ours.example"})
    limited = client.get("/v1/models", headers={"Origin": "https://ours.example"})
    assert limited.status_code == 429
    readable = limited.headers["Access-Control-Expose-Headers"].split(", ")
    assert {"Retry-After", "X-Request-ID"} <= set(readable), "a page learns when to try again"


@pytest.mark.parametrize("address", ["/v1/models", "/", "/docs", "/nix", "/metrics"])
def test_headers_that_keep_a_browser_safe(client: FlaskClient, address: str) -> None:
    headers = client.get(address).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]


class _Files(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/picture.jpg")
            self.end_headers()
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(PICTURE if self.path == "/picture.jpg" else bytes(100_000))

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def web() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Files) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_addresses_are_fetched_from_allowed_hosts_only(
    serving: FakeServing, make_client: Any, web: str
) -> None:
    def ask(client: FlaskClient, address: str) -> tuple[int, str]:
        response = client.post("/v1/detect", json={"url": address})
        return response.status_code, response.get_json().get("code", "")

    closed = make_client(serving.target)
    assert ask(closed, f"{web}/picture.jpg") == (400, "invalid_option")
    client = make_client(serving.target, url_hosts=("127.0.0.1",), max_body=50_000)
    assert ask(client, f"{web}/picture.jpg") == (200, "")
    assert ask(client, f"{web}/moved") == (400, "no_image"), "a redirect may lead anywhere"
    assert ask(client, f"{web}/large") == (413, "body_too_large")
    assert ask(client, "http://127.0.0.1:1/x") == (400, "no_image")
    for strange in (
        "http://localhost/x",
        "file:///etc/passwd",
        "http://127.0.0.1@evil.example/x",
        "nonsense",
    ):
        assert ask(client, strange) == (400, "invalid_option"), strange


def test_no_more_are_let_in_than_the_bound(serving: FakeServing, make_client: Any) -> None:
    client = make_client(serving.target, max_in_flight=2, threads=1)
    client.post("/v1/detect", data=PICTURE)
    serving.behaviour.delay = 0.5
    app = client.application

    def ask(_: int) -> tuple[int, bool]:
        response = app.test_client().post("/v1/detect", data=PICTURE)
        return response.status_code, "Retry-After" in response.headers

    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(ask, range(5)))
    assert sorted(answers) == [(200, False)] * 2 + [(503, True)] * 3
    assert serving.predicts == 3, "those that were refused cost Serving nothing"
    assert client.post("/v1/detect", data=PICTURE).status_code == 200


def test_mutual_tls_to_serving(tmp_path: Path) -> None:
    authority = trustme.CA()
    leaf = authority.issue_cert("127.0.0.1")
    ca, certificate, key = tmp_path / "ca", tmp_path / "certificate", tmp_path / "key"
    authority.cert_pem.write_to_path(ca)
    leaf.cert_chain_pems[0].write_to_path(certificate)
    leaf.private_key_pem.write_to_path(key)
    pair = [(key.read_bytes(), certificate.read_bytes())]
    server_side = grpc.ssl_server_credentials(pair, ca.read_bytes(), require_client_auth=True)
    with fake_serving(credentials=server_side) as server:
        plain = {"serving": server.target, "model": "droids", "timeout": 3}
        with connect(Settings(**plain, tls_ca=ca, tls_certificate=certificate, tls_key=key)) as detector:
            assert detector.detect(PICTURE).detections
        for settings in (Settings(**plain, tls_ca=ca), Settings(**plain)):
            with connect(settings) as detector, pytest.raises(UnavailableError):
                detector.detect(PICTURE)


def test_tls_settings_belong_together(tmp_path: Path) -> None:
    own = self_signed(tmp_path)
    with pytest.raises(ValueError, match="belong together"):
        Settings(model="droids", tls_certificate=own.cert)
    with pytest.raises(ValueError, match="needs SIGHTLINE_TLS_CA"):
        Settings(model="droids", tls_certificate=own.cert, tls_key=own.key)
    with pytest.raises(ValueError, match="no certificate and its key"):
        Settings(model="droids", tls_certificate=own.cert, tls_key=own.cert, tls_ca=own.cert)
    Settings(model="droids", tls_certificate=own.cert, tls_key=own.key, tls_ca=own.cert)


def test_a_store_of_rates_that_is_away_limits_nobody(
    serving: FakeServing, make_client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    client = make_client(serving.target, rate_limit="1/minute", rate_store="redis://127.0.0.1:1")
    assert [client.post("/v1/detect", data=jpeg()).status_code for _ in range(2)] == [200, 200]
    assert "their store does not answer" in caplog.text


def test_a_store_of_rates_that_hangs_holds_up_nobody(serving: FakeServing, make_client: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hung:  # takes connections and says nothing
        store = f"redis://127.0.0.1:{hung.getsockname()[1]}"
        client = make_client(serving.target, rate_limit="1/minute", rate_store=store)
        began = time.monotonic()
        assert [client.post("/v1/detect", data=jpeg()).status_code for _ in range(10)] == [200] * 10
        assert time.monotonic() - began < 10 * STORE_PATIENCE, "after the first it is left alone for a while"
