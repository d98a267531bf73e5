"""The page behind nginx that sends each request to another replica in turn: what a visitor does works all the same."""

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from feedback.row import FeedbackRow
from tests.deploy.test_proxies import SHIPPED, nginx
from tests.toy import encoded, picture, toy_model
from tests.web.conftest import DEADLINE_S, Server, running, wait_for
from tests.web.page.test_layout import browser, choose, context, verdict

__all__ = ["browser", "context"]  # fixtures

pytestmark = pytest.mark.browser


@dataclass(frozen=True)
class Replicas:
    url: str
    servers: tuple[Server, ...]

    def rows(self) -> list[FeedbackRow]:
        return [row for server in self.servers for row in server.rows()]


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    """Two apps with a folder each, by turns."""
    folder = tmp_path_factory.mktemp("replicas")
    toy_folder = toy_model(folder / "toy")
    for name in ("one", "two"):
        (folder / name).mkdir()
    limits = {"rate_limit": "100000/minute", "feedback_limit": "100000/minute", "secret": "the same for both replicas"}
    with (
        running(folder / "one", toy_folder, **limits) as one,
        running(folder / "two", toy_folder, **limits) as two,
        nginx(folder / "nginx", SHIPPED, one, two) as port,
    ):
        for server in (one, two):  # its first visitor waits until the page is built
            assert httpx.get(server.url, timeout=DEADLINE_S).is_success
        yield Replicas(f"http://127.0.0.1:{port}", (one, two))


@pytest.fixture
def page(context: BrowserContext, replicas: Replicas) -> Iterator[Page]:
    page = context.new_page()
    page.goto(replicas.url)
    expect(page.locator("#answer .waiting")).to_be_visible()
    yield page
    page.close()


@pytest.mark.parametrize("attempt", range(2))  # requests meet another replica each time
def test_a_photo_is_answered_explained_and_corrected_and_the_correction_changed(
    attempt: int, page: Page, replicas: Replicas
) -> None:
    choose(page, encoded(picture("red")))
    expect(verdict(page)).to_have_text("Red")
    page.locator("#why").click()
    expect(page.locator("#heat img")).to_be_visible()
    for label in ("Green", "Blue"):
        if label == "Green":
            page.click("#wrong")
        page.locator("#choices").get_by_text(label, exact=True).click()
        wait_for(lambda label=label: label.lower() in [row.corrected_label for row in replicas.rows()], "the row")
    expect(page.locator("#thanks .message")).to_contain_text("Noted as “Blue”")


def test_an_answer_is_undone_at_whichever_replica_has_it(page: Page, replicas: Replicas) -> None:
    before = {row.id for row in replicas.rows()}
    choose(page, encoded(picture("blue")))
    expect(verdict(page)).to_have_text("Blue")
    page.click("#wrong")
    page.locator("#choices").get_by_text("Red", exact=True).click()
    wait_for(lambda: {row.id for row in replicas.rows()} - before, "the row")
    expect(page.locator("#thanks .message")).to_contain_text("Noted as “Red”")
    page.locator("#mine summary").click()
    page.get_by_role("button", name="Undo: You said: Red").click()
    wait_for(lambda: {row.id for row in replicas.rows()} == before, "the row to go")
