"""The page works under its own Content-Security-Policy, camera and pasted pictures included, in a real browser."""

import base64

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.toy import encoded, picture
from tests.web.conftest import Server
from tests.web.page.test_layout import FLAGS, TIMEOUT_MS, find_chromium

pytestmark = pytest.mark.browser
NOTE = "window.broken = []; addEventListener('securitypolicyviolation', (e) => window.broken.push([e.violatedDirective, e.blockedURI]))"


def test_the_page_breaks_none_of_its_own_rules(server: Server) -> None:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=find_chromium(playwright), args=list(FLAGS))
        page = chromium.new_context(permissions=["camera"]).new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.add_init_script(NOTE)
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.goto(server.url)
        expect(page.locator("#answer .waiting")).to_be_visible(timeout=TIMEOUT_MS)
        data = encoded(picture("red"))
        page.set_input_files("#photo input[type=file]", {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": data})
        expect(page.locator("#answer .verdict")).to_be_visible(timeout=TIMEOUT_MS)
        stream = "navigator.mediaDevices.getUserMedia({video: true}).then((s) => s.getTracks().length)"
        assert page.evaluate(stream) == 1
        blob = "new Promise((done) => { const i = new Image(); i.onload = () => done(true); i.onerror = () => done(false); i.src = URL.createObjectURL(new Blob([Uint8Array.from(atob(d), (c) => c.charCodeAt(0))])) })"
        assert page.evaluate(f"(d) => {blob}", base64.b64encode(data).decode())
        assert page.evaluate("window.broken") == []
        assert [text for text in said if "Content Security Policy" in text or "Permissions policy" in text] == []
        inline = "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.evil = 1'})); window.evil"
        assert page.evaluate(inline) is None
        assert len(page.evaluate("window.broken")) == 1
        chromium.close()
