"""A page in a real browser: sort, filter, hover, open, compare; nothing hostile runs."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from nas.jobs.search.report import search_report
from nas.reporting.report import served_page, write_report
from nas.reporting.serve import Live, server_of
from tests.reporting.browser import chromium
from tests.reporting.runs import FAILURE, HOSTILE, candidates, summary

pytestmark = pytest.mark.slow

PATIENCE = 20  # seconds


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("page")
    page = write_report(search_report(summary(candidates(60))), folder)
    with chromium("--window-size=1200,1000") as driver:
        driver.get(page.as_uri())
        yield driver


@pytest.fixture
def page(browser: Any) -> "Page":
    browser.refresh()
    return Page(browser)


class Page:
    """What a reader does with a page."""

    def __init__(self, browser: Any) -> None:
        self.browser = browser

    def find(self, selector: str) -> Any:
        return self.browser.find_element("css selector", selector)

    def texts(self, selector: str) -> list[str]:
        script = "return Array.from(document.querySelectorAll(arguments[0]), e => e.textContent)"
        return self.browser.execute_script(script, selector)

    def column(self, name: str) -> list[str]:
        heads = [head.rstrip(" ↑↓") for head in self.texts(".table thead th")]
        return self.texts(f".table tbody td:nth-child({heads.index(name) + 1})")

    def press(self, text: str, within: str = "") -> None:
        buttons = self.browser.find_elements("css selector", f"{within} button")
        script = "arguments[0].scrollIntoView({block: 'center'}); arguments[0].click()"
        self.browser.execute_script(script, next(b for b in buttons if b.text.startswith(text)))

    def pointer(self, selector: str, x: float, y: float, *more: tuple[float, float]) -> None:
        """Move the pointer to a place of an element; press and drag through more places."""
        from selenium.webdriver import ActionChains

        element = self.find(selector)
        self.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        size, chain = element.size, ActionChains(self.browser, duration=50)
        for i, (px, py) in enumerate(((x, y), *more)):
            offset = round(px - size["width"] / 2), round(py - size["height"] / 2)
            chain.move_to_element_with_offset(element, *offset)
            if i == 0 and more:
                chain.click_and_hold()
        (chain.release() if more else chain).perform()

    def wait(self, condition: Callable[[], Any]) -> Any:
        """Return the condition's value once it holds; the page may be redrawn meanwhile."""
        from selenium.common.exceptions import StaleElementReferenceException

        def value() -> Any:
            with suppress(StaleElementReferenceException):
                return condition()

        until = time.monotonic() + PATIENCE
        while not (found := value()):
            assert time.monotonic() < until, "the page did not change"
            time.sleep(0.02)
        return found


def numbers(cells: list[str]) -> list[float]:
    return [float(cell) for cell in cells if cell != "–"]


def test_a_click_on_a_head_sorts_the_table(page: Page) -> None:
    page.press("gradient-norm", ".table thead")
    rising = numbers(page.column("gradient-norm"))
    assert len(rising) == 25 and rising == sorted(rising)
    assert page.find('.table th[aria-sort="ascending"]').text.startswith("gradient-norm")
    page.press("gradient-norm", ".table thead")
    falling = numbers(page.column("gradient-norm"))
    assert falling == sorted(falling, reverse=True) and falling[0] > rising[-1]


def test_the_filter_box_understands_text_and_columns(page: Page) -> None:
    box = page.find(".table input[type=search]")
    box.send_keys("status:trained parameters<20000")
    assert set(page.column("status")) == {"trained"}
    assert all(value < 20000 for value in numbers(page.column("parameters")))
    assert len(page.column("#")) < 20 and page.texts(".table [role=status]")[0].endswith(
        " of 60 candidates"
    )
    box.clear()
    box.send_keys("memory")
    assert page.wait(lambda: set(page.column("status")) == {"failed"})
    assert len(page.column("#")) == 6


def test_hovering_names_a_point_and_a_click_opens_its_candidate(page: Page) -> None:
    page.wait(lambda: page.browser.execute_script(HAS_POINTS))
    x, y, number = page.browser.execute_script(FREE_POINT)
    page.pointer(".plot canvas", x, y)
    page.wait(lambda: page.find(".tip").is_displayed())
    assert page.find(".tip b").text.startswith(f"#{number} ")
    page.pointer(".plot canvas", x, y, (x, y))
    page.wait(lambda: page.find(".panel").is_displayed())
    assert page.find(".panel h3").text.startswith(f"#{number} ")
    assert page.texts(".panel .graph .node rect") and page.texts(".panel path.curve")
    assert "hidden_states" in page.texts(".panel .values th")


def test_a_drag_in_a_plot_filters_the_table_until_its_filter_is_removed(page: Page) -> None:
    page.wait(lambda: page.browser.execute_script(HAS_POINTS))
    page.pointer(".plot canvas", 70, 20, (350, 290))
    page.wait(lambda: len(page.texts(".chips button")) == 2)
    assert not page.texts(".table [role=status]")[0].startswith("60 of")
    for _ in range(2):
        page.press("", ".chips")
    page.wait(lambda: page.texts(".table [role=status]")[0].startswith("60 of"))


def test_two_candidates_are_compared_and_their_differences_marked(page: Page) -> None:
    page.find(".table tbody tr").click()
    page.press("Keep to compare", ".panel")
    page.browser.find_elements("css selector", ".table tbody tr")[1].click()
    heads = page.texts(".panel .values thead tr:first-child th")
    assert len(heads) == 3 and page.texts(".panel h3")[0].count("#") == 2
    assert len(page.browser.find_elements("css selector", ".panel .graph")) == 2
    assert any(text.startswith("≠ ") for text in page.texts(".panel .differs th"))
    assert {"c0", "c1"} <= set(page.browser.execute_script(CURVES).split())


def test_whole_numbers_have_whole_ticks(page: Page) -> None:
    script = "return ticksOf(0, 3, false, (v) => 400 * v, arguments[0]).map(([, text]) => text)"
    assert page.browser.execute_script(script, 1) == ["0", "1", "2", "3"]
    assert "0.2" in page.browser.execute_script(script, 0)


def test_the_keyboard_reaches_and_opens_points(page: Page) -> None:
    from selenium.webdriver.common.keys import Keys

    page.wait(lambda: page.browser.execute_script(HAS_POINTS))
    canvas = page.find(".plot canvas")
    canvas.send_keys(Keys.ARROW_RIGHT)
    said = page.wait(lambda: page.texts(".plot .said")[0])
    canvas.send_keys(Keys.ENTER)
    assert page.wait(lambda: page.texts(".panel h3"))[0] == said.split(",")[0]


def test_reasons_are_listed_with_how_often_they_occurred(page: Page) -> None:
    assert page.texts(".failures tbody td")[:2] == ["6", FAILURE]
    page.press("Open #9", ".failures")
    assert HOSTILE in page.texts(".panel .why")[0]


def test_texts_of_a_run_stay_texts_and_nothing_is_refused(page: Page) -> None:
    page.find(".table tbody tr").click()
    time.sleep(0.2)
    assert page.browser.execute_script("return window.attacked") is None
    assert page.browser.execute_script("return document.images.length") == 0
    assert page.browser.get_log("browser") == []


def test_the_page_may_not_use_the_network(page: Page) -> None:
    script = "const done = arguments[0]; fetch('http://127.0.0.1:9/').then(done, () => done('no'))"
    assert page.browser.execute_async_script(script) == "no"
    refused = page.browser.get_log("browser")
    assert any("Content Security Policy" in line["message"] for line in refused)


@pytest.mark.parametrize("width", [400, 1200])
def test_nothing_but_tables_and_figures_is_wider_than_the_window(page: Page, width: int) -> None:
    page.browser.set_window_size(width, 1000)
    page.wait(lambda: page.browser.execute_script(HAS_POINTS))
    root = "document.documentElement"
    page.wait(
        lambda: page.browser.execute_script(f"return {root}.scrollWidth <= {root}.clientWidth")
    )
    page.browser.set_window_size(1200, 1000)


def test_a_served_page_follows_its_run_and_keeps_what_the_reader_chose(
    browser: Any, tmp_path: Path
) -> None:
    def make() -> str:
        count = 10 * len(list(tmp_path.glob("trials/*/result.json")))
        return served_page(search_report(summary(candidates(count))), follow=0.2)

    def add(number: int) -> None:
        (tmp_path / "trials" / str(number)).mkdir(parents=True)
        (tmp_path / "trials" / str(number) / "result.json").write_text("{}")

    add(0)
    server = server_of(Live(tmp_path, make))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    browser.get(f"http://127.0.0.1:{server.server_port}/")
    page = Page(browser)
    assert page.texts(".table [role=status]")[0] == "10 of 10 candidates"
    page.find(".table input[type=search]").send_keys("status:trained")
    page.find(".table tbody tr").click()
    opened = page.texts(".panel h3")
    add(1)
    page.wait(lambda: page.texts(".table [role=status]")[0].endswith("of 20 candidates"))
    page.wait(lambda: set(page.column("status")) == {"trained"})
    page.wait(lambda: page.texts(".panel h3") == opened)
    server.shutdown()
    server.server_close()


def test_ten_thousand_candidates_open_in_three_seconds(browser: Any, tmp_path: Path) -> None:
    written = write_report(search_report(summary(candidates(10_000, 1_000))), tmp_path)
    assert written.stat().st_size <= 15e6
    started = time.perf_counter()
    browser.get(written.as_uri())
    page = Page(browser)
    page.wait(lambda: browser.execute_script(HAS_POINTS))
    assert time.perf_counter() - started <= 3
    assert page.texts(".table [role=status]")[0] == "10000 of 10000 candidates"


HAS_POINTS = """
const canvas = document.querySelector('.plot canvas');
return canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some(v => v);
"""
FREE_POINT = """
const far = ([, x, y]) => Math.min(...explorers[0].places.map(
  ([, a, b]) => Math.hypot(x - a, y - b) || Infinity));
const [row, x, y] = explorers[0].places.toSorted((a, b) => far(b) - far(a))[0];
return [x, y, explorers[0].numbers[row]];
"""
CURVES = """
const curves = document.querySelectorAll('.panel path.curve');
return Array.from(curves, (curve) => curve.getAttribute('class')).join(' ');
"""
