"""The report's page in a real headless Chromium: opens fast, says nothing on the console, every view by click and by keyboard, links."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from graphflow.tools.recorder import Recorder
from graphflow.tools.report.model import Model
from tests.tools.browser import Page, start
from tests.tools.nets import recorded_cnn, recorded_deep, recorded_unrolled, report

VIEWS = ("overview", "source", "graph", "passes", "kernel", "memory", "timeline")


class Made(NamedTuple):
    path: str
    model: Model
    size: int

    @property
    def first(self) -> dict[str, Any]:
        """The train step."""
        found: dict[str, Any] = self.model.data["signatures"][0]
        return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    driver, started = start()
    yield started
    started.close()
    driver.stop()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    known: dict[str, Made] = {}
    recorders: dict[str, Callable[[], Recorder]] = {"cnn": recorded_cnn, "deep": recorded_deep, "unrolled": recorded_unrolled}

    def make(name: str) -> Made:
        if name not in known:
            path = tmp_path_factory.mktemp("page") / f"{name}.html"
            known[name] = Made(str(path), *report(recorders[name](), name, path))
        return known[name]

    return make


@pytest.fixture
def opened(browser: Any, made: Callable[[str], Made]) -> Iterator[Callable[..., tuple[Page, Made]]]:
    pages: list[Page] = []

    def open_(name: str, scheme: str = "light") -> tuple[Page, Made]:
        one = made(name)
        pages.append(Page(browser, one.path, scheme))
        return pages[-1], one

    yield open_
    for page in pages:
        page.close()  # and sees that the console is empty


@pytest.mark.slow
@pytest.mark.parametrize("name, milliseconds", [("cnn", 1000), ("deep", 2000), ("unrolled", 3000)])
def test_it_is_small_and_paints_soon(opened: Any, name: str, milliseconds: float) -> None:
    page, one = opened(name)
    assert one.size < 8e6
    assert page.first_paint() < milliseconds
    text = Path(one.path).read_text()
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", text), "the page asks for nothing outside itself"


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["cnn", "deep", "unrolled"])
def test_every_view_is_reached_by_click_and_by_key(opened: Any, name: str, scheme: str) -> None:
    page, _ = opened(name, scheme)
    assert page.page.evaluate("document.documentElement.dataset.theme") == scheme
    for number, view in enumerate(VIEWS, 1):
        page.page.click(f"nav a:nth-child({number})")
        page.drawn(f"#/0/{view}")
        assert page.view == view and len(page.page.inner_text("main")) > 40
    for number, view in reversed(list(enumerate(VIEWS, 1))):
        page.page.keyboard.press(str(number))
        page.drawn(f"#/0/{view}")
        assert page.view == view
    before = page.page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.page.keyboard.press("t")
    assert page.page.evaluate("getComputedStyle(document.body).backgroundColor") != before


@pytest.mark.slow
def test_nothing_sticks_out_of_the_window(opened: Any) -> None:
    page, _ = opened("cnn")
    for view in VIEWS:
        page.go(f"#/0/{view}")
        wide = page.page.evaluate("[document.documentElement.scrollWidth, document.querySelector('main').scrollWidth, innerWidth]")
        assert wide[0] <= wide[2] and wide[1] <= wide[2], (view, wide)


@pytest.mark.slow
def test_links_to_operations_kernels_and_buffers_lead_back(opened: Any, browser: Any) -> None:
    page, one = opened("cnn")
    operation = next(op for op in one.first["ops"] if op[1] == "Conv2D")
    name = operation[0].replace("/", "%2F")
    for link, view, sign in [
        (f"#/0/op/{name}", "graph", ".node.on"),
        (f"#/0/kernel/k{operation[8][0]}", "kernel", '.list a[aria-current="true"]'),
        ("#/0/kernel/k1/asm/40", "kernel", ".listings section:last-child .on"),
        ("#/0/buffer/2", "memory", ".block.on"),
        (f"#/0/source/{operation[2]}/{operation[3]}", "source", "tr.picked"),
        ("#/0/passes/capture/fuse", "passes", '.strip button[aria-pressed="true"]'),
    ]:
        page.go(link)
        assert page.view == view and page.page.locator(sign).count() >= 1, link
        again = Page(browser, one.path + link)
        assert again.address == link and again.page.locator(sign).count() >= 1, link
        again.close()


@pytest.mark.slow
def test_from_the_hottest_assembly_line_to_the_source_and_back(opened: Any) -> None:
    page, one = opened("cnn")
    number = max(range(len(one.first["kernels"])), key=lambda k: one.first["kernels"][k]["flops"])
    page.go(f"#/0/kernel/k{number}")
    page.page.click("#hottest")  # one click
    hot = page.page.locator(".listings section:last-child .on").first.inner_text()
    assert "fma" in hot or "fml" in hot or "mul" in hot, hot
    assert page.page.locator(".listings section:first-child .on").count() >= 1, "its statement of the loop IR is lit"
    page.page.click(".trail .to-source a")  # and another
    page.page.wait_for_selector("tr.picked")
    assert page.view == "source"
    line = int(page.address.split("/")[-1])
    kernel = one.first["kernels"][number]
    assert line in {one.first["ops"][k][3] for k in kernel["ops"]}
    chip = f'a.chip:has-text("k{number} ")'  # beside the line are the kernels that took longest, below it those of each of its operations
    page.page.locator(f"tr.picked {chip}, tr.picked + tr.more {chip}").first.click()  # back: one click
    page.page.wait_for_selector(".listings section:last-child .on")
    assert page.view == "kernel" and page.page.locator(".listings section:last-child .on").count() > 3


@pytest.mark.slow
def test_search_finds_and_goes_there_by_keyboard(opened: Any) -> None:
    page, one = opened("unrolled")
    page.page.keyboard.press("/")
    page.page.keyboard.type("gradients tanh_7")
    assert page.page.locator("#found [role=option]").count() >= 1
    page.page.keyboard.press("Enter")
    page.page.wait_for_selector(".node.on")
    assert page.view == "graph" and "Tanh_7" in page.address


@pytest.mark.slow
def test_scopes_open_by_click_and_by_key_and_all_of_them_at_once(opened: Any) -> None:
    page, _ = opened("deep")
    page.go("#/0/graph")
    closed = page.page.locator('.node.scope[aria-expanded="false"]').count()
    page.page.locator('.node.scope[aria-expanded="false"]').first.click()
    assert page.page.locator('.node.scope[aria-expanded="true"]').count() == 1
    page.page.keyboard.press("Enter")
    assert page.page.locator('.node.scope[aria-expanded="false"]').count() == closed
    page.page.keyboard.press("ArrowDown")
    assert page.page.evaluate("document.activeElement.classList.contains('node')")
    page.page.evaluate("document.querySelector('.canvas button').click()")
    assert page.page.locator(".node.kernel").count() > 500


@pytest.mark.slow
def test_a_narrow_window_and_paper(opened: Any) -> None:
    page, _ = opened("cnn")
    page.page.set_viewport_size({"width": 700, "height": 900})
    for view in VIEWS:
        page.go(f"#/0/{view}")
        assert page.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view
    paper = "['--paper', '--mark', '--cut-paper'].map(n => getComputedStyle(document.documentElement).getPropertyValue(n))"
    light = page.page.evaluate(paper)
    page.page.keyboard.press("t")
    assert page.page.evaluate(paper) != light
    page.page.emulate_media(media="print", color_scheme="dark")
    assert page.page.evaluate(paper) == light and not page.page.is_visible("nav")
    assert len(page.page.pdf()) > 10_000
