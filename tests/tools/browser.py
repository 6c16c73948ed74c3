"""A headless Chromium for tests of the report's page, or the reason why there is none."""

from __future__ import annotations

import os
import shutil
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def start() -> tuple[Any, Any]:
    """(playwright, browser); skips the test where one of them is missing."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        pytest.skip("no playwright: pip install -e '.[browser]'")
    path = os.environ.get("GRAPHFLOW_TEST_BROWSER") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("no Chromium: apt-get install chromium, or say where in GRAPHFLOW_TEST_BROWSER")
    driver = sync_playwright().start()
    try:
        return driver, driver.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
    except Exception as error:  # whatever keeps a browser from starting on this machine
        driver.stop()
        pytest.skip(f"{path} does not start: {str(error).splitlines()[0]}")


class Page:
    """One opened report. Everything that the console says is kept in `said`."""

    def __init__(self, browser: Any, path: str, scheme: str = "light") -> None:
        self.context = browser.new_context(color_scheme=scheme, viewport={"width": 1440, "height": 900}, offline=True)
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        self.page.goto(f"file://{path}")
        self.page.wait_for_selector("main[data-ready]")

    def go(self, hash_: str) -> None:
        """Follow a link within the page and wait until its view is drawn."""
        self.page.evaluate("h => { location.hash = h; }", hash_)
        self.drawn(hash_)

    def drawn(self, hash_: str) -> None:
        """Wait until the view of an address is drawn."""
        self.page.wait_for_function("h => document.querySelector('main').dataset.ready === h", arg=hash_)

    def first_paint(self) -> float:
        """Milliseconds from the start of navigation to the first contentful paint; waits for it (W3C Paint Timing)."""
        return float(
            self.page.evaluate(
                """() => new Promise(found => new PerformanceObserver(list => {
                    const entry = list.getEntriesByName('first-contentful-paint')[0];
                    if (entry) found(entry.startTime);
                }).observe({type: 'paint', buffered: true}))"""
            )
        )

    @property
    def view(self) -> str:
        return str(self.page.get_attribute("main", "data-view"))

    @property
    def address(self) -> str:
        return str(self.page.evaluate("location.hash"))

    def close(self) -> None:
        self.context.close()
        assert self.said == [], self.said
