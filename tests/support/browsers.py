"""A real browser, and pages that tell what goes wrong in them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import expect, sync_playwright
from support.tools import tool

ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
)  # fmt: skip
PATIENCE = 30_000  # milliseconds


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser that has started; with a camera of its own."""
    path = tool("chromium")
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield started
        started.close()


def opened(browser: Any, url: str, **options: Any) -> tuple[Any, list[str]]:
    """A page, and a list that takes up whatever goes wrong in it."""
    page = browser.new_page(**options)
    page.set_default_timeout(PATIENCE)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on(
        "request",
        lambda request: (
            faults.append(request.url) if not request.url.startswith((url, "blob:", "data:")) else None
        ),
    )
    page.goto(url)
    expect(page.locator("#classes input")).to_have_count(2)
    return page, faults
