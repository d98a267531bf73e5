"""How photos come in, in a real browser: early, dropped, pasted, from the camera, too many; and how answers go out."""

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect

from tests.toy import encoded, picture
from tests.web.conftest import Server, wait_for
from tests.web.page.test_layout import DROP, TIMEOUT_MS, browser, choose, context, verdict
from tests.web.page.test_stories import opened_page, page

__all__ = ["browser", "context", "opened_page", "page"]  # fixtures

pytestmark = pytest.mark.browser
RED = {"name": "red.jpg", "mimeType": "image/jpeg", "buffer": encoded(picture("red"))}
REFUSE = "(name) => { navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', name)); }"


def without_gradio(page: Page, server: Server) -> Callable[[], None]:
    """Open the page while Gradio's script does not arrive; returns what lets it through."""
    held: list[Route] = []
    page.route("**/assets/index-*.js", lambda route: held.append(route))  # noqa: PLW0108 - Playwright marks its handlers
    page.goto(server.url, wait_until="commit")
    page.locator("#first label").wait_for()

    def let_through() -> None:
        wait_for(lambda: held or page.wait_for_timeout(20), "Gradio's script")
        held[0].continue_()

    return let_through


def test_a_photo_that_is_chosen_before_the_page_is_complete_is_answered_at_once(
    browser: Browser, server: Server
) -> None:
    with browser.new_context() as visitor:
        page = visitor.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        sent: list[str] = []
        page.on("request", lambda request: sent.append(request.url) if "/page/photo?" in request.url else None)
        let_through = without_gradio(page, server)
        page.set_input_files("#first input", RED)
        expect(page.locator("#first output")).to_contain_text("Red", timeout=TIMEOUT_MS)
        expect(page.locator("#first img")).to_be_visible()
        let_through()
        expect(verdict(page)).to_have_text("Red", timeout=TIMEOUT_MS)
        expect(page.locator("#photo img")).to_be_visible()
        assert len(sent) == 1


def test_whatever_is_dropped_before_the_page_is_complete_is_dealt_with_once_it_is(
    browser: Browser, server: Server
) -> None:
    with browser.new_context() as visitor:
        page = visitor.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        let_through = without_gradio(page, server)
        page.wait_for_function("performance.getEntriesByName(new URL('page/texts.json', document.baseURI)).length")
        data = base64.b64encode(b"%PDF-1.7").decode()
        page.locator("#first label").evaluate(DROP, ["letter.pdf", "application/pdf", data])
        let_through()
        expect(page.locator("#told")).to_contain_text("That isn't a picture", timeout=TIMEOUT_MS)


def test_back_closes_the_camera_and_not_the_page(page: Page, server: Server) -> None:
    page.click("[data-way=camera]")
    expect(page.locator("#camera")).to_be_visible()
    page.go_back()
    expect(page.locator("#camera")).to_have_count(0)
    assert page.url.startswith(server.url)
    expect(page.locator("#answer .waiting")).to_be_visible()


def test_why_there_is_no_camera_is_told(page: Page) -> None:
    for name, words in (
        ("NotReadableError", "Another program is using the camera"),
        ("NotAllowedError", "did not allow the camera"),
        ("NotFoundError", "No camera was found"),
    ):
        page.evaluate(REFUSE, name)
        page.click("[data-way=camera]")
        expect(page.locator("#told")).to_contain_text(words)


def test_live_mode_tells_a_lost_connection_from_a_busy_server(page: Page) -> None:
    page.route("**/page/frame", lambda route: route.abort())
    page.click("[data-way=camera]")
    expect(page.locator("#camera .live-answer")).to_contain_text("can't be reached")
    page.unroute("**/page/frame")
    expect(page.locator("#camera .live-answer b")).to_have_text("Blue")
    page.click("[data-camera=close]")


def test_a_pasted_address_is_fetched(page: Page, web_site: str) -> None:
    page.evaluate("(text) => navigator.clipboard.writeText(text)", f"{web_site}/red.jpg")
    page.keyboard.press("ControlOrMeta+v")
    expect(verdict(page)).to_have_text("Red")
    page.get_by_label("Remove the photo").click()
    expect(page.locator("#answer .waiting")).to_be_visible()
    page.focus("#url :is(input, textarea)")
    page.keyboard.press("ControlOrMeta+v")
    expect(verdict(page)).to_have_text("Red")


@pytest.mark.parametrize(("name", "kind"), [("letter.pdf", "application/pdf"), ("holidays", "")])
def test_a_dropped_document_or_folder_is_refused_in_the_pages_language(page: Page, name: str, kind: str) -> None:
    data = base64.b64encode(b"%PDF-1.7").decode()
    page.locator("#photo [aria-dropeffect]").evaluate(DROP, [name, kind, data])
    expect(page.locator("#told")).to_contain_text("That isn't a picture")


def test_without_https_the_clipboard_button_tells_which_keys_paste(page: Page) -> None:
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.click("[data-way=paste]")
    expect(page.locator("#told")).to_contain_text("Ctrl+V")


def test_too_many_photos_are_told_where_the_list_is(page: Page) -> None:
    page.set_input_files("#photo input[type=file]", [RED] * 51)
    expect(page.locator("#several section > .problem")).to_contain_text("Only the first 50 photos")
    expect(page.locator("#several section > .problem")).to_be_in_viewport()


def test_the_answer_is_saved_as_a_picture_without_asking_the_server(page: Page) -> None:
    choose(page, encoded(picture("red")))
    expect(verdict(page)).to_have_text("Red")
    asked: list[str] = []
    note: Callable[[Any], None] = lambda request: asked.append(request.url)  # noqa: E731
    page.on("request", note)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as picture").click()
    page.remove_listener("request", note)
    with Image.open(Path(download.value.path())) as saved:
        assert saved.width == 800
        assert saved.convert("RGB").getpixel((400, 100)) == pytest.approx((254, 0, 0), abs=4)
    assert [url for url in asked if not url.startswith("blob:")] == []


def test_the_page_can_be_installed(client: httpx.Client) -> None:
    manifest = client.get("/manifest.json", headers={"Accept-Language": "en"}).json()
    assert (manifest["name"], manifest["display"]) == ("Red, green or blue?", "standalone")
    for icon in manifest["icons"]:
        with Image.open(io.BytesIO(client.get(f"/{icon['src']}").content)) as image:
            assert "x".join(map(str, image.size)) == icon["sizes"]
    with Image.open(io.BytesIO(client.get("/favicon.ico").content)) as image:
        assert image.format == "ICO"
    assert '<link rel="manifest" href="./manifest.json">' in client.get("/").text
