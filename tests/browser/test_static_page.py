"""A real browser on the built page."""

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect

from deploy.static.build import build_static
from deploy.static.model import load_static_model
from feedback.commands.import_rows import import_rows
from feedback.journal.journal import Journal
from tests.browser.site import ISOLATED, serve
from tests.toy import encoded, picture, toy_model
from tests.web.conftest import Server, running, wait_for
from tests.web.page.test_layout import DROP, TIMEOUT_MS

pytestmark = pytest.mark.browser

LOADED_MS = 4 * TIMEOUT_MS
GREEN = (0, 200, 0)
COPY = """async (data) => {
  const blob = new Blob([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], { type: "image/png" });
  await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
}"""


@pytest.fixture(scope="module")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """One visitor for most tests, with what the browser has kept."""
    context = browser.new_context(permissions=["camera", "clipboard-read", "clipboard-write"])
    context.set_default_timeout(TIMEOUT_MS)
    yield context
    context.close()


@pytest.fixture(scope="module")
def address(toy_page: Path) -> Iterator[str]:
    with serve(toy_page) as address:
        yield address


@pytest.fixture(scope="module")
def tab(context: BrowserContext, address: str) -> Page:
    page = context.new_page()
    open_page(page, address)
    return page


@pytest.fixture
def page(tab: Page) -> Iterator[Page]:
    """One tab for most tests: a new photo begins anew. Nothing stays kept."""
    yield tab
    if tab.locator("#kept").is_visible():
        tab.locator("#delete").click()
        expect(tab.locator("#kept")).to_be_hidden()


def open_page(page: Page, address: str) -> None:
    page.goto(address)
    page.wait_for_selector("html[data-backend]", timeout=LOADED_MS)


def choose(page: Page, image: Image.Image) -> None:
    page.set_input_files("#file", {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": encoded(image)})


def expect_verdict(page: Page, text: str) -> None:
    expect(page.locator("#answer .verdict")).to_have_text(text)


def correct(page: Page, answer: str) -> None:
    page.get_by_role("button", name="Wrong label").click()
    page.get_by_label(answer).check()


def test_a_photo_is_answered_and_nothing_leaves_the_device(page: Page, address: str) -> None:
    requests: list[tuple[str, str, bytes | None]] = []
    page.on("request", lambda request: requests.append((request.method, request.url, request.post_data_buffer)))
    choose(page, picture("red"))
    expect_verdict(page, "Red")
    expect(page.locator("#answer .sureness")).to_have_text("> 99.9% sure")
    expect(page.locator("#answer .bars .name")).to_have_text(["Red", "Green", "Blue"])
    correct(page, "Green")
    expect(page.locator("#thanks")).to_contain_text("Nothing was sent")
    elsewhere = [url for _, url, _ in requests if not url.startswith((address, f"blob:{address}"))]
    assert not elsewhere
    assert all(method == "GET" and body is None for method, _, body in requests)


def test_the_page_is_named_after_the_labels(page: Page) -> None:
    expect(page).to_have_title("Red, green or blue?")
    expect(page.locator("h1")).to_have_text("Red, green or blue?")
    expect(page.locator("#foot")).to_contain_text("toy (local-")


def test_a_dropped_photo_is_answered(page: Page) -> None:
    data = base64.b64encode(encoded(picture("red"))).decode()
    page.locator("#photo").evaluate(DROP, ["photo.jpg", "image/jpeg", data])
    expect_verdict(page, "Red")


def test_a_pasted_photo_is_answered(page: Page) -> None:
    page.evaluate(COPY, base64.b64encode(encoded(picture(GREEN), "PNG")).decode())
    page.keyboard.press("ControlOrMeta+v")
    expect_verdict(page, "Green")


def test_the_paste_button_works_too(page: Page) -> None:
    page.evaluate(COPY, base64.b64encode(encoded(picture(GREEN), "PNG")).decode())
    page.get_by_role("button", name="Paste").click()
    expect_verdict(page, "Green")


def test_a_picture_is_fetched_where_its_site_allows_that(page: Page, tmp_path: Path) -> None:
    (tmp_path / "blue.jpg").write_bytes(encoded(picture("blue")))
    (tmp_path / "page.html").write_text("<!doctype html>")
    box = page.get_by_label("Image address")
    with serve(tmp_path, Access_Control_Allow_Origin="*") as elsewhere:
        box.fill(f"{elsewhere}/blue.jpg")
        box.press("Enter")
        expect_verdict(page, "Blue")
        box.fill(f"{elsewhere}/page.html")
        box.press("Enter")
        expect(page.locator("#answer .problem")).to_contain_text("no picture at this address")
    with serve(tmp_path) as elsewhere:
        box.fill(f"{elsewhere}/blue.jpg")
        box.press("Enter")
        expect(page.locator("#answer .problem")).to_contain_text("Save it, then choose it here")
    expect(page.locator("#ask")).to_be_hidden()


def test_the_camera_is_answered_live_and_a_correction_takes_a_snapshot(page: Page) -> None:
    page.get_by_role("button", name="Camera").click()
    expect_verdict(page, "Blue")
    expect(page.locator("#answer.live")).to_be_visible()
    correct(page, "Red")
    expect(page.locator("#thanks")).to_contain_text("Saved on this device as “Red”")
    expect(page.locator("video")).to_be_hidden()
    expect(page.locator("#preview")).to_be_visible()


def test_the_camera_stops_when_asked(page: Page) -> None:
    page.get_by_role("button", name="Camera").click()
    expect_verdict(page, "Blue")
    page.get_by_role("button", name="Close the camera").click()
    expect(page.locator("#answer .waiting")).to_be_visible()
    assert page.locator("video").evaluate("(video) => video.srcObject") is None


def test_what_is_no_picture_is_said(page: Page) -> None:
    page.set_input_files("#file", {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": b"no picture"})
    expect(page.locator("#answer .problem")).to_contain_text("can't read that picture")


@pytest.mark.parametrize(
    ("colour", "verdict", "sureness"),
    [
        ((250, 250, 250), "None of these", "Closest match"),
        ((90, 90, 90), "Not sure", "but that is a guess"),
    ],
)
def test_the_rules_of_the_metadata_decide(
    page: Page, colour: tuple[int, int, int], verdict: str, sureness: str
) -> None:
    choose(page, picture(colour))
    expect_verdict(page, verdict)
    expect(page.locator("#answer .sureness")).to_contain_text(sureness)
    expect(page.locator("#choices")).to_be_visible(visible=verdict == "Not sure")


def test_why_lays_the_heat_map_over_the_photo(page: Page) -> None:
    choose(page, picture("red"))
    page.get_by_role("button", name="Why?").click()
    expect(page.locator("#heat-map")).to_be_visible()
    expect(page.locator("#heat figcaption")).to_contain_text("Brighter areas count more towards “red”.")
    drawn = page.locator("#heat-map").evaluate("(c) => c.getContext('2d').getImageData(256, 170, 1, 1).data[3]")
    assert drawn > 0
    choose(page, picture("blue"))
    expect_verdict(page, "Blue")
    expect(page.locator("#heat-map")).to_be_hidden()


def test_kept_corrections_are_exported_and_imported(page: Page, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "the camera's maker"
    photo = encoded(picture("red", (1200, 800)), exif=exif)
    page.set_input_files("#file", {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": photo})
    correct(page, "Green")
    page.get_by_label("None of these").check()  # changed one's mind
    choose(page, picture("blue"))
    expect_verdict(page, "Blue")
    page.get_by_role("button", name="Right").click()
    expect(page.locator("#kept-text")).to_have_text("2 corrections are saved on this device.")
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()
    path = tmp_path / "kept.jsonl"
    download.value.save_as(path)
    assert not any(b"maker" in base64.b64decode(json.loads(line)["image"]) for line in path.read_text().splitlines())
    with Journal.open(tmp_path / "data") as journal:
        assert import_rows(path, journal).problems == ()
        rows = list(journal.rows())
    said = [(row.predicted_label, row.corrected_label, row.source) for row in rows]
    assert said == [("red", "neither", "browser"), ("blue", "blue", "browser")]
    assert Image.open(io.BytesIO(rows[0].image)).size == (512, 341)


def test_a_correction_is_taken_back_and_all_are_deleted(page: Page) -> None:
    choose(page, picture("red"))
    correct(page, "Green")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#kept")).to_be_hidden()
    page.get_by_label("Blue").check()
    expect(page.locator("#kept-text")).to_have_text("One correction is saved on this device.")
    page.get_by_role("button", name="Delete them").click()
    expect(page.locator("#kept")).to_be_hidden()


def test_several_photos_become_a_list_and_one_that_is_pressed_is_shown_large(page: Page) -> None:
    photos = [
        {"name": f"{name}.jpg", "mimeType": "image/jpeg", "buffer": encoded(picture(colour))}
        for name, colour in {"red": "red", "green": GREEN}.items()
    ]
    broken = {"name": "broken.jpg", "mimeType": "image/jpeg", "buffer": b"text"}
    page.set_input_files("#file", [*photos, broken])
    expect(page.locator("#several li")).to_have_count(3)
    expect(page.locator("#several [role=status]")).to_have_text("3 of 3 photos")
    expect(page.locator("#several li b")).to_have_text(["Red", "Green"])
    expect(page.locator("#several li.problem")).to_contain_text("can't read that picture")
    page.locator("#several .enlarge").nth(1).click()
    expect_verdict(page, "Green")
    expect(page.locator("#why")).to_be_visible()
    choose(page, picture("red"))
    expect_verdict(page, "Red")
    expect(page.locator("#several li")).to_have_count(0)


def test_the_list_of_photos_is_filtered_by_answer_and_turned_round(page: Page) -> None:
    colours = {"red.jpg": "red", "grey.jpg": (150, 120, 100), "blue.jpg": "blue"}
    photos = [
        {"name": name, "mimeType": "image/jpeg", "buffer": encoded(picture(colour))} for name, colour in colours.items()
    ]
    page.set_input_files("#file", photos)
    expect(page.get_by_role("button", name="All (3)")).to_be_visible()
    expect(page.locator("#several li .file").last).to_have_text("grey.jpg")
    page.get_by_role("button", name="Blue (1)").click()
    expect(page.locator("#several li:visible .file")).to_have_text(["blue.jpg"])
    page.get_by_role("button", name="All (3)").click()
    page.get_by_label("Order").select_option("1")
    expect(page.locator("#several li .file").first).to_have_text("grey.jpg")


def test_the_answer_is_saved_as_a_picture(page: Page) -> None:
    choose(page, picture("red"))
    expect_verdict(page, "Red")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as picture").click()
    with Image.open(download.value.path()) as saved:
        assert saved.width == 800
        assert saved.convert("RGB").getpixel((400, 100)) == pytest.approx((254, 0, 0), abs=4)


def test_a_pasted_address_is_fetched(page: Page, tmp_path: Path) -> None:
    (tmp_path / "blue.jpg").write_bytes(encoded(picture("blue")))
    with serve(tmp_path, Access_Control_Allow_Origin="*") as elsewhere:
        page.evaluate("(text) => navigator.clipboard.writeText(text)", f"{elsewhere}/blue.jpg")
        page.locator("#answer").click()
        page.keyboard.press("ControlOrMeta+v")
        expect_verdict(page, "Blue")


def test_back_closes_the_camera_and_not_the_page(page: Page, address: str) -> None:
    page.get_by_role("button", name="Camera").click()
    expect_verdict(page, "Blue")
    page.go_back()
    expect(page.locator("#answer .waiting")).to_be_visible()
    expect(page.locator("video")).to_be_hidden()
    assert page.url.startswith(address)


@pytest.mark.parametrize("private", [False, True])
def test_the_language_that_is_chosen_is_remembered(browser: Browser, address: str, private: bool) -> None:
    with browser.new_context(locale="en") as visitor:
        visitor.set_default_timeout(LOADED_MS)
        if private:
            visitor.add_init_script(
                "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('', 'SecurityError'); } })"
            )
        page = visitor.new_page()
        open_page(page, address)
        page.get_by_label("Language").select_option("ja")
        expect(page.locator("html")).to_have_attribute("lang", "ja")
        page.reload()
        expect(page.locator("html")).to_have_attribute("lang", "ja")
        expect(page.get_by_label("言語")).to_have_value("ja")
        expect(page.locator("#right")).to_have_text("正解")


def test_an_example_is_answered_and_the_model_tells_about_itself(page: Page) -> None:
    page.get_by_role("button", name="A cup").click()
    expect_verdict(page, "Red")
    page.locator("#about summary").click()
    expect(page.locator("#about details")).to_contain_text("It knows only red, green and blue")


def test_a_document_is_refused(page: Page) -> None:
    page.locator("#drop").evaluate(DROP, ["letter.pdf", "application/pdf", base64.b64encode(b"%PDF-1.7").decode()])
    expect(page.locator("#answer .problem")).to_contain_text("That isn't a picture")


@pytest.mark.parametrize("size", [(360, 740), (1280, 800)])
def test_it_fits_the_screen(page: Page, size: tuple[int, int]) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    choose(page, picture("red"))
    correct(page, "Green")
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    for button in page.locator("button:visible").all():
        box = button.bounding_box()
        assert box is not None
        assert box["height"] >= 32


def test_on_a_phone_the_photo_its_answer_and_the_buttons_are_in_view(browser: Browser, address: str) -> None:
    with browser.new_context(viewport={"width": 390, "height": 664}) as visitor:
        visitor.set_default_timeout(LOADED_MS)
        page = visitor.new_page()
        open_page(page, address)
        for example in page.locator("#examples img").all():
            box = example.bounding_box()
            assert box
            assert box["width"] <= 80
        choose(page, picture("red", (300, 200)))
        expect_verdict(page, "Red")
        for part in ("#answer .verdict", "#why", "#right", "#wrong"):
            expect(page.locator(part)).to_be_in_viewport(ratio=1)
        expect(page.locator("#preview")).to_be_in_viewport(ratio=0.4)
        page.click("#why")
        expect(page.locator("#heat-map")).to_be_visible()
        photo, heat = (page.locator(part).bounding_box() for part in ("#preview", "#heat-map"))
        assert photo == pytest.approx(heat, abs=0.5)


def test_after_one_visit_it_works_without_a_connection(browser: Browser, toy_page: Path) -> None:
    context = browser.new_context()
    page = context.new_page()
    with serve(toy_page) as address:
        open_page(page, address)
    page.reload()  # the server is gone
    page.wait_for_selector("html[data-backend]", timeout=LOADED_MS)
    choose(page, picture("red"))
    expect_verdict(page, "Red")
    context.close()


def test_a_new_build_takes_over_once_the_page_is_closed(browser: Browser, runtime: Path, tmp_path: Path) -> None:
    out = tmp_path / "page"
    build_static(load_static_model(toy_model(tmp_path / "old", ["cat", "dog"])), runtime, out)
    context = browser.new_context()
    with serve(out) as address:
        page = context.new_page()
        open_page(page, address)
        build_static(load_static_model(toy_model(tmp_path / "new", ["parrot", "tortoise"])), runtime, out)
        page.evaluate("async () => { await (await navigator.serviceWorker.ready).update() }")
        page.close()

        def renewed() -> bool:
            page = context.new_page()
            page.goto(address)
            expect(page.locator("h1")).to_contain_text("or")
            title = page.title()
            page.close()
            return title == "Parrot or tortoise?"

        wait_for(renewed, "the new version")
        page = context.new_page()
        open_page(page, address)
        kept = page.evaluate("async () => (await (await caches.open('catdog')).keys()).map(({ url }) => url)")
    context.close()
    assert len([url for url in kept if "/metadata.json" in url]) == 1
    assert any("/ort/" in url for url in kept)


@pytest.fixture(scope="module")
def sending(tmp_path_factory: pytest.TempPathFactory, runtime: Path) -> Iterator[tuple[Server, str]]:
    """The app, and an isolated page that it takes corrections from: two a day."""
    folder = tmp_path_factory.mktemp("sending")
    model, out = toy_model(folder / "toy"), folder / "page"
    out.mkdir()
    with serve(out, **ISOLATED) as address, running(folder, model, cors_origins=address, feedback_per_day=1) as app:
        build_static(load_static_model(model), runtime, out, feedback=app.url)
        yield app, address


def test_corrections_are_sent_to_the_app_and_those_that_it_refuses_are_kept(
    browser: Browser, sending: tuple[Server, str]
) -> None:
    app, address = sending
    context = browser.new_context()
    page = context.new_page()
    open_page(page, address)
    assert page.evaluate("crossOriginIsolated")  # WebAssembly has threads
    choose(page, picture("red", (800, 600)))
    correct(page, "Green")
    expect(page.locator("#thanks")).to_contain_text("Noted as “Green”")
    (row,) = app.rows()
    assert (row.predicted_label, row.corrected_label, row.source) == ("red", "green", "browser")
    expect(page.locator("#kept")).to_be_hidden()

    choose(page, picture("blue"))
    correct(page, "Red")
    expect(page.locator("#thanks")).to_contain_text("more than 1 corrections a day")
    expect(page.locator("#kept-text")).to_have_text("One correction is saved on this device.")

    choose(page, picture("red", (800, 600)))
    correct(page, "Green")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#thanks")).to_contain_text("Undone")
    context.close()
