"""The maintainer's pages: over HTTP as an attacker tries them, and in a real browser as a maintainer uses them."""

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from feedback.decision import Status, newest
from feedback.journal.journal import Journal
from feedback.row import FeedbackRow, Source
from tests.feedback.rows import some_row
from tests.toy import COLOURS, textured
from tests.web.admin_client import TOKEN, csrf, log_in
from tests.web.conftest import Server, running, wait_for
from tests.web.page.test_layout import FLAGS, TIMEOUT_MS, find_chromium
from web.admin.routes import COOKIE
from web.admin.sessions import Sessions
from web.admin.view import Query

HOSTILE = "<img src=x onerror=alert(1)>\"'"


@pytest.fixture(scope="module")
def admin_server(tmp_path_factory: pytest.TempPathFactory, toy_folder: Path) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("admin"), toy_folder, admin_token=TOKEN, trusted_proxies=1) as server:
        yield server


@pytest.fixture
def rows(admin_server: Server) -> Iterator[list[FeedbackRow]]:
    """Four rows, the most useful first; gone after the test."""
    with Journal.open(admin_server.data_dir) as journal:
        kept = [coloured("red", "green", 0.96 - 0.1 * i) for i in range(4)]
        receipts = [journal.append(row).receipt for row in kept]
        yield kept
        for receipt in filter(None, receipts):
            journal.delete(receipt)


def coloured(predicted: str, said: str, confidence: float, **changes: object) -> FeedbackRow:
    rest = (1 - confidence) / 2
    return dataclasses.replace(
        some_row(picture=textured(predicted)),
        labels=COLOURS,
        predicted_label=predicted,
        verdict=predicted,
        probabilities=tuple(confidence if colour == predicted else rest for colour in COLOURS),
        corrected_label=said,
        **changes,  # type: ignore[arg-type]
    )


_address = iter(range(10_000))


def visitor(server: Server) -> httpx.Client:
    """Somebody at an address of their own, so that one test's logins do not count against another's."""
    number = next(_address)
    headers = {"X-Forwarded-For": f"203.0.{number // 250}.{number % 250 + 1}"}
    return httpx.Client(base_url=server.url, timeout=30, headers=headers)


@pytest.fixture
def maintainer(admin_server: Server) -> Iterator[httpx.Client]:
    with visitor(admin_server) as http:
        assert log_in(http).status_code == 303
        yield http


def decided(server: Server) -> dict[str, tuple[str, str | None, str, str]]:
    with Journal.open(server.data_dir) as journal:
        return {
            row_id: (each.status.value, each.corrected_label, each.by, each.reason)
            for row_id, each in newest(journal.decisions()).items()
        }


def test_without_a_token_in_the_settings_there_is_no_such_page(client: httpx.Client) -> None:
    for path in ("/admin", "/admin/style.css", "/admin/picture/1"):
        assert client.get(path).status_code == 404
    assert client.post("/admin/login", data={"token": "", "name": "Ann"}).status_code == 404


def test_a_stranger_sees_the_login_and_nothing_else(admin_server: Server, rows: list[FeedbackRow]) -> None:
    with visitor(admin_server) as http:
        page = http.get("/admin")
        assert page.status_code == 200
        assert 'type="password"' in page.text
        assert rows[0].id not in page.text
        assert http.get(f"/admin/picture/{rows[0].id}").status_code == 401
        assert http.post("/admin/decide", data={"do": f"accept:{rows[0].id}"}).status_code == 401
        assert http.get("/admin", headers={"Cookie": f"{COOKIE}=made-up"}).text == page.text
    assert rows[0].id not in decided(admin_server)


@pytest.mark.parametrize(("token", "name"), [("wrong", "Ann"), ("", "Ann"), (TOKEN, " "), (TOKEN + "\ud800", "Ann")])
def test_a_wrong_token_or_no_name_lets_nobody_in(token: str, name: str, admin_server: Server) -> None:
    with visitor(admin_server) as http:
        answer = http.post("/admin/login", data={"token": token.encode("utf-8", "replace"), "name": name})
        assert answer.status_code == 403
        assert "not the token" in answer.text
        assert "Set-Cookie" not in answer.headers


def test_guessing_is_slowed_down_and_the_token_is_in_no_log(admin_server: Server) -> None:
    with visitor(admin_server) as http:
        answers: list[httpx.Response] = []
        wait_for(lambda: answers.append(log_in(http, "guess")) or answers[-1].status_code == 429, "the limit")
        assert {answer.status_code for answer in answers[:-1]} == {403}
        assert len(answers) > 10
        assert "Too many requests" in answers[-1].text
        assert int(answers[-1].headers["Retry-After"]) > 0
    with visitor(admin_server) as other:
        assert log_in(other).status_code == 303
    log = admin_server.log.read_text()
    assert "login to the review page failed" in log
    assert TOKEN not in log
    assert "guess" not in log


def test_the_cookie_is_out_of_reach_and_goes_over_plain_http_on_loopback_alone(admin_server: Server) -> None:
    with visitor(admin_server) as behind_a_proxy:
        cookie = log_in(behind_a_proxy).headers["Set-Cookie"]
        assert {"HttpOnly", "Secure", "SameSite=strict", "Path=/admin", "Max-Age=28800"} <= set(cookie.split("; "))
    with httpx.Client(base_url=admin_server.url, timeout=30) as here:
        cookie = log_in(here).headers["Set-Cookie"]
        assert {"HttpOnly", "SameSite=strict"} <= set(cookie.split("; "))
        assert "Secure" not in cookie
        elsewhere = here.post("/admin/login", data={"token": TOKEN, "name": "Ann"}, headers={"Host": "example.org"})
        assert "Secure" in elsewhere.headers["Set-Cookie"]


def test_a_browser_that_keeps_no_cookie_is_told_why(admin_server: Server) -> None:
    with visitor(admin_server) as http:
        assert http.post("/admin/login", data={"token": TOKEN, "name": "Ann"}).headers["Location"] == "/admin?entered=1"
        http.cookies.clear()
        assert "over https" in http.get("/admin?entered=1").text


def test_the_page_brings_its_own_rules(maintainer: httpx.Client, rows: list[FeedbackRow]) -> None:
    for path, kind in (
        ("/admin", "text/html"), ("/admin/style.css", "text/css"), ("/admin/script.js", "text/javascript"),
        (f"/admin/picture/{rows[0].id}", "image/jpeg"),
    ):  # fmt: skip
        answer = maintainer.get(path)
        assert answer.headers["Content-Type"].startswith(kind)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
    assert maintainer.get(f"/admin/picture/{rows[0].id}").content == rows[0].image
    assert maintainer.get("/admin").headers["Cache-Control"] == "no-store"
    page = maintainer.get("/admin").text
    assert not re.search(r"<script>|<style>| style=| on[a-z]+=", page)


@pytest.mark.parametrize("given", [None, "wrong", ""])
def test_an_action_without_the_pages_secret_does_nothing(
    given: str | None, maintainer: httpx.Client, admin_server: Server, rows: list[FeedbackRow]
) -> None:
    data = {"do": f"accept:{rows[0].id}"} | ({} if given is None else {"csrf": given})
    assert maintainer.post("/admin/decide", data=data).status_code == 403
    answer = maintainer.post("/admin/decide", data=data, headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["error"]) == (403, "forbidden")
    assert maintainer.post("/admin/logout", data=data).status_code == 403
    assert "Log out" in maintainer.get("/admin").text
    assert rows[0].id not in decided(admin_server)


def test_another_logins_secret_is_refused(maintainer: httpx.Client, admin_server: Server) -> None:
    with visitor(admin_server) as other:
        log_in(other, name="Bob")
        secret = csrf(other)
    assert maintainer.post("/admin/decide", data={"csrf": secret, "do": "accept:1"}).status_code == 403


def test_after_logging_out_the_cookie_is_worth_nothing(maintainer: httpx.Client) -> None:
    assert maintainer.post("/admin/logout", data={"csrf": csrf(maintainer)}).status_code == 303
    assert 'type="password"' in maintainer.get("/admin").text


def test_a_session_ends_after_its_time() -> None:
    now = [0.0]
    sessions = Sessions(lifetime_s=60, clock=lambda: now[0])
    cookie = sessions.start("Ann")
    now[0] = 59.9
    session = sessions.find(cookie)
    assert session
    assert session.name == "Ann"
    now[0] = 60
    assert sessions.find(cookie) is None


def test_the_oldest_of_very_many_logins_ends() -> None:
    sessions = Sessions()
    first, *_, last = (sessions.start("Ann") for _ in range(101))
    assert sessions.find(first) is None
    assert sessions.find(last)


def test_a_program_decides_and_is_answered_in_json(
    maintainer: httpx.Client, admin_server: Server, rows: list[FeedbackRow]
) -> None:
    secret = csrf(maintainer)

    def post(do: str, **fields: object) -> httpx.Response:
        data = {"csrf": secret, "do": do, **fields}
        return maintainer.post("/admin/decide", data=data, headers={"Accept": "application/json"})

    (decision,) = post(f"accept:{rows[0].id}:blue", reason="looked").json()["decisions"]
    assert (decision["status"], decision["corrected_label"], decision["by"]) == ("accepted", "blue", "Ann")
    assert decided(admin_server)[rows[0].id] == ("accepted", "blue", "Ann", "looked")
    assert len(post("reject", id=[rows[1].id, rows[2].id]).json()["decisions"]) == 2
    assert [decided(admin_server)[row.id][0] for row in rows[1:3]] == ["rejected", "rejected"]
    for do, status, error in (
        ("accept:nothing", 404, "not_found"),
        (f"accept:{rows[3].id}:purple", 422, "unknown_label"),
        ("accept", 404, "not_found"),
        (f"destroy:{rows[3].id}", 404, "not_found"),
        ("", 404, "not_found"),
    ):
        answer = post(do)
        assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert rows[3].id not in decided(admin_server)


def test_the_page_works_without_scripts(
    maintainer: httpx.Client, admin_server: Server, rows: list[FeedbackRow]
) -> None:
    data = {"csrf": csrf(maintainer), "do": f"accept:{rows[0].id}", "status": "any", "label": "green", "page": "1"}
    answer = maintainer.post("/admin/decide", data=data)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/admin?status=any&label=green")
    assert decided(admin_server)[rows[0].id][0] == "accepted"
    failed = maintainer.post("/admin/decide", data=data | {"do": "accept:nothing"})
    assert failed.status_code == 404
    assert "There is no feedback row" in failed.text
    assert rows[1].id in failed.text


def test_whatever_people_sent_is_shown_as_text(admin_server: Server, maintainer: httpx.Client) -> None:
    row = coloured("red", HOSTILE, 0.9, model_id=HOSTILE)
    row = dataclasses.replace(row, labels=("red", "green", HOSTILE), model_revision=HOSTILE)
    with Journal.open(admin_server.data_dir) as journal:
        receipt = journal.append(row).receipt
        secret = csrf(maintainer)
        data = {"csrf": secret, "do": f"accept:{row.id}", "reason": HOSTILE}
        assert maintainer.post("/admin/decide", data=data, headers={"Accept": "application/json"}).status_code == 200
        page = maintainer.get("/admin", params={"status": "any", "label": HOSTILE, "since": HOSTILE, "source": HOSTILE})
        listed = maintainer.get("/admin", params={"status": "any"})
        assert receipt
        journal.delete(receipt)
    for answer in (page, listed):
        assert "<img src=x" not in answer.text
    assert listed.text.count("&lt;img src=x onerror=alert(1)&gt;&#34;&#39;") >= 5
    with visitor(admin_server) as other:
        log_in(other, name=HOSTILE)
        assert "<img src=x" not in other.get("/admin").text


def test_a_card_says_why_it_comes_up_without_contradicting_itself(
    admin_server: Server, maintainer: httpx.Client
) -> None:
    with Journal.open(admin_server.data_dir) as journal:
        for confidence, words in ((0.97, ["model was sure"]), (0.7, []), (0.5, ["model was not sure"])):
            receipt = journal.append(coloured("red", "green", confidence)).receipt
            assert re.findall(r"<li>([^<]+)</li>", maintainer.get("/admin").text) == words
            assert receipt
            journal.delete(receipt)


def test_filters_that_make_no_sense_count_as_none() -> None:
    query = Query.of({"status": "?", "page": "-1", "since": "soon"})
    assert (query.status, query.page, query.filter.since) == ("pending", 1, None)
    assert Query.of({"page": "9" * 30}).page == 1
    assert Query.of({"status": "any", "label": "a&b", "page": "2"}).address() == "?status=any&label=a%26b&page=2"


def test_filters_show_what_they_say(maintainer: httpx.Client, admin_server: Server, rows: list[FeedbackRow]) -> None:
    with Journal.open(admin_server.data_dir) as journal:
        other = coloured("blue", "red", 0.9, source=Source.API)
        receipt = journal.append(other).receipt

        def shown(**filters: str) -> list[str]:
            return re.findall(r'data-id="([^"]+)"', maintainer.get("/admin", params=filters).text)

        assert shown(predicted="blue") == shown(label="red") == shown(source="api") == [other.id]
        assert shown(since="2999-01-01") == shown(status="rejected") == []
        assert set(shown(status="any")) == {other.id, *(row.id for row in rows)}
        assert shown(predicted="red") == [row.id for row in rows]
        assert receipt
        journal.delete(receipt)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=find_chromium(playwright), args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser, admin_server: Server, rows: list[FeedbackRow]) -> Iterator[Page]:
    """The queue, opened by a maintainer who logged in."""
    with browser.new_context(extra_http_headers={}) as context:
        context.set_default_timeout(TIMEOUT_MS)
        expect.set_options(timeout=TIMEOUT_MS)
        page = context.new_page()
        problems: list[str] = []
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.goto(f"{admin_server.url}/admin")
        page.get_by_label("Your name").fill("Ann")
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_role("button", name="Log in").click()
        expect(page.locator(".card")).to_have_count(len(rows))
        page.wait_for_load_state()  # until then, keys are not listened to
        yield page
        assert not [text for text in problems if "Content Security Policy" in text]


def card(page: Page, row: FeedbackRow) -> Locator:
    return page.locator(f'.card[data-id="{row.id}"]')


@pytest.mark.browser
def test_the_queue_is_worked_by_keyboard(page: Page, admin_server: Server, rows: list[FeedbackRow]) -> None:
    keys = page.keyboard
    keys.press("j")
    expect(card(page, rows[0])).to_be_focused()
    keys.press("a")
    expect(card(page, rows[0])).to_have_attribute("data-status", "accepted")
    expect(card(page, rows[0]).locator(".decided")).to_have_text("Accepted as green by Ann")
    expect(card(page, rows[1])).to_be_focused()
    keys.press("r")
    expect(card(page, rows[1])).to_have_attribute("data-status", "rejected")
    keys.press("3")
    expect(card(page, rows[2]).locator(".decided")).to_have_text("Accepted as blue by Ann")
    expect(page.locator("#counts")).to_contain_text("1 pending")
    expect(page.locator("#counts")).to_contain_text("2 accepted")
    for _ in range(2):
        keys.press("k")
    keys.press("u")
    expect(card(page, rows[1])).to_have_attribute("data-status", "pending")
    keys.press("r")
    expect(card(page, rows[1])).to_have_attribute("data-status", "rejected")
    keys.press("u")  # on the next card by now, and still about what was just decided
    expect(card(page, rows[1])).to_have_attribute("data-status", "pending")
    expect(card(page, rows[1])).to_be_focused()
    assert decided(admin_server) == {
        rows[0].id: ("accepted", "green", "Ann", ""),
        rows[1].id: ("pending", None, "Ann", ""),
        rows[2].id: ("accepted", "blue", "Ann", ""),
    }


@pytest.mark.browser
def test_several_are_selected_and_accepted_at_once_with_a_reason(
    page: Page, admin_server: Server, rows: list[FeedbackRow]
) -> None:
    page.get_by_label("Reason").fill("clear photos, ajrk1 u")  # keys in a field are text
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    for key in ("ArrowRight", "Space", "ArrowRight", "ArrowRight", "Space"):
        page.keyboard.press(key)
    expect(page.locator("#selected")).to_have_text("2 selected")
    page.keyboard.press("Shift+A")
    expect(card(page, rows[2])).to_have_attribute("data-status", "accepted")
    expect(page.locator("#selected")).to_have_text("0 selected")
    assert decided(admin_server) == {
        row.id: ("accepted", "green", "Ann", "clear photos, ajrk1 u") for row in (rows[0], rows[2])
    }
    page.keyboard.press("Shift+A")
    expect(page.get_by_role("alert")).to_contain_text("Select rows first")


@pytest.mark.browser
def test_buttons_do_the_same_and_the_photo_is_shown(page: Page, admin_server: Server, rows: list[FeedbackRow]) -> None:
    wait_for(lambda: card(page, rows[0]).locator("img").evaluate("image => image.naturalWidth") == 120, "the photo")
    card(page, rows[0]).get_by_role("button", name="Reject").click()
    expect(card(page, rows[0])).to_have_attribute("data-status", "rejected")
    card(page, rows[1]).get_by_role("button", name="neither").click()
    expect(card(page, rows[1]).locator(".decided")).to_have_text("Accepted as neither by Ann")
    page.reload()
    expect(page.locator(".card")).to_have_count(2)
    page.locator("summary").click()
    page.get_by_label("Status").select_option("rejected")
    page.get_by_role("button", name="Show").click()
    expect(page.locator(".card")).to_have_count(1)
    expect(card(page, rows[0]).locator(".decided")).to_have_text("Rejected by Ann")
    assert set(decided(admin_server)) == {rows[0].id, rows[1].id}


@pytest.mark.browser
def test_what_fails_is_told_and_nothing_changes(page: Page, admin_server: Server, rows: list[FeedbackRow]) -> None:
    page.context.clear_cookies()
    page.keyboard.press("j")
    page.keyboard.press("a")
    expect(page.get_by_role("alert")).to_contain_text("Your session is over")
    expect(card(page, rows[0])).to_have_attribute("data-status", Status.PENDING)
    assert decided(admin_server) == {}


@pytest.mark.browser
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_is_wider_than_the_screen(width: int, page: Page) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for button in page.locator(".card").first.get_by_role("button").all():
        box = button.bounding_box()
        assert box is None or (box["x"] >= 0 and box["x"] + box["width"] <= width)


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1280])
def test_the_plots_of_the_dashboard_are_as_wide_as_their_panels(width: int, page: Page, admin_server: Server) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    page.goto(f"{admin_server.url}/admin/dashboard")
    for panel in page.locator("figure").all():
        plot, around = panel.locator(".plot").bounding_box(), panel.bounding_box()
        assert plot
        assert around
        assert around["width"] - 40 < plot["width"] < around["width"]


@pytest.mark.browser
def test_logging_out_ends_at_the_login(page: Page) -> None:
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("Token")).to_be_visible()
