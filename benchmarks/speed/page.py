"""The page in a real browser: how fast it answers, how much it loads, whether anything jumps.

    python -m benchmarks.speed.page [--photos FOLDER] [--count 40] [--url http://localhost:7860]

Without `--url` the app is started with the embedded model. Numbers are those of this machine at this moment: run it on
one that does nothing else. All times are taken in the browser, from choosing a file or clicking to the first frame
that shows the answer.
"""

import argparse
import itertools
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from catdog.images.decode import decode_image
from catdog.settings import EMBEDDED_MODEL
from tests.web.conftest import running
from tests.web.page.test_layout import FLAGS, find_chromium
from web.page.examples import Examples

SIDE = 1600
WARM_UP = 4
WHY_TIMES = 12
LIVE_S = 6.0
WITHIN_MS = 60_000
SHIFTS = """new PerformanceObserver((list) => {
  for (const each of list.getEntries()) window.shifted = (window.shifted ?? 0) + (each.hadRecentInput ? 0 : each.value);
}).observe({ type: "layout-shift", buffered: true });"""
TIME = """([watched, change]) => new Promise((done) => {
  const now = () => document.querySelector(watched)?.outerHTML ?? "";
  const before = now();
  let began;
  const start = () => { began = performance.now(); };
  const observer = new MutationObserver(() => {
    if (began === undefined || now() === before) return;
    observer.disconnect();
    requestAnimationFrame(() => done(performance.now() - began));
  });
  observer.observe(document.body, { childList: true, subtree: true, attributes: true });
  if (change) return document.addEventListener("change", start, { capture: true, once: true });
  start();
  document.getElementById("why").click();
})"""
WEIGHT = """performance.getEntriesByType("navigation").concat(performance.getEntriesByType("resource"))
  .reduce((sum, each) => sum + each.encodedBodySize, 0)"""
BARE = """import gradio as gr, sys
with gr.Blocks(analytics_enabled=False) as page:
    pass
page.launch(server_name="127.0.0.1", server_port=int(sys.argv[1]), quiet=True)"""


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure the page in a browser.")
    parser.add_argument("--photos", type=Path, help="a folder of photos; the examples if left out")
    parser.add_argument("--count", type=int, default=40, help="how many photos to show (default: 40)")
    parser.add_argument("--url", help="a running app; one is started if left out")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder, opened_app(args.url, Path(folder)) as url:
        photos = sorted(args.photos.iterdir()) if args.photos else enlarged(Path(folder))
        measure(url, list(itertools.islice(itertools.cycle(photos), args.count + WARM_UP)))
    return 0


def measure(url: str, photos: list[Path]) -> None:
    """Show photos one after another, ask why, aim the camera."""
    print(f"load average before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=find_chromium(playwright), args=list(FLAGS))
        page = chromium.new_context(permissions=["camera"], viewport={"width": 1280, "height": 800}).new_page()
        page.set_default_timeout(WITHIN_MS)
        page.add_init_script(SHIFTS)
        weight = loaded(page, url, "#answer .waiting")
        answers = [answered(page, photo) for photo in photos][WARM_UP:]
        whys = [page.evaluate(TIME, ["#heat figure", False]) for _ in range(WHY_TIMES)][::2]
        shifted = page.evaluate("window.shifted ?? 0")
        live = frames_per_second(page)
        with bare_app() as bare_url:
            bare = loaded(chromium.new_page(), bare_url, "footer")
        chromium.close()
    told("choosing a photo to its answer", answers)
    told("Why, from the click to the heat map", whys)
    print(f"live camera: {live:.1f} frames a second")
    print(f"layout shift until then: {shifted:.4f}")
    print(f"page: {weight / 1000:.0f} kB; an empty gr.Blocks: {bare / 1000:.0f} kB; {100 * (weight / bare - 1):+.1f}%")
    print(f"load average after: {os.getloadavg()[0]:.1f}")


def loaded(page: Page, url: str, sign: str) -> float:
    """Open a page; returns how many bytes it loaded, as they travelled."""
    page.goto(url)
    page.wait_for_selector(sign)
    page.wait_for_load_state("networkidle")
    return float(page.evaluate(WEIGHT))


def answered(page: Page, photo: Path) -> float:
    """Milliseconds from choosing a file to its answer."""
    page.evaluate(f"window.answered = ({TIME})(['#answer .answer', true]); undefined")
    page.set_input_files("#photo input[type=file]", photo)
    return float(page.evaluate("window.answered"))


def frames_per_second(page: Page) -> float:
    """How many frames of the (fake) camera are answered in live mode."""
    seen = "Number(document.getElementById('camera')?.dataset.frames ?? 0)"
    page.click("[data-way=camera]")
    page.wait_for_function(f"{seen} > 0")
    before = page.evaluate(seen)
    page.wait_for_timeout(1000 * LIVE_S)
    return float(page.evaluate(seen) - before) / LIVE_S


def told(name: str, times_ms: list[float]) -> None:
    quantiles = statistics.quantiles(times_ms, n=20)
    print(f"{name}: median {statistics.median(times_ms):.0f} ms, p95 {quantiles[-1]:.0f} ms, {len(times_ms)} times")


def enlarged(folder: Path) -> list[Path]:
    """The example photos of a cat and a dog, as large as photos are."""
    paths = []
    for name in ("cat", "dog"):
        picture = Examples().picture(name)
        assert picture
        paths.append(folder / f"{name}.jpg")
        decode_image(picture).resize((SIDE, SIDE)).save(paths[-1], quality=90)
    return paths


@contextmanager
def opened_app(url: str | None, folder: Path) -> Iterator[str]:
    if url:
        yield url
        return
    limits = {"rate_limit": "100000/minute"}
    with running(folder, EMBEDDED_MODEL, **limits) as server:
        yield server.url


@contextmanager
def bare_app(port: int = 7869) -> Iterator[str]:
    """A Gradio page with nothing on it."""
    process = subprocess.Popen([sys.executable, "-c", BARE, str(port)])
    try:
        wait_until_listening(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def wait_until_listening(port: int) -> None:
    end = time.monotonic() + WITHIN_MS / 1000
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError("the bare page did not start")


if __name__ == "__main__":
    sys.exit(main())
