"""What a browser remembers of a person's answers, where it cannot store anything, in two tabs, and in another language."""

import json
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.toy import encoded, picture
from tests.web.conftest import Server, wait_for
from tests.web.page.test_layout import TIMEOUT_MS, browser, choose, context, kept, opened, verdict
from tests.web.page.test_stories import ANSWERS, correct, mine, opened_page, page

__all__ = ["browser", "context", "opened_page", "page"]  # fixtures

pytestmark = pytest.mark.browser

PRIVATE = """Object.defineProperty(window, "localStorage", {
  get() { throw new DOMException("The operation is insecure.", "SecurityError"); } });"""
FULL = """Storage.prototype.setItem = () => { throw new DOMException("", "QuotaExceededError"); };"""
FORGET_RECEIPTS = """localStorage.setItem("catdog.answers", JSON.stringify(
  JSON.parse(localStorage.getItem("catdog.answers")).map((said) => ({ ...said, receipts: [] }))))"""
REFUSED = {"error": "rate_limited", "detail": "Too many corrections. Try again in a minute."}
PHOTOS = [
    {"name": f"{name}.jpg", "mimeType": "image/jpeg", "buffer": encoded(picture(name))} for name in ("red", "blue")
]


@pytest.mark.parametrize("broken", [PRIVATE, FULL], ids=["private", "full"])
def test_where_the_browser_stores_nothing_an_answer_can_still_be_undone_and_wait(
    browser: Browser, server: Server, broken: str
) -> None:
    with browser.new_context() as visitor:
        visitor.set_default_timeout(TIMEOUT_MS)
        visitor.add_init_script(broken)
        page = opened(visitor, server)
        choose(page, encoded(picture("red")))
        row = kept(page, server, "Green")
        page.click("#take-back")
        expect(page.locator("#thanks")).to_contain_text("Undone")
        assert row.id not in [other.id for other in server.rows()]
        visitor.set_offline(True)
        page.locator("#choices").get_by_text("Blue", exact=True).click()
        expect(page.locator("#thanks")).to_contain_text("Keep this page open until then")
        page.locator("#mine summary").click()
        expect(mine(page)).to_contain_text("waiting to be sent")
        visitor.set_offline(False)
        expect(page.locator("#thanks .message")).to_have_text("Saved. Thank you!")
        assert server.rows()[-1].corrected_label == "blue"


def test_a_full_store_gives_up_the_oldest_answers_but_never_the_newest(page: Page, server: Server) -> None:
    page.evaluate(
        "() => { const { setItem } = Storage.prototype; Storage.prototype.setItem = function (key, value) {"
        " if (JSON.parse(value).length > 1) throw new DOMException('', 'QuotaExceededError');"
        " setItem.call(this, key, value); }; }"
    )
    for colour, answer in (("red", "Green"), ("blue", "Red")):
        choose(page, encoded(picture(colour)))
        expect(verdict(page)).to_have_text(colour.capitalize())
        kept(page, server, answer)
    assert [each["label"] for each in page.evaluate(ANSWERS)] == ["red"]
    page.click("#take-back")
    expect(page.locator("#thanks")).to_contain_text("Undone")


def test_once_the_list_is_cleared_nothing_claims_to_be_undone(page: Page, server: Server) -> None:
    choose(page, encoded(picture("red")))
    row = kept(page, server, "Green")
    page.locator("#mine summary").click()
    page.get_by_role("button", name="Clear this list").click()
    expect(page.locator("#take-back")).to_be_hidden()
    assert row.id in [other.id for other in server.rows()]


def test_what_is_undone_in_the_list_is_undone_beside_the_photo(page: Page, server: Server) -> None:
    choose(page, encoded(picture("red")))
    kept(page, server, "Green")
    page.locator("#mine summary").click()
    page.get_by_role("button", name="Undo: You said: Green").click()
    expect(page.locator("#thanks .message")).to_contain_text("Undone")
    expect(page.locator("#take-back")).to_be_hidden()
    expect(page.locator("#choices :checked")).to_have_count(0)


def test_what_is_undone_in_my_answers_is_undone_in_the_list_of_photos(page: Page) -> None:
    page.set_input_files("#photo input[type=file]", PHOTOS)
    page.get_by_label("Correct the label: red.jpg").select_option("green")
    expect(page.locator("#several .said").filter(has_text="Noted")).to_be_visible()
    page.locator("#mine summary").click()
    page.get_by_role("button", name="Undo: You said: Green").click()
    expect(page.locator("#several .said").filter(has_text="Undone")).to_be_visible()
    expect(page.get_by_label("Correct the label: red.jpg")).to_have_value("")


def test_two_tabs_that_send_the_same_answer_can_both_undo_it(context: BrowserContext, server: Server) -> None:
    one, other = opened(context, server), opened(context, server)
    one.evaluate("localStorage.clear()")
    choose(one, encoded(picture("red")))
    expect(verdict(one)).to_have_text("Red")
    before = {row.id for row in server.rows()}
    context.set_offline(True)
    correct(one, "Green")
    expect(one.locator("#thanks .message")).to_contain_text("kept in this browser")
    expect(mine(other)).to_have_count(1)  # hidden in its folded list
    context.set_offline(False)  # both tabs send it now
    for tab in (one, other):
        tab.locator("#mine summary").click()
        expect(mine(tab)).to_contain_text("saved")
    (row,) = [row for row in server.rows() if row.id not in before]
    other.get_by_role("button", name="Undo: You said: Green").click()
    expect(mine(other)).to_have_count(0)
    expect(mine(one)).to_have_count(0)
    expect(one.locator("#take-back")).to_be_hidden()
    assert row.id not in [each.id for each in server.rows()]
    one.close()
    other.close()


def test_a_tab_that_writes_an_older_list_loses_no_receipt_of_another(context: BrowserContext, server: Server) -> None:
    one, other = opened(context, server), opened(context, server)
    one.evaluate("localStorage.clear()")
    choose(one, encoded(picture("red")))
    row = kept(one, server, "Green")
    other.evaluate(FORGET_RECEIPTS)
    other.locator("#mine summary").click()
    wait_for(lambda: all(each["receipts"] for each in other.evaluate(ANSWERS)), "the receipts")
    other.get_by_role("button", name="Undo: You said: Green").click()
    expect(mine(other)).to_have_count(0)
    assert row.id not in [each.id for each in server.rows()]
    one.close()
    other.close()


def test_a_choice_that_was_refused_can_be_made_again(page: Page, server: Server) -> None:
    choose(page, encoded(picture("red")))
    expect(verdict(page)).to_have_text("Red")
    page.route("**/feedback", lambda route: route.fulfill(status=429, json=REFUSED))
    correct(page, "Green")
    expect(page.locator("#thanks .problem")).to_contain_text("Too many corrections")
    page.unroute("**/feedback")
    page.locator("#choices").get_by_text("Green", exact=True).click()
    expect(page.locator("#thanks .thanks")).to_contain_text("Noted as “Green”")
    assert server.rows()[-1].corrected_label == "green"


def test_a_refused_correction_in_the_list_of_photos_can_be_made_again(page: Page, server: Server) -> None:
    page.set_input_files("#photo input[type=file]", PHOTOS)
    page.route("**/feedback", lambda route: route.fulfill(status=429, json=REFUSED))
    page.get_by_label("Correct the label: red.jpg").select_option("green")
    expect(page.locator("#several .problem")).to_contain_text("Too many corrections")
    page.unroute("**/feedback")
    page.get_by_label("Correct the label: red.jpg").select_option("green")
    expect(page.locator("#several .said").filter(has_text="Noted")).to_be_visible()
    assert server.rows()[-1].corrected_label == "green"


def test_what_failed_in_the_list_of_photos_can_be_tried_again(page: Page) -> None:
    page.route("**/page/photo?*", lambda route: route.abort())
    page.set_input_files("#photo input[type=file]", PHOTOS)
    expect(page.locator("#several li.problem")).to_have_count(2)
    expect(page.locator("#several li.problem").first).to_contain_text("can't be reached")
    page.unroute("**/page/photo?*")
    page.locator("#several li", has_text="red.jpg").get_by_role("button", name="Try again").click()
    expect(page.locator("#several li b")).to_have_text(["Red"])
    expect(page.get_by_role("button", name="Red (1)")).to_be_visible()
    page.get_by_label("Correct the label: red.jpg").select_option("green")
    expect(page.locator("#several .said").filter(has_text="Noted")).to_be_visible()


def test_what_was_said_last_is_sent_last(page: Page, server: Server) -> None:
    choose(page, encoded(picture("red")))
    expect(verdict(page)).to_have_text("Red")
    held: list[Any] = []
    page.route("**/feedback", lambda route: held.append(route) if not held else route.continue_())
    correct(page, "Green")
    wait_for(lambda: held or page.wait_for_timeout(20), "the first answer")
    page.locator("#choices").get_by_text("Blue", exact=True).click()
    held[0].continue_()
    expect(page.locator("#thanks .thanks")).to_contain_text("Noted as “Blue”")
    assert server.rows()[-1].corrected_label == "blue"
    (said,) = page.evaluate(ANSWERS)
    assert (said["label"], len(said["receipts"])) == ("blue", 2)


def test_answers_are_told_in_the_language_that_the_page_speaks_now(browser: Browser, server: Server) -> None:
    with browser.new_context(locale="en") as visitor:
        visitor.set_default_timeout(TIMEOUT_MS)
        page = opened(visitor, server)
        choose(page, encoded(picture("red")))
        kept(page, server, "None of these", "neither")
        page.get_by_label("Language").select_option("de")
        expect(page.locator("#answer .waiting")).to_have_text("Hier erscheint die Antwort.")
        page.locator("#mine summary").click()
        expect(mine(page)).to_contain_text("Du hast gesagt: Nichts davon")


def test_what_waits_is_sent_after_the_language_has_changed(browser: Browser, server: Server) -> None:
    with browser.new_context(locale="en") as visitor:
        visitor.set_default_timeout(TIMEOUT_MS)
        page = opened(visitor, server)
        choose(page, encoded(picture("red")))
        expect(verdict(page)).to_have_text("Red")
        before = {row.id for row in server.rows()}
        page.route("**/feedback", lambda route: route.abort())
        correct(page, "Blue")
        expect(page.locator("#thanks .message")).to_contain_text("kept in this browser")
        page.unroute("**/feedback")
        page.get_by_label("Language").select_option("fr")
        expect(page.locator("#mine summary")).to_have_text("Mes réponses (1)")
        wait_for(lambda: {row.id for row in server.rows()} - before, "the answer that waited")
        assert server.rows()[-1].corrected_label == "blue"


def test_my_answers_survive_whatever_else_is_stored_there(context: BrowserContext, server: Server) -> None:
    page = opened(context, server)
    for junk in ("not JSON", "{}", "null", json.dumps([None, {"id": "x"}, 3])):
        page.evaluate("(junk) => localStorage.setItem('catdog.answers', junk)", junk)
        page.reload()
        expect(page.locator("#answer .waiting")).to_be_visible()
        expect(page.locator("#mine li")).to_have_count(0)
    page.close()
