"""The page in hands that are quick, offline, on a phone, without a mouse, or without JavaScript."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect
from support.browsers import opened
from support.fake_serving import FakeServing
from support.gateways import running
from support.videos import write_video

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

DROP = """([selector, files]) => {
  const carried = new DataTransfer();
  for (const [name, base64] of files) {
    carried.items.add(new File([Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))], name));
  }
  if (!files.length) carried.items.add("some words", "text/plain");
  const event = new DragEvent("drop", { dataTransfer: carried, bubbles: true, cancelable: true });
  document.querySelector(selector).dispatchEvent(event);
  return event.defaultPrevented;
}"""


def webm(path: Path) -> Path:
    return write_video(path, 50, "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8")


def test_files_are_taken_wherever_they_are_dropped(
    browser: Any, serving: FakeServing, files: list[Path]
) -> None:
    sent = [[path.name, base64.b64encode(path.read_bytes()).decode()] for path in files]
    with running(serving.target) as gateway:
        page, faults = opened(browser, gateway.url)
        assert page.evaluate(DROP, ["aside", sent[1:]]), "else the browser leaves the page for the file"
        expect(page.locator("#found tbody tr")).to_have_count(1)
        expect(page.locator("#count")).to_have_text("1 object")
        assert page.evaluate(DROP, ["#drop", sent])
        expect(page.locator("#found tbody tr")).to_have_count(2)
        expect(page.locator("#count")).to_have_text("2 objects")
        assert not page.evaluate(DROP, ["#drop", []]), "words are no file, and what is shown stays"
        assert page.locator("#strip li").count() == 2
        page.set_input_files("#files", str(files[1]))
        assert page.evaluate("document.querySelector('#files').value") == "", "it can be chosen again"
        expect(page.locator("#found tbody tr")).to_have_count(1)
        assert faults == []


def test_what_was_chosen_last_is_what_is_looked_at(
    browser: Any, serving: FakeServing, files: list[Path], tmp_path: Path
) -> None:
    """Though the picture before it takes the browser longer to decode."""
    video = webm(tmp_path / "v.webm")
    with running(serving.target) as gateway:
        page, faults = opened(browser, gateway.url)
        page.evaluate(
            """() => {
              HTMLImageElement.prototype.decode = () => new Promise((resume) => setTimeout(resume, 500))
                .then(() => { document.body.dataset.decoded = "once"; });
            }"""
        )
        page.set_input_files("#files", [str(files[0]), str(video)])
        page.locator("body").press("ArrowRight")
        expect(page.locator("body")).to_have_attribute("data-decoded", "once")
        expect(page.locator("#status")).to_have_text("10 frames looked at")
        asked = serving.predicts
        page.locator("body").press("ArrowLeft")
        expect(page.locator("#status")).to_contain_text("version 1")
        page.locator("body").press("ArrowRight")
        expect(page.locator("#status")).to_have_text("10 frames looked at")
        assert serving.predicts == asked + 1, "the film is not sent twice"
        assert faults == []


def test_a_camera_is_not_left_running_unseen(browser: Any, serving: FakeServing) -> None:
    with running(serving.target) as gateway:
        page, faults = opened(browser, gateway.url)
        page.evaluate(
            """() => {
              window.lent = [];
              const lend = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
              navigator.mediaDevices.getUserMedia = async (wish) => {
                const stream = await lend(wish);
                await new Promise((resume) => setTimeout(resume, 300)); // the user is asked
                window.lent.push(...stream.getTracks());
                document.body.dataset.lent = window.lent.length;
                return stream;
              };
            }"""
        )
        live = "window.lent.filter((track) => track.readyState === 'live').length"
        page.get_by_role("button", name="Camera").dblclick()
        expect(page.locator("body")).to_have_attribute("data-lent", "2")
        expect(page.locator("#status")).to_contain_text("ms a picture")
        assert page.evaluate(live) == 1
        page.get_by_role("button", name="Camera").click()
        assert page.evaluate(live) == 0
        expect(page.locator("#found tbody tr")).to_have_count(0)
        assert page.locator("#invitation").is_visible()
        assert page.locator("#status").inner_text() == ""
        assert faults == []


def test_a_lost_service_and_a_film_that_the_browser_cannot_play_are_told(
    browser: Any, serving: FakeServing, files: list[Path], tmp_path: Path
) -> None:
    with running(serving.target) as gateway:
        page, _ = opened(browser, gateway.url)
        page.set_input_files("#files", str(write_video(tmp_path / "v.avi", 50, "-c:v", "mjpeg")))
        expect(page.locator("#status")).to_contain_text("this browser cannot play it")
        expect(page.locator("#found tbody tr").first).to_be_visible()
        assert '"time": 1.8' in page.locator("#json").text_content(), "of the last frame that was looked at"
        assert page.locator("#invitation").is_visible()
        page.context.set_offline(True)
        page.set_input_files("#files", str(files[0]))
        expect(page.locator("#status")).to_contain_text("cannot be reached")
        expect(page.locator("#status")).to_have_class("failed")


def test_what_one_model_found_is_not_shown_as_anothers(
    browser: Any, serving: FakeServing, files: list[Path]
) -> None:
    with running(serving.target, models="absent") as gateway:
        page, _ = opened(browser, gateway.url)
        page.set_input_files("#files", str(files[0]))
        expect(page.locator("#found tbody tr")).to_have_count(2)
        page.locator("#model").select_option(label="absent (newest)")
        expect(page.locator("#status")).to_have_class("failed")
        expect(page.locator("#found tbody tr")).to_have_count(0)
        assert page.locator("#json").text_content() == ""


def test_the_pages_can_be_read_by_machines_on_phones_and_behind_a_path(
    browser: Any, serving: FakeServing
) -> None:
    with running(serving.target) as gateway:
        page, faults = opened(browser, gateway.url, viewport={"width": 360, "height": 740}, is_mobile=True)
        assert page.locator("h1").count() == 1
        assert page.locator("summary button, summary a").count() == 0, "one thing to press in the other"
        assert page.locator("th:not([scope])").count() == 0
        page.route(
            f"{gateway.url}/behind/**",
            lambda route: route.continue_(url=route.request.url.replace("/behind", "")),
        )
        page.goto(f"{gateway.url}/behind/docs")
        page.get_by_text("/v1/detect", exact=True).click()
        line = page.locator("details[open] pre").inner_text()
        assert line == f"curl --data-binary @FILE '{gateway.url}/behind/v1/detect'"
        assert page.locator("th:text-is('')").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, "nothing hangs over the side"
        assert faults == []

        plain = browser.new_context(java_script_enabled=False).new_page()
        for address in ("", "docs"):
            plain.goto(f"{gateway.url}/{address}")
            assert "needs JavaScript" in plain.locator("body").inner_text()
