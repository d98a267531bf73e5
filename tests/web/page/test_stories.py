"""What people meet in a real browser: restarts, lost connections, other languages, slow networks, keyboards."""

import io
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from tests.toy import encoded, picture
from tests.web.conftest import Server, running, wait_for
from tests.web.page.test_layout import TIMEOUT_MS, browser, choose, context, kept, opened, verdict

__all__ = ["browser", "context"]  # fixtures

pytestmark = pytest.mark.browser
ANSWERS = "JSON.parse(localStorage.getItem('catdog.answers') ?? '[]')"


@pytest.fixture(scope="module")
def opened_page(context: BrowserContext, server: Server) -> Page:
    """One tab for most tests, with what the browser has cached."""
    return opened(context, server)


@pytest.fixture
def page(opened_page: Page) -> Iterator[Page]:
    """The page of a browser that remembers nothing."""
    opened_page.evaluate("localStorage.clear()")
    opened_page.reload()
    expect(opened_page.locator("#answer .waiting")).to_be_visible()
    yield opened_page
    opened_page.context.set_offline(False)
    opened_page.unroute_all()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def mine(page: Page) -> Any:
    return page.locator("#mine li")


def correct(page: Page, answer: str) -> None:
    page.click("#wrong")
    page.locator("#choices").get_by_text(answer, exact=True).click()


def noisy(size: tuple[int, int]) -> Image.Image:
    """A red picture with the noise of a photo: a large file."""
    return Image.blend(picture("red", size), Image.effect_noise(size, 90).convert("RGB"), 0.25)


def test_after_a_restart_the_open_page_goes_on_as_if_nothing_had_happened(
    browser: Browser, tmp_path: Path, toy_folder: Path
) -> None:
    port = free_port()
    with browser.new_context() as visitor:
        visitor.set_default_timeout(TIMEOUT_MS)
        with running(tmp_path, toy_folder, port=port) as server:
            page, other = opened(visitor, server), opened(visitor, server)
            for each in (page, other):
                choose(each, encoded(picture("red")))
                expect(verdict(each)).to_have_text("Red")
        other.locator("#why").click()
        expect(other.locator("#told")).to_contain_text("can't be reached")
        with running(tmp_path, toy_folder, port=port) as server:
            correct(page, "Green")
            expect(page.locator("#thanks .thanks")).to_contain_text("Noted as “Green”")
            (row,) = server.rows()
            assert (row.predicted_label, row.corrected_label, row.source) == ("red", "green", "upload")
            other.locator("#why").click()
            expect(other.locator("#heat img")).to_be_visible()
            expect(other.locator("#told span")).to_have_count(0)
            other.click("#right")
            expect(other.locator("#thanks .thanks")).to_contain_text("Thank you")


def test_an_answer_given_offline_waits_in_the_browser_and_is_sent_once(page: Page, server: Server) -> None:
    choose(page, encoded(picture("red")))
    expect(verdict(page)).to_have_text("Red")
    before = {row.id for row in server.rows()}
    page.context.set_offline(True)
    correct(page, "Green")
    expect(page.locator("#thanks .message")).to_contain_text("kept in this browser and sent as soon as")
    page.locator("#choices").get_by_text("Blue", exact=True).click()  # another answer takes its place
    expect(page.locator("#choices label:has(:checked)")).to_have_text("Blue")
    page.locator("#mine summary").click()
    expect(mine(page)).to_have_count(1)
    expect(mine(page)).to_contain_text("waiting to be sent")
    expect(mine(page)).to_contain_text("You said: Blue")
    page.context.set_offline(False)
    expect(mine(page)).to_contain_text("saved")
    expect(page.locator("#thanks .message")).to_have_text("Saved. Thank you!")
    (row,) = [row for row in server.rows() if row.id not in before]
    assert row.corrected_label == "blue"


def test_what_waits_survives_a_reload_and_goes_with_its_picture(page: Page, server: Server) -> None:
    choose(page, encoded(picture("red")))
    expect(verdict(page)).to_have_text("Red")
    before = {row.id for row in server.rows()}
    page.route("**/feedback", lambda route: route.abort())
    correct(page, "Green")
    expect(page.locator("#thanks .message")).to_contain_text("can't be reached")
    page.evaluate(
        f"localStorage.setItem('catdog.answers', JSON.stringify({ANSWERS}.map((each) => ({{...each, request: 'lost'}}))))"
    )  # the server forgets the prediction meanwhile
    page.unroute("**/feedback")
    page.reload()
    wait_for(lambda: {row.id for row in server.rows()} - before, "the answer that waited")
    (row,) = [row for row in server.rows() if row.id not in before]
    assert (row.corrected_label, row.source) == ("green", "upload")
    expect(page.locator("#mine summary")).to_have_text("My answers (1)")


def test_my_answers_are_there_after_a_reload_and_each_can_be_undone(page: Page, server: Server) -> None:
    choose(page, encoded(picture("red")))
    row = kept(page, server, "Green")
    page.reload()
    page.locator("#mine summary").click()
    expect(mine(page).locator("img")).to_be_visible()
    expect(mine(page)).to_contain_text("saved")
    page.get_by_role("button", name="Undo: You said: Green").click()
    expect(mine(page)).to_have_count(0)
    assert row.id not in [other.id for other in server.rows()]


def test_the_list_can_be_cleared_without_touching_what_was_said(page: Page, server: Server) -> None:
    choose(page, encoded(picture("red")))
    row = kept(page, server, "Green")
    page.locator("#mine summary").click()
    page.get_by_role("button", name="Clear this list").click()
    expect(mine(page)).to_have_count(0)
    assert row.id in [other.id for other in server.rows()]
    assert page.evaluate(ANSWERS) == []


def test_a_correction_in_the_list_of_photos_is_undone_there(page: Page, server: Server) -> None:
    photos = [
        {"name": f"{name}.jpg", "mimeType": "image/jpeg", "buffer": encoded(picture(name))} for name in ("red", "blue")
    ]
    page.set_input_files("#photo input[type=file]", photos)
    page.get_by_label("Correct the label: red.jpg").select_option("green")
    expect(page.locator("#several .said").filter(has_text="Noted")).to_be_visible()
    row = server.rows()[-1]
    page.locator("#several").get_by_role("button", name="Undo").click()
    expect(page.locator("#several .said").filter(has_text="Undone")).to_be_visible()
    assert row.id not in [other.id for other in server.rows()]


def test_the_list_of_photos_is_filtered_by_answer_and_turned_round(page: Page) -> None:
    colours: dict[str, Any] = {"red.jpg": "red", "grey.jpg": (150, 120, 100), "blue.jpg": "blue"}
    photos = [
        {"name": name, "mimeType": "image/jpeg", "buffer": encoded(picture(colour))} for name, colour in colours.items()
    ]
    page.set_input_files("#photo input[type=file]", photos)
    expect(page.get_by_role("button", name="All (3)")).to_be_visible()
    page.get_by_role("button", name="Blue (1)").click()
    expect(page.locator("#several li:visible .file")).to_have_text(["blue.jpg"])
    page.get_by_role("button", name="All (3)").click()
    page.get_by_label("Order").select_option("1")
    expect(page.locator("#several .file").first).to_have_text("grey.jpg")
    page.locator("#several li", has_text="red.jpg").locator(".enlarge").click()
    page.locator("#enlarged").get_by_role("button", name="Why?").click()
    expect(page.locator("#enlarged img")).to_have_count(2)
    page.keyboard.press("Escape")
    expect(page.locator("#enlarged")).to_have_count(0)


def test_a_large_photo_is_made_small_and_upright_before_it_is_sent(page: Page, server: Server) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # shot with the camera turned: stored lying, shown standing
    photo = encoded(noisy((2400, 1600)), exif=exif)
    page.evaluate(
        "() => { const { send } = XMLHttpRequest.prototype;"
        " XMLHttpRequest.prototype.send = function (body) { window.sent ??= body; return send.call(this, body); }; }"
    )
    choose(page, photo)
    expect(verdict(page)).to_have_text("Red")
    kind, size, *sides = page.evaluate(
        "async () => { const bitmap = await createImageBitmap(window.sent);"
        " return [window.sent.type, window.sent.size, bitmap.width, bitmap.height]; }"
    )
    assert len(photo) > 1_000_000
    assert kind == "image/jpeg"
    assert 512 <= sides[1] <= 1024
    assert sides[0] / sides[1] == pytest.approx(2 / 3, abs=0.01)
    assert size < 120_000  # noise, more than any photo has


def test_while_a_photo_is_sent_it_is_shown_and_the_old_answer_cannot_be_confirmed(page: Page, server: Server) -> None:
    choose(page, encoded(picture("red")))
    expect(verdict(page)).to_have_text("Red")
    held: list[Route] = []
    page.route("**/page/photo?*", lambda route: held.append(route))  # noqa: PLW0108 - Playwright marks its handlers
    choose(page, encoded(picture("blue")))
    expect(page.locator("#sending")).to_be_visible()
    expect(page.locator("#photo img")).to_be_visible()
    expect(page.locator("#answer .place.old")).to_be_visible()
    assert page.evaluate("document.querySelector('#ask .place').inert")
    wait_for(lambda: held or page.wait_for_timeout(20), "the request")
    held[0].continue_()
    expect(verdict(page)).to_have_text("Blue")
    expect(page.locator("#sending")).to_be_hidden()
    page.unroute("**/page/photo?*")


def test_title_and_drop_zone_need_no_script(browser: Browser, server: Server) -> None:
    with browser.new_context(java_script_enabled=False, locale="fr") as plain:
        page = plain.new_page()
        page.goto(server.url)
        expect(page.locator("#first h1")).to_contain_text("Red, green ou blue")
        expect(page.locator("#first label")).to_contain_text("Choisissez des photos")
        assert "<noscript><p>Cette page a besoin de JavaScript" in page.content()
        assert page.title().startswith("Red, green ou blue")


@pytest.mark.parametrize(
    ("header", "language", "words"),
    [
        ("fr,de", "fr", ("La réponse s'affiche ici.", "Exact")),
        ("de", "de", ("Hier erscheint die Antwort.", "Stimmt")),
        ("ja-JP", "ja", ("ここに答えが表示されます。", "正解")),
        ("ar", "en", ("The answer appears here.", "Right")),
    ],
)
def test_the_whole_page_speaks_one_language(
    browser: Browser, server: Server, header: str, language: str, words: tuple[str, str]
) -> None:
    with browser.new_context(extra_http_headers={"Accept-Language": header}, locale=header[:2]) as visitor:
        page = visitor.new_page()
        page.goto(server.url)
        expect(page.locator("#answer .waiting")).to_have_text(words[0], timeout=TIMEOUT_MS)
        choose(page, encoded(picture("red")))
        expect(page.locator("#right")).to_have_text(words[1])
        expect(page.locator("html")).to_have_attribute("lang", language)
        expect(page.locator("#language")).to_have_value(language)
        assert "%%" not in page.content()


def test_the_language_that_is_chosen_is_remembered(browser: Browser, server: Server) -> None:
    with browser.new_context(locale="en") as visitor:
        page = opened(visitor, server)
        page.get_by_label("Language").select_option("es")
        expect(page.locator("#answer .waiting")).to_have_text("La respuesta aparece aquí.", timeout=TIMEOUT_MS)
        again = visitor.new_page()
        again.goto(server.url)
        expect(again.locator("#answer .waiting")).to_have_text("La respuesta aparece aquí.", timeout=TIMEOUT_MS)
        expect(again.locator("html")).to_have_attribute("lang", "es")


@pytest.mark.parametrize("size", [(80, 240), (240, 80), (120, 120)], ids=["tall", "wide", "square"])
def test_the_heat_map_lies_on_the_photo_and_nowhere_else(page: Page, size: tuple[int, int]) -> None:
    choose(page, encoded(picture("red", size)))
    expect(verdict(page)).to_have_text("Red")
    page.click("#why")
    expect(page.locator("#heat img")).to_be_visible()
    page.evaluate("document.querySelector('#heat img').decode()")
    page.add_style_tag(content="#heat img { background: #00f } #photo { background: #fff !important }")
    page.locator("#heat img").evaluate(
        "(image) => { const c = document.createElement('canvas'); [c.width, c.height] = [image.naturalWidth, image.naturalHeight];"
        " const x = c.getContext('2d'); x.fillStyle = '#0f0'; x.fillRect(0, 0, c.width, c.height); image.style.background = 'none';"
        " image.src = c.toDataURL(); return image.decode(); }"
    )  # an opaque layer of the map's own shape
    shot = Image.open(io.BytesIO(page.locator("#frame").screenshot())).convert("RGB")
    colours = {colour: count for count, colour in shot.getcolors(shot.width * shot.height) or []}
    assert colours.get((0, 255, 0), 0) > 5000
    reds = sum(count for (r, g, b), count in colours.items() if r > 200 and g < 60 and b < 60)
    assert reds < 0.02 * colours[(0, 255, 0)]  # nothing of the photo is left uncovered


@pytest.mark.parametrize(
    ("colour", "answer", "words"),
    [
        ("red", "Several, or can't tell", "Nothing is learned from"),
        ("red", "Green", "Once reviewed, the next model can learn"),
        ("white", "Several, or can't tell", "Nothing is learned from"),
    ],
)
def test_thanks_say_what_is_true(page: Page, colour: str, answer: str, words: str) -> None:
    choose(page, encoded(picture(colour)))
    expect(verdict(page)).to_be_visible()
    if page.locator("#wrong").count():
        page.click("#wrong")
    page.locator("#choices").get_by_text(answer, exact=True).click()
    expect(page.locator("#thanks .thanks")).to_contain_text(words)


def test_arrows_move_through_the_choices_and_the_one_they_stop_at_is_sent(page: Page, server: Server) -> None:
    choose(page, encoded(picture("red")))
    expect(verdict(page)).to_have_text("Red")
    before = {row.id for row in server.rows()}
    page.focus("#wrong")
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#thanks .thanks")).to_contain_text("Noted as “None of these”")
    (row,) = [row for row in server.rows() if row.id not in before]
    assert row.corrected_label == "neither"


def test_focus_stays_with_the_photo_and_what_is_said_of_it(page: Page) -> None:
    page.focus("#photo input")
    choose(page, encoded(picture("red")))
    expect(verdict(page)).to_have_text("Red")
    expect(page.locator("#remove")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#photo input")).to_be_focused()
    choose(page, encoded(picture("red")))
    expect(verdict(page)).to_have_text("Red")
    page.click("#right")
    page.get_by_role("button", name="Undo", exact=True).click()
    expect(page.locator("#thanks")).to_contain_text("Undone")
    expect(page.locator("#wrong")).to_be_focused()


def test_everything_that_is_pressed_is_large_enough_for_a_finger(browser: Browser, server: Server) -> None:
    with browser.new_context(viewport={"width": 390, "height": 844}) as phone:
        page = opened(phone, server)
        choose(page, encoded(picture("red")))
        kept(page, server, "Green")
        page.locator("#mine summary").click()
        for each in page.locator(":is(button, select, summary, #foot a, #choices label):visible").all():
            box = each.bounding_box()
            assert box
            if not each.evaluate("(e) => e.closest('footer') !== null"):  # Gradio's own
                assert box["height"] >= 43.5, each.evaluate("(e) => e.outerHTML")


def test_with_forced_colours_the_bars_still_tell_how_sure_it_is(browser: Browser, server: Server) -> None:
    with browser.new_context(forced_colors="active") as visitor:
        page = opened(visitor, server)
        choose(page, encoded(picture("red")))
        fill, track = page.locator(".bars .top .fill"), page.locator(".bars .top .track")
        expect(fill).to_be_visible()
        look = "(e) => getComputedStyle(e).backgroundColor"
        assert fill.evaluate(look) != page.locator("#answer .answer").evaluate(look)
        assert track.evaluate("(e) => getComputedStyle(e).borderTopStyle") == "solid"
