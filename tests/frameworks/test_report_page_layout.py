"""The page's tables fit, say first what a reader came for, and stay readable on a phone and on paper."""

import base64

import pytest

from effconvert.report.renderings.numbers_text import NONE
from helpers.frameworks.browser import chromium
from helpers.frameworks.report_pages import write_page

PAGES = ["failing", "published"]
TOO_WIDE = """
return [...document.querySelectorAll("main .scroll")]
  .filter((region) => region.checkVisibility() && !region.closest("figcaption"))
  .filter((region) => region.firstElementChild.offsetWidth > region.clientWidth + 1)
  .map((region) => region.getAttribute("aria-label"))
"""
# The letters beside every end of a line that is between two letters or digits, in a table.
CUT_WORDS = """
const cut = [], range = document.createRange()
for (const cell of document.querySelectorAll("main th, main td:not(.hash)")) {
  if (!cell.checkVisibility()) continue
  const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT)
  while (texts.nextNode()) {
    const text = texts.currentNode.data
    for (let at = 1, last = null; at < text.length; at++) {
      range.setStart(texts.currentNode, at)
      range.setEnd(texts.currentNode, at + 1)
      const box = range.getBoundingClientRect()
      if (!box.width) continue
      if (last !== null && box.top > last + 5 && /[a-z0-9]{2}/i.test(text.slice(at - 1, at + 1)))
        cut.push(text.slice(at - 9, at) + "|" + text.slice(at, at + 9))
      last = box.top
    }
  }
}
return cut
"""
FRAMES = "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(done))"


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Return the page of a report, which is written once."""
    written = {}

    def of(name):
        if name not in written:
            written[name] = write_page(name, tmp_path_factory.mktemp(name))
        return written[name]

    return of


def opened(browser, path, **how):
    browser.open(path, **how)
    browser.driver.execute_async_script(FRAMES)


@pytest.mark.parametrize("width", [1280, 1920])
@pytest.mark.parametrize("name", PAGES)
def test_tables_fit_the_column(browser, page, name, width):
    opened(browser, page(name), width=width)
    browser.unfold()
    browser.driver.execute_async_script(FRAMES)
    assert browser.run(TOO_WIDE) == []


def test_a_table_that_does_not_fit_is_noticed_and_gets_a_scroll_bar(browser, page):
    opened(browser, page("failing"))
    browser.run("document.querySelector('#summary td').textContent = 'x'.repeat(500)")
    assert browser.run(TOO_WIDE) == ["Table: Measured, and beside it what was published"]
    browser.run("document.querySelector('#summary .scroll').style.width = '50rem'")
    browser.driver.execute_async_script(FRAMES)
    assert browser.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0


@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("name", PAGES)
def test_nothing_scrolls_up_and_down_inside_the_page(browser, page, name, width):
    opened(browser, page(name), width=width)
    browser.unfold()
    inner = "return [...document.querySelectorAll('main *')].filter((part) => part.scrollHeight > part.clientHeight + 1"
    inner += " && ['auto', 'scroll'].includes(getComputedStyle(part).overflowY)).length"
    assert browser.run(inner) == 0


def test_on_a_phone_the_first_column_stays_and_a_shade_says_that_there_is_more(browser, page):
    opened(browser, page("failing"), width=400)
    region = "document.querySelector('#summary .scroll')"
    left = f"return {region}.querySelector('tbody th').getBoundingClientRect().left"
    before = browser.run(left)
    assert browser.run(f"return {region}.scrollWidth - {region}.clientWidth") > 100
    browser.run(f"{region}.scrollLeft = 300")
    assert browser.run(left) == before
    assert browser.run(f"return getComputedStyle({region}).backgroundImage").count("gradient") == 4


def test_arrows_appear_where_the_mouse_or_the_keyboard_is(browser, page):
    opened(browser, page("failing"))
    arrow = "return getComputedStyle(document.querySelector('#summary thead button'), '::after').opacity"
    assert browser.run(arrow) == "0"
    browser.run("document.querySelector('#summary thead button').focus({focusVisible: true})")
    assert browser.run(arrow) == "1"


def test_the_first_table_says_verdict_accuracy_and_against_whom_without_scrolling(browser, page):
    opened(browser, page("failing"))
    table = "document.querySelector('main table')"
    assert browser.run(f"return {table}.getBoundingClientRect().bottom") < 900
    row = browser.run(f"return [...{table}.tBodies[0].rows[0].cells].map((cell) => cell.innerText)")
    assert row[0].splitlines()[-1] == "b0-aa.safetensors"
    assert (row[2].split("\n"), row[3].split()) == (["77.086", "50,000 images"], ["77.1", "TensorFlow"])
    assert row[8].splitlines()[-1] == "verified against tensorflow, efficientnet-b0/model.ckpt"
    assert row[1].split("\n") == ["failed: layers", "passed 5 of 7", "accuracy not judged"]


@pytest.mark.parametrize("name", PAGES)
def test_no_line_of_a_table_ends_within_a_word(browser, page, name):
    opened(browser, page(name))
    browser.unfold()
    assert browser.run(CUT_WORDS) == []
    browser.run("document.querySelector('main td').innerHTML = '<p>' + 'x'.repeat(50)")
    browser.run("document.querySelector('main td p').style.cssText = 'width: 3rem; white-space: normal'")
    assert browser.run(CUT_WORDS)


def test_on_a_phone_top1_stands_beside_its_network(browser, page):
    opened(browser, page("failing"), width=400)
    right = "return document.querySelector('#summary thead th:nth-child(3)').getBoundingClientRect().right"
    assert browser.run(right) <= 400


def test_everything_empty_has_the_same_dash(browser, page):
    opened(browser, page("published"))
    dash = "return [...document.querySelectorAll('td:empty')].map((cell) => getComputedStyle(cell, '::before').content)"
    assert {found.partition(" ")[0] for found in browser.run(dash)} == {f'"{NONE}"'}


def test_under_a_failure_stand_its_cause_and_its_fix(browser, page):
    opened(browser, page("failing"))
    failure = browser.driver.find_element("css selector", "#summary .failure").text
    assert "Cause: another epsilon in BatchNorm. Fix: bn_eps: 0.001 -> 1e-05 (--facts bn_eps=1e-05)." in failure
    assert "With it the largest difference is 3.0e-7" in failure


def test_what_was_not_judged_is_not_green(browser, page):
    opened(browser, page("failing"))
    words = "return [...document.querySelectorAll('.passed, .same')].map((part) => part.innerText)"
    assert not [word for word in browser.run(words) if "not judged" in word or "not measured" in word]


@pytest.mark.parametrize("name", PAGES)
def test_a_screenshot_of_the_whole_page_is_nowhere_blank(browser, page, name):
    opened(browser, page(name))
    for share in (0.3, 0.6, 0.9):
        height = browser.run("return document.documentElement.scrollHeight")
        clip = {"x": 0, "y": share * height, "width": 1280, "height": 800, "scale": 0.25}
        shot = browser.say("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        assert len(base64.b64decode(shot["data"])) > 4000, share


@pytest.mark.parametrize("name", PAGES)
def test_on_paper_no_table_is_cut(browser, page, name):
    opened(browser, page(name), width=690, media="print")  # A4 without its margins
    cut = [label for label in browser.run(TOO_WIDE) if "numbers" not in label]
    assert cut == []


def test_on_paper_a_failure_stands_once_and_no_triangle_beside_what_is_open(browser, page):
    shown = "return [...document.querySelectorAll('.failure')].filter((box) => box.checkVisibility()).length"
    marked = "return [...document.querySelectorAll('details:not(.appendix) > summary')]"
    marked += ".filter((summary) => getComputedStyle(summary).listStyleType != 'none').length"
    opened(browser, page("failing"))
    assert browser.run(shown) == 2
    assert browser.run(marked) > 0
    opened(browser, page("failing"), width=690, media="print")
    assert browser.run(shown) == 1
    assert browser.run(marked) == 0


def test_mindspores_own_accuracy_stands_beside_tensorflows(browser, page):
    opened(browser, page("published"))
    rows = browser.run(
        "return [...document.querySelector('#publishers table').rows].map((row) => [...row.cells].map((c) => c.innerText))"
    )
    heads = rows[0]
    assert heads[2:4] == ["TensorFlow", "MindSpore"]
    of_b0 = {row[1].splitlines()[0]: row[2:4] for row in rows[1:] if row[0].splitlines()[0] == "b0"}
    assert of_b0["mindvision"] == ["", "77.4 / 93.4"]
    assert of_b0["aa"] == ["77.1 / –", ""]  # noqa: RUF001


def test_variants_stay_in_their_order(browser, page):
    opened(browser, page("published"))
    names = browser.run(
        "return [...document.querySelectorAll('#publishers tbody th')].map((c) => c.innerText.split('\\n')[0])"
    )
    assert names == sorted(names, key=list(dict.fromkeys(names)).index)


def test_every_mark_has_the_one_legend(browser, page):
    opened(browser, page("published"))
    browser.unfold()
    without = (
        "return [...document.querySelectorAll('table')].filter((table) => table.tBodies[0].querySelector('.flag'))"
    )
    without += ".filter((table) => !table.caption.textContent.includes('⚑ do not rely on it')).length"
    assert browser.run(without) == 0
