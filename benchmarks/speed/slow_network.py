"""The page on slow 3G, as Chromium simulates it: when something is seen, and how long a photo takes to its answer."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import BrowserContext, Page, sync_playwright

from benchmarks.harness.pictures import photos
from benchmarks.harness.report import Section, circumstances, spread, table
from tests.web.conftest import running
from tests.web.page.test_layout import FLAGS, find_chromium

NAME = "slow_network"
_ROUNDS = 5
_WITHIN_MS = 120_000
_BYTES_PER_S = 400 * 1024 // 8
_SLOW_3G = {
    "offline": False,
    "latency": 400,
    "downloadThroughput": _BYTES_PER_S,
    "uploadThroughput": _BYTES_PER_S,
}
_PHONE = {"width": 390, "height": 844}
_PHOTO_SIDE = 3000
_FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
_SENT = "performance.getEntriesByType('resource').findLast((each) => each.name.includes('/page/photo?')).duration"
_WATCH = """() => {
  const { timing } = (window.timing = { timing: {} });
  document.addEventListener("change", () => { timing.began = performance.now(); }, { capture: true, once: true });
}"""
_TAKEN = "performance.now() - window.timing.timing.began"


def measure(model: Path, *, quick: bool) -> Section:
    """Open the page with an empty cache, choose a photo before it is complete, and one once it is."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        photo = folder / "photo.jpg"
        photos(1)[0].image.resize((_PHOTO_SIDE, _PHOTO_SIDE * 3 // 4)).save(photo, quality=90)
        with running(folder, model, rate_limit="100000/minute") as server:
            rounds = _measured(server.url, photo, rounds=1 if quick else _ROUNDS)
        size = photo.stat().st_size / 1000
    names = ("first paint", "complete", "photo to answer", "of these on the network", "early photo to answer")
    rows = [[name, spread([each[index] for each in rounds], 2)] for index, name in enumerate(names)]
    goal = "Goals: first paint 2 s, photo to answer 3 s, both on a machine that does nothing else."
    about = f"400 kbit/s each way, 400 ms latency; a photo of {size:.0f} kB, empty cache, {len(rounds)} rounds."
    return Section(
        NAME, "The page on slow 3G", [circumstances(), "", about, "", *table(["", "seconds"], rows), "", goal]
    )


def _measured(url: str, photo: Path, *, rounds: int) -> Sequence[tuple[float, ...]]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=find_chromium(playwright), args=list(FLAGS))
        measured = []
        for number in range(rounds + 1):  # the first one warms up
            with chromium.new_context(viewport=_PHONE) as context:
                usual = _usual(context, url, photo)
            with chromium.new_context(viewport=_PHONE) as context:
                early = _early(context, url, photo)
            if number:
                measured.append((*usual, early))
        chromium.close()
    return measured


def _usual(context: BrowserContext, url: str, photo: Path) -> tuple[float, ...]:
    """Seconds to the first paint, to the complete page, from the photo to its answer, and of these on the network."""
    page = _open(context, url)
    page.wait_for_selector("html.ready", state="attached")
    complete = float(page.evaluate("performance.now()"))
    page.wait_for_load_state("networkidle")
    taken = _answered(page, "#photo input", photo, "#answer .answer")
    return tuple(each / 1000 for each in (page.evaluate(_FIRST_PAINT), complete, taken, page.evaluate(_SENT)))


def _early(context: BrowserContext, url: str, photo: Path) -> float:
    """Seconds from a photo, chosen as soon as there is a place for it and a script to send it, to its answer."""
    page = _open(context, url)
    page.wait_for_function("performance.getEntriesByType('resource').some((each) => each.name.endsWith('texts.json'))")
    return _answered(page, "#first input", photo, "#first output:has-text('%'), #answer .answer") / 1000


def _open(context: BrowserContext, url: str) -> Page:
    page = context.new_page()
    page.set_default_timeout(_WITHIN_MS)
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.emulateNetworkConditions", _SLOW_3G)
    page.goto(url, wait_until="commit")
    return page


def _answered(page: Page, place: str, photo: Path, answer: str) -> float:
    """Milliseconds from choosing a photo to its answer."""
    page.evaluate(_WATCH)
    page.set_input_files(place, photo)
    page.wait_for_selector(answer)
    return float(page.evaluate(_TAKEN))
