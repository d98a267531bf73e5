"""The browser is told at once of the scripts that the page consists of, and of no others."""

import re
from pathlib import PurePosixPath

import pytest
from playwright.sync_api import Route, sync_playwright

from tests.web.conftest import Server
from tests.web.page.test_layout import FLAGS, TIMEOUT_MS, find_chromium
from web.page.assets import SCRIPTS

pytestmark = pytest.mark.browser
PRELOAD = re.compile(r'<link rel="modulepreload" href="\./assets/([^"]+)">')
LOADED = "performance.getEntriesByType('resource').map((each) => new URL(each.name).pathname)"


def test_the_scripts_are_those_that_the_page_asks_for_by_itself(server: Server) -> None:
    told: list[str] = []

    def untold(route: Route) -> None:
        """The page without the list, so that what it loads is what it needs."""
        answer = route.fetch()
        told.extend(PRELOAD.findall(answer.text()))
        route.fulfill(response=answer, body=PRELOAD.sub("", answer.text()))

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=find_chromium(playwright), args=list(FLAGS))
        page = chromium.new_context(locale="en").new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.route(f"{server.url}/", untold)
        page.goto(server.url)
        page.wait_for_selector("#photo input[type=file]", state="attached")
        page.wait_for_load_state("networkidle")
        paths = [PurePosixPath(path) for path in page.evaluate(LOADED)]
        html = page.request.get(server.url).text()
        chromium.close()
    first = set(re.findall(r'src="\./assets/([^"]+)"', html))  # what the HTML itself asks for needs no telling
    loaded = [path.name for path in paths if path.parent.name == "assets" and path.suffix == ".js"]
    assert first
    assert sorted(SCRIPTS) == sorted(set(loaded) - first), "write the right side's names into web/page/assets.py"
    assert tuple(told) == SCRIPTS
