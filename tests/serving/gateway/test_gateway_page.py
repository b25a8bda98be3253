"""The page in a real browser: clicks, an upload, the camera, a video, keys, a phone."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
from flask.testing import FlaskClient
from playwright.sync_api import expect
from support.browsers import PATIENCE, opened
from support.fake_serving import FakeServing, FakeVersion
from support.gateways import running
from support.videos import write_video

from sightline_serving.gateway.routes.page import SCRIPTS


def test_the_page_and_its_files_name_no_other_host(client: FlaskClient) -> None:
    for address in (
        "/",
        "/docs",
        "/page/sightline.css",
        "/page/docs.js",
        *(f"/page/{name}.js" for name in SCRIPTS),
    ):
        response = client.get(address)
        assert response.status_code == 200
        assert "http://" not in response.text
        assert "https://" not in response.text
        assert len(response.text) > 300


def test_the_docs_with_a_slash_lead_to_those_without(client: FlaskClient) -> None:
    response = client.get("/docs/")
    assert response.status_code == 308
    assert urljoin("/behind/a/path/docs/", response.headers["Location"]) == "/behind/a/path/docs"


@pytest.fixture
def artefacts(tmp_path: Path) -> Path:
    """Where screenshots go: kept by CI if it names a folder."""
    folder = Path(os.environ.get("SIGHTLINE_TEST_ARTEFACTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def painted(page: Any) -> int:
    """How many pixels of the canvas over the picture are painted on."""
    return int(
        page.evaluate(
            """() => {
              const canvas = document.querySelector("#boxes");
              const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
              let count = 0;
              for (let at = 3; at < data.length; at += 4) count += data[at] > 0;
              return count;
            }"""
        )
    )


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_pictures_are_uploaded_filtered_and_told(
    browser: Any, serving: FakeServing, files: list[Path], artefacts: Path
) -> None:
    serving.models["droids"][2] = FakeVersion()
    with running(serving.target) as gateway:
        page, faults = opened(browser, gateway.url)
        page.set_input_files("#files", [str(path) for path in files])
        expect(page.locator("#found tbody tr")).to_have_count(2)
        assert page.locator("#found tbody tr").first.inner_text().split()[0] == "R2-D2"
        both = painted(page)
        assert both > 500
        page.screenshot(path=str(artefacts / "page.png"))

        asked = serving.predicts
        page.locator("#threshold").fill("0.7")  # the slider acts at once, without asking again
        assert page.locator("#found tbody tr").count() == 1
        assert 0 < painted(page) < both
        assert "threshold=0.70" in page.locator("#curl").inner_text()
        page.locator("#threshold").fill("0.5")
        page.get_by_label("BB-8").uncheck()
        assert page.locator("#found tbody tr").count() == 1
        assert "classes=R2-D2" in page.locator("#curl").inner_text()
        page.get_by_label("R2-D2").uncheck()
        assert "classes" not in page.locator("#curl").inner_text(), "none at all cannot be asked for"
        page.get_by_label("R2-D2").check()
        page.get_by_label("BB-8").check()
        assert serving.predicts == asked

        page.get_by_text("JSON", exact=False).first.click()
        assert '"label": "R2-D2"' in page.locator("#json").text_content()
        assert "--data-binary '@bright.jpg'" in page.locator("#curl").inner_text()

        page.locator("body").press("ArrowRight")  # the keyboard turns to the dark picture
        expect(page.locator("#found tbody tr")).to_have_count(1)
        assert "dark.jpg" in page.locator("#curl").inner_text()
        page.locator("body").press("ArrowLeft")
        expect(page.locator("#found tbody tr")).to_have_count(2)
        for _ in range(3):
            page.locator("body").press("+")
        assert page.locator("#threshold-value").inner_text() == "0.65"

        page.locator("#model").select_option(label="droids version 1")
        expect(page.locator("#status")).to_contain_text("version 1")
        assert "/v1/models/droids/versions/1:detect" in page.locator("#curl").inner_text()
        assert faults == []


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_curl_line_gives_what_is_on_screen(browser: Any, serving: FakeServing, files: list[Path]) -> None:
    with running(serving.target) as gateway:
        page, _ = opened(browser, gateway.url)
        page.set_input_files("#files", str(files[0]))
        expect(page.locator("#found tbody tr")).to_have_count(2)
        page.locator("#threshold").fill("0.8")
        line = page.locator("#curl").inner_text()
        shown = json.loads(page.locator("#json").text_content())
        run = subprocess.run(
            line, shell=True, cwd=files[0].parent, capture_output=True, check=True, timeout=30
        )
        assert json.loads(run.stdout)["detections"] == shown["detections"]


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_lines_can_be_copied_where_the_browser_lends_no_clipboard(
    browser: Any, serving: FakeServing, files: list[Path]
) -> None:
    with running(serving.target) as gateway:
        page, faults = opened(browser, gateway.url)
        page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
        page.evaluate("Object.defineProperty(navigator, 'mediaDevices', {value: undefined})")
        page.set_input_files("#files", str(files[0]))
        expect(page.locator("#found tbody tr")).to_have_count(2)
        page.locator("#copy-curl").click()
        expect(page.locator("#status")).to_contain_text("Ctrl+C")
        assert page.evaluate("String(getSelection())") == page.locator("#curl").inner_text()
        page.get_by_role("button", name="Camera").click()
        expect(page.locator("#status")).to_contain_text("HTTPS")
        assert faults == []


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_camera_and_a_video(browser: Any, serving: FakeServing, tmp_path: Path, artefacts: Path) -> None:
    video = write_video(tmp_path / "v.webm", 50, "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8")
    with running(serving.target) as gateway:
        page, faults = opened(browser, gateway.url)
        page.get_by_role("button", name="Camera").click()
        expect(page.locator("#found tbody tr").first).to_be_visible()
        expect(page.locator("#status")).to_contain_text("ms a picture")
        assert painted(page) > 500
        assert not page.evaluate("document.querySelector('#video').controls"), "nothing to seek"
        page.screenshot(path=str(artefacts / "camera.png"))
        seen = serving.predicts
        assert seen >= 1
        page.get_by_role("button", name="Camera").click()

        page.set_input_files("#files", str(video))
        expect(page.locator("#status")).to_contain_text("10 frames looked at")
        expect(page.locator("#found tbody tr").first).to_be_visible()
        assert painted(page) > 200
        assert "detectVideo" in page.locator("#curl").inner_text()
        assert page.evaluate("document.querySelector('#video').controls")
        page.screenshot(path=str(artefacts / "video.png"))
        assert faults == []


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_phone_a_bad_file_a_key_and_the_docs(
    browser: Any, serving: FakeServing, files: list[Path], tmp_path: Path, artefacts: Path
) -> None:
    keys = tmp_path / "keys"
    keys.write_text("phone: correct-horse-battery\n")
    with running(serving.target, api_keys=keys) as gateway:
        page = browser.new_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
        page.set_default_timeout(PATIENCE)
        page.goto(gateway.url)
        expect(page.locator("#status")).to_contain_text("send your API key")
        page.locator("#key").fill("a-key-of-somebody-else")
        page.get_by_role("button", name="Use").tap()
        expect(page.locator("#status")).to_contain_text("not known")
        page.locator("#key").fill("correct-horse-battery")
        page.get_by_role("button", name="Use").tap()
        expect(page.locator("#classes input")).to_have_count(2)
        expect(page.locator("#status")).to_have_text("")
        expect(page.locator("#status")).not_to_have_class("failed")
        page.set_input_files("#files", str(files[0]))
        expect(page.locator("#found tbody tr")).to_have_count(2)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, "nothing hangs over the side"
        page.screenshot(path=str(artefacts / "phone.png"), full_page=True)
        bad = tmp_path / "bad.jpg"
        bad.write_bytes(b"no picture")
        page.set_input_files("#files", str(bad))
        expect(page.locator("#status")).to_have_class("failed")
        assert "no image" in page.locator("#status").inner_text()
        assert not page.locator("#view").is_visible(), "no torn picture"
        assert page.locator("#invitation").is_visible()
        page.set_input_files("#files", str(files[0]))
        expect(page.locator("#found tbody tr")).to_have_count(2)
        assert page.locator("#picture").is_visible()
        assert "correct-horse" not in page.content()

        docs, faults = browser.new_page(), []
        docs.on("pageerror", lambda error: faults.append(str(error)))
        docs.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        docs.goto(f"{gateway.url}/docs")
        assert docs.locator("h2").first.inner_text() == "detect", "what most readers come for"
        docs.get_by_text("/v1/detect", exact=True).click()
        assert docs.get_by_text("max_detections").first.is_visible()
        assert faults == []
