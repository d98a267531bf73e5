"""The page in WebKit, Safari's engine, and in Firefox, where packages bring them: see `engines.py`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.toy import encoded, picture
from tests.web.conftest import Server
from tests.web.page.engines import Tab, firefox, webkit
from tests.web.page.test_layout import INSIDE

pytestmark = [pytest.mark.browser, pytest.mark.slow]

READY = "document.documentElement.classList.contains('ready') && document.querySelector('#answer .waiting')"
OFFLINE = """window.send = XMLHttpRequest.prototype.send;
XMLHttpRequest.prototype.send = function () { setTimeout(() => this.dispatchEvent(new Event("error"))); };"""


@pytest.fixture(scope="module", params=[webkit, firefox], ids=lambda engine: engine.__name__)
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with request.param(tmp_path_factory.mktemp("engine")) as tab:
        yield tab


@pytest.fixture
def tab(opened: Tab, server: Server) -> Tab:
    """The page, ready, in a browser that remembers nothing."""
    opened.open(server.url)
    opened.run("localStorage.clear();")
    opened.open(server.url)
    opened.wait(READY)
    return opened


@pytest.fixture
def red(tmp_path: Path) -> Path:
    """A photo narrower than its box."""
    path = tmp_path / "red.png"
    path.write_bytes(encoded(picture("red", (80, 240)), "PNG"))
    return path


def answered(tab: Tab, photo: Path) -> None:
    tab.choose(photo)
    tab.wait("document.querySelector('#answer .verdict')?.textContent === 'Red'")


def correct(tab: Tab, label: str) -> None:
    tab.click("#wrong")
    tab.click(f"#choices input[value={label}]")


def test_a_photo_is_answered_explained_corrected_and_that_is_undone(tab: Tab, server: Server, red: Path) -> None:
    answered(tab, red)
    tab.click("#why")
    tab.wait("document.querySelector('#heat img')?.complete")
    places = [tab.run(f"return ({INSIDE})(document.querySelector('#{part} img'));") for part in ("photo", "heat")]
    for side in ("x", "y", "width", "height"):  # the map has the photo's place, not the box's
        assert places[0][side] == pytest.approx(places[1][side], abs=1.5)
    before = {row.id for row in server.rows()}
    correct(tab, "blue")
    tab.wait("document.querySelector('#thanks .thanks')")
    (row,) = [row for row in server.rows() if row.id not in before]
    assert (row.predicted_label, row.corrected_label, row.source) == ("red", "blue", "upload")
    tab.wait("document.querySelector('#mine summary').textContent.includes('(1)')")
    tab.open(server.url)
    tab.wait(f"{READY} && document.querySelector('#mine li')")
    tab.click("#mine li button")
    tab.wait("!document.querySelector('#mine li')")
    assert row.id not in [each.id for each in server.rows()]


def test_an_answer_waits_while_the_server_cannot_be_reached(tab: Tab, server: Server, red: Path) -> None:
    answered(tab, red)
    tab.run(OFFLINE)
    correct(tab, "green")
    tab.wait("document.querySelector('#thanks .message')")
    assert "kept in this browser and sent as soon as" in tab.text("#thanks")
    tab.run("XMLHttpRequest.prototype.send = window.send; window.dispatchEvent(new Event('online'));")
    tab.wait("document.querySelector('#thanks').textContent === 'Saved. Thank you!'")
    assert server.rows()[-1].corrected_label == "green"


def test_a_large_photo_is_made_small_before_it_is_sent(tab: Tab, tmp_path: Path) -> None:
    photo = tmp_path / "large.png"
    photo.write_bytes(encoded(picture("red", (4000, 3000)), "PNG", compress_level=0))
    tab.run(
        "const { send } = XMLHttpRequest.prototype;"
        " XMLHttpRequest.prototype.send = function (body) { window.sent ??= body; return send.call(this, body); };"
    )
    answered(tab, photo)
    kind, width, height = tab.run(
        "const bitmap = await createImageBitmap(window.sent); return [window.sent.type, bitmap.width, bitmap.height];"
    )
    assert (kind, width, height) == ("image/jpeg", 1024, 768)


def test_several_photos_become_a_list(tab: Tab, red: Path, tmp_path: Path) -> None:
    blue = tmp_path / "blue.png"
    blue.write_bytes(encoded(picture("blue"), "PNG"))
    tab.choose(red, blue)
    tab.wait("document.querySelectorAll('#several .filters button').length === 3")
    tab.click("#several .filters button[data-filter=blue]")
    assert tab.run(
        "return [...document.querySelectorAll('#several li:not([hidden]) .file')].map((e) => e.textContent);"
    ) == ["blue.png"]
    tab.click("#several .enlarge")
    tab.wait("document.querySelector('#enlarged').open")


def test_the_page_is_one_column_where_it_is_narrow_and_says_what_it_is(tab: Tab) -> None:
    assert tab.run("return document.title;") == "Red, green or blue?"
    assert tab.run("return document.documentElement.scrollWidth <= innerWidth;")
    assert tab.screenshot().startswith(b"\x89PNG")
