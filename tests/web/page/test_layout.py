"""A real browser on the running app."""

import base64
import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import httpx
import pillow_heif
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Playwright, Route, expect, sync_playwright

from devhub.server import Running
from feedback.journal.journal import Journal
from feedback.row import FeedbackRow
from tests.conftest import missing_tool
from tests.toy import encoded, picture
from tests.web.conftest import DEADLINE_S, Server, huge_png, running, wait_for

pytestmark = pytest.mark.browser

FLAGS = (
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
)
TIMEOUT_MS = 60_000
BAD = ("serious", "critical")
DROP = """(zone, [name, type, data]) => {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], name, { type }));
  for (const kind of ["dragenter", "dragover", "drop"])
    zone.dispatchEvent(new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true }));
}"""
COPY = """async (data) => {
  const blob = await (await fetch(`data:image/png;base64,${data}`)).blob();
  await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
}"""


INSIDE = """(image) => {
  const { x, y, width, height } = image.getBoundingClientRect();
  const scale = Math.min(width / image.naturalWidth, height / image.naturalHeight);
  const size = [image.naturalWidth, image.naturalHeight].map((each) => each * scale);
  return { x: x + (width - size[0]) / 2, y: y + (height - size[1]) / 2, width: size[0], height: size[1] };
}"""


def find_chromium(playwright: Playwright) -> str:
    """A browser of the system, or the one that Playwright brought."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = next((path for path in map(shutil.which, names) if path), playwright.chromium.executable_path)
    return found if Path(found).is_file() else missing_tool("no Chromium")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser whose camera sees a blue picture. Of the module, not the session: its event loop gets in others' way."""
    camera = tmp_path_factory.mktemp("camera") / "blue.mjpeg"
    camera.write_bytes(encoded(picture("blue", (640, 480))))
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=find_chromium(playwright), args=[*FLAGS, f"--use-file-for-fake-video-capture={camera}"]
        )
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(permissions=["camera", "clipboard-read", "clipboard-write"])
    context.set_default_timeout(TIMEOUT_MS)
    expect.set_options(timeout=TIMEOUT_MS)
    yield context
    context.close()


@pytest.fixture(scope="module")
def opened_page(context: BrowserContext, server: Server) -> Page:
    """One tab for most tests, with what the browser has cached."""
    return opened(context, server)


@pytest.fixture
def page(opened_page: Page) -> Page:
    """The page with nothing on it."""
    opened_page.reload()
    expect(opened_page.locator("#answer .waiting")).to_be_visible()
    return opened_page


def opened(context: BrowserContext, server: Server) -> Page:
    assert httpx.get(server.url, timeout=DEADLINE_S).is_success  # its first visitor waits until the page is built
    page = context.new_page()
    page.goto(server.url)
    expect(page.locator("#answer .waiting")).to_be_visible()
    return page


@pytest.fixture
def phone(browser: Browser, server: Server) -> Iterator[Page]:
    """A tab on a small phone, whose browser leaves the page less room than the phone has."""
    with browser.new_context(viewport={"width": 390, "height": 664}) as context:
        yield opened(context, server)


def choose(page: Page, data: bytes, name: str = "photo.jpg") -> None:
    page.set_input_files("#photo input[type=file]", {"name": name, "mimeType": "image/jpeg", "buffer": data})


def verdict(page: Page) -> Locator:
    return page.locator("#answer .verdict")


def test_a_dropped_photo_is_answered_at_once(page: Page) -> None:
    data = base64.b64encode(encoded(picture("red"))).decode()
    page.locator("#photo [aria-dropeffect]").evaluate(DROP, ["photo.jpg", "image/jpeg", data])
    expect(verdict(page)).to_have_text("Red")
    expect(page.locator("#answer .sureness")).to_have_text("> 99.9% sure")
    expect(page.locator("#answer .bars .name")).to_have_text(["Red", "Green", "Blue"])


def test_the_page_is_named_after_the_labels_and_warns_of_the_test_mode(page: Page) -> None:
    expect(page).to_have_title("Red, green or blue?")
    expect(page.locator("h1")).to_have_text("Red, green or blue?")
    expect(page.locator(".notice")).to_contain_text("Test mode")


def test_a_pasted_photo_is_answered_at_once(page: Page, server: Server) -> None:
    page.evaluate(COPY, base64.b64encode(encoded(picture((0, 200, 0)), "PNG")).decode())
    page.keyboard.press("ControlOrMeta+v")
    expect(verdict(page)).to_have_text("Green")
    assert kept(page, server, "Red").source == "clipboard"


def test_the_clipboard_button_works_too(page: Page) -> None:
    page.evaluate(COPY, base64.b64encode(encoded(picture((0, 200, 0)), "PNG")).decode())
    page.click("[data-way=paste]")
    expect(verdict(page)).to_have_text("Green")


def test_a_snapshot_of_the_camera_is_answered_at_once(page: Page, server: Server) -> None:
    page.click("[data-way=camera]")
    expect(page.locator("#camera .live-answer b")).to_have_text("Blue")
    page.click("[data-camera=snap]")
    expect(verdict(page)).to_have_text("Blue")
    expect(page.locator("#camera")).to_have_count(0)
    assert kept(page, server, "Red").source == "webcam"


def test_the_camera_lies_over_the_photo_and_closes_again(page: Page) -> None:
    choose(page, encoded(picture("red")))
    expect(verdict(page)).to_have_text("Red")
    page.click("[data-way=camera]")
    expect(page.locator("#photo img")).to_be_hidden()
    page.click("[data-camera=close]")
    expect(page.locator("#camera")).to_have_count(0)
    expect(page.locator("#photo img")).to_be_visible()


def test_live_mode_goes_on_keeps_nothing_and_wrong_label_takes_a_photo_first(page: Page, server: Server) -> None:
    before = len(server.rows())
    page.click("[data-way=camera]")
    page.wait_for_function("Number(document.getElementById('camera')?.dataset.frames) > 3")
    assert len(server.rows()) == before
    page.click("[data-camera=wrong]")
    expect(verdict(page)).to_have_text("Blue")
    page.locator("#choices").get_by_text("Red", exact=True).click()
    expect(page.locator("#thanks .thanks")).to_be_visible()
    row = server.rows()[-1]
    assert (row.source, row.predicted_label, row.corrected_label) == ("webcam", "blue", "red")


def test_live_mode_slows_down_where_the_server_has_a_limit(page: Page) -> None:
    asked: list[str] = []

    def refuse(route: Route) -> None:
        asked.append(route.request.url)
        route.fulfill(status=429, headers={"Retry-After": "1"}, json={"error": "rate_limited", "detail": ""})

    page.route("**/page/frame", refuse)
    page.click("[data-way=camera]")
    expect(page.locator("#camera .live-answer")).to_contain_text("slower")
    gap = (
        "performance.getEntriesByType('resource').filter((e) => e.name.endsWith('/page/frame')).map((e) => e.startTime)"
    )
    page.wait_for_function(f"({gap}).length >= 5")
    times = page.evaluate(gap)[:5]
    page.click("[data-camera=close]")
    page.unroute("**/page/frame")
    assert times[-1] - times[-2] > times[1] - times[0]


def test_without_https_the_page_says_why_there_is_no_camera(page: Page) -> None:
    page.evaluate("Object.defineProperty(window, 'isSecureContext', { value: false })")
    page.click("[data-way=camera]")
    expect(page.locator("#told")).to_contain_text("https://")
    expect(page.locator("#camera")).to_have_count(0)


def test_several_photos_become_a_list_by_confidence_correctable_and_as_csv(page: Page, server: Server) -> None:
    photos = {"red.jpg": "red", "grey.jpg": (150, 120, 100), "blue.jpg": "blue"}
    payload = [
        {"name": name, "mimeType": "image/jpeg", "buffer": encoded(picture(colour))} for name, colour in photos.items()
    ]
    broken = {"name": "=broken.jpg", "mimeType": "image/jpeg", "buffer": b"text"}
    page.set_input_files("#photo input[type=file]", [*payload, broken])
    csv = page.locator("#several a[download]")
    expect(csv).to_be_visible()
    expect(page.locator("#several [role=status]").first).to_have_text("4 of 4 photos")
    assert page.locator("#several .file").all_inner_texts()[2:] == ["grey.jpg", "=broken.jpg"]
    expect(page.locator("#several li.problem")).to_contain_text("This image can't be read")
    page.get_by_label("Correct the label: grey.jpg").select_option("green")
    expect(page.locator("#several .said").filter(has_text="Noted")).to_be_visible()
    row = server.rows()[-1]
    assert (row.source, row.corrected_label) == ("upload", "green")
    with page.expect_download() as download:
        csv.click()
    lines = Path(download.value.path()).read_text(encoding="utf-8-sig").splitlines()
    assert lines[0] == "file,verdict,label,confidence,p_red,p_green,p_blue,corrected_label,problem"
    assert len(lines) == 5
    assert any(line.startswith("grey.jpg,") and line.endswith(",green,") for line in lines)
    assert lines[-1].startswith("'=broken.jpg,")


def test_why_lays_a_heat_map_over_the_photo_and_takes_it_away_again(page: Page) -> None:
    choose(page, encoded(picture("red")))
    expect(verdict(page)).to_have_text("Red")
    page.click("#why")
    expect(page.locator("#heat figcaption")).to_contain_text("“red”")
    assert page.locator("#heat img").evaluate("(image) => image.naturalWidth / image.naturalHeight") == pytest.approx(
        120 / 80, abs=0.02
    )
    page.click("#why")
    expect(page.locator("#heat img")).to_have_count(0)


def test_the_heat_map_is_as_large_as_the_photo_and_its_words_are_below(page: Page) -> None:
    choose(page, encoded(picture("red")))
    expect(verdict(page)).to_have_text("Red")
    page.click("#why")
    words = page.locator("#heat figcaption").bounding_box()
    heat, photo = (page.locator(f"#{part} img").evaluate(INSIDE) for part in ("heat", "photo"))
    assert words
    assert heat == pytest.approx(photo, abs=1)
    assert heat["y"] + heat["height"] <= words["y"] + 1


def test_several_photos_come_into_view_and_take_the_place_of_the_single_answer(page: Page) -> None:
    choose(page, encoded(picture("red")))
    expect(verdict(page)).to_have_text("Red")
    red = {"name": "red.jpg", "mimeType": "image/jpeg", "buffer": encoded(picture("red"))}
    page.set_input_files("#photo input[type=file]", [red, {**red, "name": "broken.jpg", "buffer": b"text"}])
    expect(page.locator("#several a[download]")).to_be_visible()
    expect(page.locator("#answer .waiting")).to_be_attached()
    wait_for_top(page, "#several section")
    expect(page.locator("#several li:not(.problem) img")).to_be_visible()
    expect(page.locator("#several li.problem img")).to_have_count(0)


def test_on_a_phone_the_answer_and_what_can_be_said_of_it_come_into_view(phone: Page) -> None:
    choose(phone, encoded(picture("red")))
    for part in ("#answer .verdict", "#answer .bars", "#right", "#wrong"):
        expect(phone.locator(part)).to_be_in_viewport(ratio=1)
    phone.click("#wrong")
    expect(phone.locator("#choices label").last).to_be_in_viewport(ratio=1)
    phone.get_by_label("A cup").click()
    expect(phone.locator("#answer .verdict")).to_be_in_viewport(ratio=1)


def test_a_phone_shows_how_to_use_it_by_api(phone: Page) -> None:
    expect(phone.locator("footer .show-api")).to_be_visible()


def test_wrong_label_tells_that_it_has_opened_the_choices(page: Page) -> None:
    choose(page, encoded(picture("red")))
    expect(page.locator("#wrong")).to_have_attribute("aria-expanded", "false")
    page.click("#wrong")
    expect(page.locator("#wrong")).to_have_attribute("aria-expanded", "true")
    choose(page, encoded(picture("blue")))
    expect(page.locator("#wrong")).to_have_attribute("aria-expanded", "false")


def test_an_example_is_answered_at_once(page: Page) -> None:
    expect(page.locator("#examples button")).to_have_count(2)  # a cat or a dog means nothing to this model
    page.get_by_label("A cup").click()
    expect(verdict(page)).to_have_text("Red")


def test_the_page_speaks_german_to_germans(browser: Browser, server: Server) -> None:
    context = browser.new_context(locale="de-DE")
    page = opened(context, server)
    expect(page.locator("h1")).to_have_text("Red, green oder blue?")
    expect(page.locator("#answer .waiting")).to_have_text("Hier erscheint die Antwort.")
    expect(page.locator("#photo")).to_contain_text("Fotos auswählen oder hier ablegen")
    choose(page, encoded(picture("red")))
    expect(page.locator("#answer .sureness")).to_have_text(re.compile(r"zu > 99,9\s% sicher"))
    expect(page.locator("#wrong")).to_have_text("Falsch")
    expect(page.locator("html")).to_have_attribute("lang", "de")
    context.close()


def test_the_keyboard_reaches_everything_and_shows_where_it_is(page: Page) -> None:
    choose(page, encoded(picture("red")))
    expect(verdict(page)).to_have_text("Red")
    page.click("#wrong")
    page.locator("#choices label").first.wait_for()
    page.locator("h1").click()
    reached = []
    while (found := focused_next(page))[0] != "BODY":
        reached.append(found)
        assert len(reached) < 40
    assert [name for name, seen in reached if not seen] == []
    names = " ".join(name for name, _ in reached)
    for name in ("remove", "camera", "paste", "Address", "cup", "why", "right", "wrong", "green", "About"):
        assert name in names


def focused_next(page: Page) -> tuple[str, bool]:
    """What the next press of Tab reaches, and whether one sees that."""
    page.keyboard.press("Tab")
    name, seen = page.evaluate(
        """() => {
          const at = document.activeElement, { way, example } = at.dataset;
          const label = at.getAttribute("aria-label") ?? at.closest("label")?.textContent ?? at.textContent;
          const outlined = [at, at.closest("label")].some((e) => e && getComputedStyle(e).outlineStyle !== "none");
          const name = at === document.body ? "BODY" : at.id || way || example || at.value || label.trim();
          return [at.type === "text" || at.tagName === "TEXTAREA" ? "Address" : name, outlined];
        }"""
    )
    return name, seen


def test_nothing_jumps_while_the_page_is_put_together(context: BrowserContext, server: Server) -> None:
    page = context.new_page()
    page.add_init_script(
        "new PerformanceObserver((list) => list.getEntries().forEach((e) => { window.shifted = (window.shifted ?? 0)"
        " + e.value; })).observe({ type: 'layout-shift', buffered: true })"
    )
    page.goto(server.url)
    expect(page.locator("#foot")).to_be_visible()
    expect(page.locator("#examples img").last).to_be_visible()
    assert page.evaluate("window.shifted ?? 0") < 0.05
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Browser, server: Server, scheme: Literal["light", "dark"]) -> None:
    context = browser.new_context(color_scheme=scheme, reduced_motion="reduce", bypass_csp=True)
    page = opened(context, server)
    choose(page, encoded(picture("red")))
    kept(page, server, "Green")
    page.locator("#about summary").click()
    serious = serious_findings(page)
    page.set_input_files(
        "#photo input[type=file]",
        [{"name": f"{n}.jpg", "mimeType": "image/jpeg", "buffer": encoded(picture("blue"))} for n in (1, 2)],
    )
    expect(page.locator("#several a[download]")).to_be_visible()
    serious += serious_findings(page)
    context.close()
    assert serious == []


def serious_findings(page: Page) -> list[tuple[str, list[str]]]:
    found = Axe().run(page).response["violations"]
    return [(each["id"], [node["html"] for node in each["nodes"]]) for each in found if each["impact"] in BAD]


def test_an_address_is_answered_with_enter_and_its_picture_shown(page: Page, server: Server, web_site: str) -> None:
    page.fill("#url input", f"{web_site}/red.jpg")
    page.press("#url input", "Enter")
    expect(verdict(page)).to_have_text("Red")
    expect(page.locator("#photo img")).to_be_visible()
    assert kept(page, server, "Green").source == "url"


def test_wrong_label_keeps_picture_both_labels_probabilities_and_revision(page: Page, server: Server) -> None:
    choose(page, encoded(picture("red", (1200, 800))))
    expect(verdict(page)).to_have_text("Red")
    page.click("#wrong")
    expect(page.locator("#choices label")).to_have_text(["Green", "Blue", "None of these", "Several, or can't tell"])
    row = kept(page, server, "Green")
    with Image.open(io.BytesIO(row.image)) as image:
        assert (image.format, image.size) == ("JPEG", (512, 341))
        assert image.convert("RGB").getpixel((100, 100)) == pytest.approx((254, 0, 0), abs=4)
    assert (row.predicted_label, row.corrected_label, row.verdict) == ("red", "green", "red")
    assert row.labels == ("red", "green", "blue")
    assert sum(row.probabilities) == pytest.approx(1)
    assert max(row.probabilities) == row.probabilities[0]
    assert row.model_revision.startswith("local-")
    assert row.source == "upload"


def test_an_answer_can_be_changed_but_not_counted_twice(page: Page, server: Server) -> None:
    choose(page, encoded(picture("red")))
    first = kept(page, server, "Green")
    page.locator("#choices").get_by_text("Green").click()  # chosen already: nothing happens
    second = kept(page, server, "None of these", "neither")
    assert first.request_id == second.request_id
    with Journal.open(server.data_dir) as journal:
        counted = [row for row in journal.rows(newest_only=True) if row.request_id == first.request_id]
    assert [row.corrected_label for row in counted] == ["neither"]


def test_right_is_a_confirmation_and_pressing_it_again_adds_nothing(page: Page, server: Server) -> None:
    choose(page, encoded(picture("blue")))
    expect(verdict(page)).to_have_text("Blue")
    before = len(server.rows())
    page.click("#right")
    expect(page.locator("#thanks")).to_contain_text("right")
    page.click("#right")
    expect(page.locator("#thanks")).to_contain_text("already")
    (row,) = server.rows()[before:]
    assert row.is_confirmation


def test_an_answer_can_be_taken_back(page: Page, server: Server) -> None:
    choose(page, encoded(picture("red")))
    row = kept(page, server, "Green")
    page.click("#take-back")
    expect(page.locator("#thanks")).to_contain_text("Undone")
    expect(page.locator("#take-back")).to_be_hidden()
    assert row.id not in [other.id for other in server.rows()]


def test_when_the_model_is_unsure_it_says_so_and_asks(page: Page, server: Server) -> None:
    choose(page, encoded(picture("white")))
    expect(verdict(page)).to_have_text("Not sure")
    expect(page.locator("#choices")).to_contain_text("What does it show?")
    expect(page.locator("#question")).to_be_hidden()
    expect(page.locator("#right")).to_be_hidden()
    expect(page.locator("#choices label")).to_have_count(5)
    page.locator("#choices").get_by_text("Several, or can't tell").click()
    expect(page.locator("#thanks .thanks")).to_be_visible()
    assert server.rows()[-1].corrected_label == "unsure"


def test_a_new_photo_clears_what_was_said_of_the_last(page: Page, server: Server) -> None:
    choose(page, encoded(picture("red")))
    kept(page, server, "Green")
    page.get_by_label("Remove the photo").click()
    expect(page.locator("#answer .waiting")).to_be_visible()
    expect(page.locator("#ask")).to_be_hidden()
    choose(page, encoded(picture("blue")))
    expect(verdict(page)).to_have_text("Blue")
    expect(page.locator("#choices")).to_be_hidden()
    expect(page.locator("#thanks .message")).to_have_count(0)
    expect(page.locator("#take-back")).to_be_hidden()


NOISE = encoded(Image.effect_noise((400, 300), 60).convert("RGB"))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"hello, this is text", "This image can't be read"),
        (NOISE[: len(NOISE) // 2], "cut short"),
        (b"", "empty"),
        (huge_png(), "400 million pixels"),
    ],
    ids=["text named .jpg", "truncated", "empty", "20,000 x 20,000"],
)
def test_a_bad_file_gets_a_sentence_and_the_next_photo_works(page: Page, data: bytes, words: str) -> None:
    choose(page, data)
    expect(page.locator("#answer .problem")).to_contain_text(words)
    expect(page.locator("#ask")).to_be_hidden()
    expect(page.locator("#photo img")).to_have_count(0)  # the place for the next one, and no broken picture
    choose(page, encoded(picture("red")))
    expect(verdict(page)).to_have_text("Red")


def test_a_file_that_is_too_large_gets_a_sentence(page: Page) -> None:
    choose(page, bytes(2_000_001))
    expect(page.locator("#answer .problem")).to_contain_text("at most 2 MB")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/page.html", "web page, not a picture"),
        ("/missing.jpg", "error (404)"),
        ("/large.jpg", "larger than 2 MB"),
        (None, "can't be reached"),
    ],
)
def test_a_bad_address_gets_a_sentence(page: Page, web_site: str, path: str | None, words: str) -> None:
    page.fill("#url input", f"{web_site}{path}" if path else "http://127.0.0.1:9/")
    page.press("#url input", "Enter")
    expect(page.locator("#answer .problem")).to_contain_text(words)


def test_an_address_leaves_the_field_when_a_photo_comes_another_way(page: Page, web_site: str) -> None:
    page.fill("#url input", f"{web_site}/missing.jpg")
    page.press("#url input", "Enter")
    expect(page.locator("#answer .problem")).to_be_visible()
    expect(page.locator("#url input")).not_to_be_empty()
    choose(page, encoded(picture("red")))
    expect(verdict(page)).to_have_text("Red")
    expect(page.locator("#url input")).to_be_empty()


def test_when_the_server_refuses_a_sentence_says_so_and_trying_again_works(page: Page) -> None:
    choose(page, encoded(picture("red")))
    expect(verdict(page)).to_have_text("Red")
    busy = {"error": "busy", "detail": "Too many pictures are waiting."}
    page.route("**/page/photo?*", lambda route: route.fulfill(status=503, json=busy))
    choose(page, encoded(picture("blue")))
    expect(page.locator("#told")).to_contain_text("Too many pictures are waiting.")
    expect(verdict(page)).to_have_count(0)
    page.unroute("**/page/photo?*")
    page.get_by_role("button", name="Try again").click()
    expect(verdict(page)).to_have_text("Blue")
    expect(page.locator("#told span")).to_have_count(0)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (502, "<html>Bad Gateway</html>", "can't be reached"),
        (413, "<html>Request Entity Too Large</html>", "Something went wrong"),
        (200, "", "Something went wrong"),
    ],
)
def test_whatever_a_proxy_answers_is_told_in_a_sentence(page: Page, status: int, body: str, words: str) -> None:
    page.route("**/page/photo?*", lambda route: route.fulfill(status=status, content_type="text/html", body=body))
    choose(page, encoded(picture("blue")))
    expect(page.get_by_text(words)).to_be_visible()
    page.unroute("**/page/photo?*")
    choose(page, encoded(picture("red")))
    expect(verdict(page)).to_have_text("Red")


def test_a_heic_photo_is_shown_by_a_preview_that_every_browser_can_draw(page: Page) -> None:
    pillow_heif.register_heif_opener()
    choose(page, encoded(picture("blue", (64, 64)), "HEIF"), "IMG_0001.HEIC")
    expect(verdict(page)).to_have_text("Blue")
    expect(page.locator("#photo img[src*=preview]")).to_be_visible()


def test_the_page_asks_nobody_but_its_own_server(context: BrowserContext, server: Server) -> None:
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page = opened(context, server)
    choose(page, encoded(picture("red")))
    expect(verdict(page)).to_have_text("Red")
    assert asked
    assert [url for url in asked if not url.startswith((server.url, "data:", "blob:"))] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_every_width_in_light_and_dark(
    browser: Browser, server: Server, scheme: Literal["light", "dark"]
) -> None:
    context = browser.new_context(color_scheme=scheme)
    page = opened(context, server)
    choose(page, encoded(picture("red")))
    kept(page, server, "Green")
    for width in (320, 390, 1280, 2560):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background)[:3])) < 200) == (scheme == "dark")
    context.close()


def wait_for_top(page: Page, part: str) -> None:
    """Wait until the page has scrolled to where a part of it begins."""
    top = "document.querySelector(part).getBoundingClientRect().top"
    page.wait_for_function(f"(part) => Math.abs({top}) < 50", arg=part)


def kept(page: Page, server: Server, text: str, label: str | None = None) -> FeedbackRow:
    """Say that the label is another one; returns the row that this makes."""
    expect(verdict(page)).to_be_visible()
    before = {row.id for row in server.rows()}
    page.click("#wrong")
    page.locator("#choices").get_by_text(text, exact=True).click()
    wait_for(lambda: len(server.rows()) > len(before), "the row")
    expect(page.locator("#thanks .thanks")).to_contain_text("Thank you")
    (row,) = [row for row in server.rows() if row.id not in before]
    assert row.corrected_label == (label or text.lower())
    return row


def test_with_remote_acknowledgement_it_is_sent_at_first_and_saved_when_the_hub_has_it(
    context: BrowserContext, hub: Running, tmp_path: Path, toy_folder: Path
) -> None:
    sync = {"feedback_repo": "me/feedback", "ack": "remote", "hf_endpoint": hub.url, "hf_token": hub.token}
    with running(tmp_path, toy_folder, **sync) as server:
        page = opened(context, server)
        choose(page, encoded(picture("red")))
        page.get_by_role("button", name="Wrong label").click()
        page.get_by_label("Green").check()
        expect(page.locator("#thanks p")).to_have_text("Sent, being saved.")
        expect(page.locator("#thanks p")).to_have_text("Saved. Thank you!")
        page.close()
