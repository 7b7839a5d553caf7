"""The page of a report in a real browser: no messages or requests, sortable, accessible, at any width."""

import re

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from helpers.deep import deep_but
from helpers.frameworks.browser import chromium
from helpers.frameworks.report_pages import HOSTILE, write_page

PAGES = ["three", "hostile", "published", "real", "thousand"]
SMALL = PAGES[:-1]
# In every run: a page of runs with all parts, and one whose texts are hostile. The other three repeat it by the week.
EACH = deep_but(PAGES, lambda name: name in ("three", "hostile"))
EACH_SMALL = deep_but(SMALL, lambda name: name in ("three", "hostile"))
CELLS = "return Array.from(document.querySelectorAll('td, th'), (cell) => cell.textContent)"
NUMBER = re.compile(r"[-\N{MINUS SIGN}+]?\d[\d,]*(\.\d+)?(e[-+]?\d+)?")

UNITS = {"G": 1e9, "M": 1e6}


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


@pytest.mark.parametrize("name", deep_but(PAGES, lambda name: name in ("three", "hostile", "published")))
def test_the_console_stays_silent(browser, page, name):
    browser.open(page(name))
    assert browser.complaints() == []


@pytest.mark.parametrize("name", EACH)
def test_nothing_is_asked_for_but_the_page(browser, page, name):
    browser.open(page(name))
    assert browser.requests() == [page(name).as_uri()]


def test_requests_and_messages_are_noticed(browser, tmp_path):
    (tmp_path / "page.html").write_text("<img src='http://127.0.0.1:9/x.png'><script>console.warn('oh')</script>")
    browser.open(tmp_path / "page.html")
    assert any("oh" in message for message in browser.complaints())
    assert "http://127.0.0.1:9/x.png" in browser.requests()


@pytest.mark.parametrize("name", EACH_SMALL)
def test_without_script_the_page_says_the_same(browser, page, name):
    browser.open(page(name))
    cells, buttons = browser.run(CELLS), "return document.querySelectorAll('button, input').length"
    assert browser.run(buttons) > 0
    browser.open(page(name), script=False)
    assert browser.run(buttons) == 0
    assert browser.run(CELLS) == cells
    hidden = "return [...document.querySelectorAll('main > section')].filter((part) => !part.checkVisibility()).length"
    assert browser.run(hidden) == 0


@pytest.mark.parametrize("name", deep_but(["three", "published"], lambda name: name == "three"))
def test_every_column_of_numbers_sorts_up_down_and_back(browser, page, name):
    browser.open(page(name))
    browser.unfold()
    buttons = browser.driver.find_elements(By.CSS_SELECTOR, "table[data-sortable] thead th.n button")
    assert len(buttons) > 10
    for button in buttons:
        before = column(browser, button)
        for state, reverse in (("ascending", False), ("descending", True)):
            browser.run("arguments[0].click()", button)
            assert browser.run("return arguments[0].parentNode.ariaSort", button) == state
            found = [value for value in map(number, column(browser, button)) if value is not None]
            assert found == sorted(found, reverse=reverse), button.text
        browser.run("arguments[0].click()", button)
        assert browser.run("return arguments[0].parentNode.ariaSort", button) is None
        assert column(browser, button) == before


def test_cells_without_a_value_stand_last_whichever_way_is_sorted(browser, page):
    browser.open(page("published"))
    buttons = browser.driver.find_elements(By.CSS_SELECTOR, "#publishers thead th.n button")
    for button in buttons:
        for _ in range(2):
            browser.run("arguments[0].click()", button)
            known = [value is not None for value in map(number, column(browser, button))]
            assert known == sorted(known, reverse=True)


def test_tables_sort_by_the_keyboard_alone(browser, page):
    browser.open(page("three"))
    button = browser.driver.find_element(By.CSS_SELECTOR, "#throughput thead th.n button")
    for key, state in ((Keys.ENTER, "ascending"), (Keys.SPACE, "descending")):
        button.send_keys(key)
        assert browser.run("return arguments[0].parentNode.ariaSort", button) == state


def test_tables_sort_by_the_mouse(browser, page):
    browser.open(page("three"))
    button = browser.driver.find_element(By.CSS_SELECTOR, "#throughput thead th.n button")
    button.click()
    assert browser.run("return arguments[0].parentNode.ariaSort", button) == "ascending"


@pytest.mark.parametrize("width", deep_but([1280, 400], lambda width: width == 400))
@pytest.mark.parametrize("name", EACH)
def test_nothing_is_wider_than_the_window(browser, page, name, width):
    browser.open(page(name), width=width)
    if name != "thousand":
        browser.unfold()
    browser.lay_out()
    assert browser.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", EACH_SMALL)
def test_texts_and_pictures_stand_out_from_what_is_behind_them(browser, page, name, dark):
    browser.open(page(name), dark=dark)
    assert browser.pale() == []


def test_pale_texts_and_pictures_are_noticed(browser, page):
    browser.open(page("three"))
    browser.run(
        "document.querySelector('h1').style.color = '#999';"
        "document.querySelector('svg text').setAttribute('fill-opacity', 0.3);"
        "document.querySelector('#picture-differences [data-shows^=published]').style.opacity = 0.3;"
    )
    found = browser.pale()
    assert [sum(word in line for line in found) for word in ("text h1", "text text", "picture picture-")] == [1, 1, 1]


@pytest.mark.parametrize("name", deep_but(SMALL, lambda name: name == "three"))
def test_axe_finds_nothing_against_accessibility(browser, page, name):
    browser.open(page(name))
    browser.unfold()
    assert browser.violations() == []


@pytest.mark.parametrize("name", EACH_SMALL)
def test_every_picture_is_read_aloud(browser, page, name):
    browser.open(page(name))
    browser.unfold()
    pictures = browser.driver.find_elements(By.CSS_SELECTOR, "svg, img, canvas")
    assert len(pictures) > 1
    for picture in pictures:
        browser.run("arguments[0].scrollIntoView()", picture)  # Chromium reads what it has laid out
        assert picture.aria_role == "image"
        assert len(picture.accessible_name) > 40


@pytest.mark.parametrize("name", EACH)
def test_headings_go_down_one_level_at_a_time(browser, page, name):
    browser.open(page(name))
    levels = browser.run("return [...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map((e) => Number(e.tagName[1]))")
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip([0, *levels], levels, strict=False))


@pytest.mark.parametrize("name", EACH)
def test_every_link_within_the_page_leads_somewhere(browser, page, name):
    browser.open(page(name))
    ids = browser.run("return [...document.querySelectorAll('[id]')].map((element) => element.id)")
    links = browser.run("return [...document.querySelectorAll('a[href^=\"#\"]')].map((link) => link.hash.slice(1))")
    assert links
    assert len(ids) == len(set(ids))
    assert set(links) <= set(ids)


@pytest.mark.parametrize("script", [True, False])
def test_a_hostile_name_runs_nothing_and_is_shown(browser, page, script):
    browser.open(page("hostile"), script=script)
    browser.unfold()
    for button in browser.driver.find_elements(By.CSS_SELECTOR, "thead th:first-child button"):
        browser.run("arguments[0].click()", button)  # what is moved is parsed by nobody
    assert browser.run("return window.ran === undefined")
    assert (
        browser.run("return [...document.querySelectorAll('img, iframe, base, form, [onload], [onerror]')].length") == 0
    )
    assert browser.run("return document.scripts.length") == 1
    assert browser.run("return [...document.links].filter((a) => !/^(https?|file):/.test(a.protocol)).length") == 0
    heading = browser.run("return document.querySelector('h1').textContent")
    assert HOSTILE[:60] in heading
    assert "{U+202E}" in heading
    assert not re.search("[\u202a-\u202e\u200b\x1b]", browser.run("return document.documentElement.textContent"))


@pytest.mark.parametrize("name", EACH_SMALL)
def test_paper_shows_what_is_folded_and_nothing_to_click(browser, page, name):
    browser.open(page(name), media="print")
    visible = "return [...document.querySelectorAll(arguments[0])].filter((part) => part.checkVisibility()).length"
    assert browser.run(visible, "nav, input, .filter, .skip") == 0
    left_out = "details.appendix td, figcaption details td"  # which are in files beside the page
    shown = "return [...document.querySelectorAll('td')].filter((cell) => !cell.matches(arguments[0])).length"
    assert browser.run(visible, "td") >= browser.run(shown, left_out) > 0
    arrows = "return [...document.querySelectorAll('th button')].map((b) => getComputedStyle(b, '::after').content)"
    assert set(browser.run(arrows)) == {"none"}
    clipped = (
        "return [...document.querySelectorAll('.scroll')].filter((e) => e.scrollHeight > e.clientHeight + 1).length"
    )
    assert browser.run(clipped) == 0


def test_typing_into_the_filter_leaves_the_rows_that_say_so(browser, page):
    browser.open(page("published"))
    browser.unfold()
    field = browser.driver.find_element(By.CSS_SELECTOR, "#numbers input[type=search]")
    rows = "return [...arguments[0].closest('section').querySelector('tbody').rows].filter((row) => !row.hidden).length"
    whole = browser.run(rows, field)
    field.send_keys("cc-b1-8e")
    assert 0 < browser.run(rows, field) < whole
    field.send_keys(Keys.CONTROL, "a", Keys.DELETE)
    assert browser.run(rows, field) == whole


def test_tab_leads_to_the_contents_first(browser, page):
    browser.open(page("three"))
    browser.driver.switch_to.active_element.send_keys(Keys.TAB)
    assert browser.driver.switch_to.active_element.get_attribute("href").endswith("#content")


def column(browser, button):
    """Return the texts of the column that a button of its head sorts."""
    return browser.run(
        "const head = arguments[0].parentNode;"
        "return [...head.closest('table').tBodies[0].rows].map((row) => row.cells[head.cellIndex].textContent)",
        button,
    )


def number(text):
    """Return the first number of a text, None where it has none; 0.39 G are 390 million."""
    found = NUMBER.search(text)
    if not found:
        return None
    value = float(found[0].replace(",", "").replace("\N{MINUS SIGN}", "-"))
    return value * UNITS.get(text[found.end() :].strip()[:1], 1)
