"""Those who use the app: a program that calls the API, and a person with a browser."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx
from playwright.sync_api import Error as BrowserError
from playwright.sync_api import Page, Playwright, sync_playwright

from catdog.errors import SettingsError
from demo.narrator import BrokenClaimError
from demo.pictures import Photo

_TIMEOUT_S = 60.0
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
)


@dataclass(frozen=True, slots=True)
class Rates:
    """Shares of photos."""

    label: float
    """The likeliest label is the true one ..."""
    verdict: float
    """... and the page names it, and does not say "Neither" or "Not sure"."""


class Program:
    """Uses the REST API."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=_TIMEOUT_S)

    def close(self) -> None:
        """Hang up."""
        self._http.close()

    def health(self) -> dict[str, Any]:
        """What `GET /health` says."""
        return self._checked(self._http.get("/health"))

    def classify(self, photo: Photo) -> dict[str, Any]:
        """What the app says about a photo."""
        return self._checked(self._http.post("/predict", files={"file": (photo.name, photo.data)}))

    def say(self, request_id: str, label: str) -> None:
        """Tell the app what it is."""
        answer = self._checked(self._http.post("/feedback", json={"request_id": request_id, "label": label}))
        if answer["status"] != "saved":
            raise BrokenClaimError(f"A correction was not saved: {answer}.")

    def rates(self, photos: Sequence[Photo]) -> Rates:
        """How often the app is right about photos."""
        answers = [(self.classify(photo), photo.label) for photo in photos]
        label, verdict = (sum(answer[key] == true for answer, true in answers) for key in ("label", "verdict"))
        return Rates(label / len(photos), verdict / len(photos))

    def _checked(self, answer: httpx.Response) -> dict[str, Any]:
        if answer.is_error:
            raise BrokenClaimError(
                f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {answer.text}"
            )
        found: dict[str, Any] = answer.json()
        return found


class Visitor:
    """Uses the page in a real browser, and never reloads it."""

    def __init__(self, page: Page) -> None:
        self._page = page

    @classmethod
    @contextmanager
    def opened(cls, url: str) -> Iterator[Self]:
        """A browser on the page.

        Raises:
            SettingsError: there is no browser.
            BrokenClaimError: the page does not do what it should, inside the block too.
        """
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=find_browser(playwright), args=[*BROWSER_FLAGS])
            try:
                page = browser.new_page()
                page.set_default_timeout(1000 * _TIMEOUT_S)
                page.goto(url)
                page.locator("#answer .waiting").wait_for()
                yield cls(page)
            except BrowserError as error:
                raise BrokenClaimError(f"The page did not do what it should: {error}") from error
            finally:
                browser.close()

    def classify(self, photo: Photo) -> str:
        """Choose a photo and read the verdict."""
        page = self._page
        if page.get_by_label("Remove the photo").is_visible():
            page.get_by_label("Remove the photo").click()
            page.locator("#answer .waiting").wait_for()
        page.set_input_files(
            "#photo input[type=file]", {"name": photo.name, "mimeType": "image/jpeg", "buffer": photo.data}
        )
        page.locator("#answer .verdict").wait_for()
        return page.locator("#answer .verdict").inner_text()

    def say(self, label: str) -> None:
        """Press "Right", or "Wrong label" and the right one, and read the thanks."""
        page = self._page
        if page.locator("#answer .verdict").inner_text() == label.capitalize():
            page.locator("#right").click()
        else:
            if page.locator("#wrong").is_visible():  # where the app is unsure it asks by itself
                page.locator("#wrong").click()
            page.locator("#choices").get_by_text(label.capitalize(), exact=True).click()
        page.locator("#thanks .thanks").wait_for()


def find_browser(playwright: Playwright) -> str:
    """A browser of the system, or the one that Playwright brought."""
    found = next((path for path in map(shutil.which, _NAMES) if path), playwright.chromium.executable_path)
    if not Path(found).is_file():
        raise SettingsError("There is no Chromium. Run `playwright install chromium`, or use --no-browser.")
    return found
