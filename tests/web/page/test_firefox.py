"""The page in Firefox, where a package brings it (Debian: `firefox-esr`)."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Error, Page, Playwright, expect, sync_playwright

from tests.toy import encoded, picture
from tests.web.conftest import Server
from tests.web.page.test_layout import INSIDE, TIMEOUT_MS, choose, kept, opened, verdict

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def find_firefox() -> str:
    found = next((path for path in map(shutil.which, ("firefox", "firefox-esr")) if path), None)
    return found or pytest.skip("no Firefox")


@pytest.fixture(scope="module")
def context() -> Iterator[BrowserContext]:
    """A visitor with Firefox as the system has it, driven by the W3C's WebDriver BiDi protocol."""
    expect.set_options(timeout=TIMEOUT_MS)
    with sync_playwright() as playwright:
        firefox = started(playwright)
        context = firefox.new_context()
        context.set_default_timeout(TIMEOUT_MS)
        yield context
        firefox.close()


@pytest.fixture
def page(context: BrowserContext, server: Server) -> Iterator[Page]:
    page = opened(context, server)
    yield page
    page.close()
