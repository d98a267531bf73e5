"""The page in a real browser: click to answer, weight (by `benchmarks.speed.page`), and time until it can be used.

The time is compared with a Gradio page that holds a picture and a label, each opened in turns with an empty cache.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from benchmarks.harness.pictures import ROOT, photos, usual, written
from benchmarks.harness.report import Section, circumstances, ratios, spread, table
from benchmarks.harness.servers import Command, Server, free_port, ours, start
from tests.web.page.test_layout import FLAGS, find_chromium

NAME = "page_weight"
_ROUNDS, _PHOTOS = 40, 40
_WITHIN_MS = 60_000
_USABLE = "input[type=file]"
_BYTES = """performance.getEntriesByType("navigation").concat(performance.getEntriesByType("resource"))
  .reduce((sum, each) => sum + each.encodedBodySize, 0)"""


def measure(model: Path, *, quick: bool) -> Section:
    """Open both pages, then use ours."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        paths = written([usual(photo.image) for photo in photos(2 if quick else _PHOTOS)], folder / "photos")
        opening = _opened(model, folder, paths[0].read_bytes(), rounds=1 if quick else _ROUNDS)
        used = _used(paths[0].parent, 4 if quick else _PHOTOS)
    goal = "Goals: choosing a photo to its answer at most 150 ms; no more than 10 % over a bare Gradio page in both."
    return Section(NAME, "The page in a browser", [circumstances(), "", *opening, "", *used, "", goal])


def _opened(model: Path, folder: Path, picture: bytes, *, rounds: int) -> list[str]:
    port = free_port()
    bare = Command("gr.Image and gr.Label", ["-m", "benchmarks.peers.bare_blocks", str(port)], {}, port)
    servers = [start(ours(model, folder), picture), start(bare, None)]
    seconds: dict[str, list[float]] = {server.name: [] for server in servers}
    kilobytes: dict[str, list[float]] = {server.name: [] for server in servers}
    try:
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=find_chromium(playwright), args=list(FLAGS))
            for number in range(rounds + 1):  # the first one warms up
                for server in servers:
                    taken, size = _open(chromium, server)
                    if number:
                        seconds[server.name].append(taken)
                        kilobytes[server.name].append(size)
            chromium.close()
    finally:
        for server in servers:
            server.stop()
    first, second = seconds
    rows = [[name, spread(seconds[name], 2), spread(kilobytes[name], 0)] for name in seconds]
    rows.append(["ratio", *(spread(ratios(of[second], of[first]), 2) for of in (seconds, kilobytes))])
    return table(["page, empty cache", "seconds until a photo can be chosen", "kB"], rows)


def _open(chromium: Browser, server: Server) -> tuple[float, float]:
    """Seconds until a photo can be chosen, and the kilobytes that came in all."""
    context = chromium.new_context()
    try:
        page = context.new_page()
        page.set_default_timeout(_WITHIN_MS)
        page.goto(f"http://127.0.0.1:{server.port}/", wait_until="commit")
        page.wait_for_selector(_USABLE, state="attached")
        taken_s = float(page.evaluate("performance.now()")) / 1000
        page.wait_for_load_state("networkidle")
        return taken_s, float(page.evaluate(_BYTES)) / 1000
    finally:
        context.close()


def _used(folder: Path, count: int) -> list[str]:
    """What `benchmarks.speed.page` says, a line each."""
    command = [sys.executable, "-m", "benchmarks.speed.page", "--photos", str(folder), "--count", str(count)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"benchmarks.speed.page failed:\n{done.stderr[-2000:]}")
    return [f"- {line}" for line in done.stdout.splitlines()]
