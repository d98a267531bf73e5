"""Hostile files, servers and forms against the running app: what do they cost, and who notices?

`python -m benchmarks.endurance.hostile` starts `python app.py` and sends it the attack set, kind by kind: every file of
`attack_files`, every server and form of `attack_servers`. Then, for each kind of `crowds`, one client keeps 64 requests
in flight while ten visitors send a photo a second each. Then it sends 50 large legal pictures at once, to the API and
through the page's events, and one HEIC of 48 million pixels. It prints what each kind cost and fails where a goal is
missed. `make hostile HOSTILE="bombs crowd"` runs the kinds whose names hold one of these words.
"""

import argparse
import json
import signal
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

from benchmarks.endurance.attack_files import encoded
from benchmarks.endurance.attacks import ATTACK_SETTINGS, GOALS, KINDS, Cost, Goals, attack
from benchmarks.endurance.crowds import CROWD_SETTINGS, CROWDS
from benchmarks.harness.app_process import App, State, running_app
from benchmarks.harness.bystanders import Bystanders

MOST_MB, MOST_HEIC_MB, SLOWEST_HEALTH_S = 400.0, 550.0, 1.0
ROUNDS = 1
FLOODS = "floods"
ALL_KINDS = (*KINDS, *CROWDS, FLOODS)
_ANSWERED_WITHIN_S = 300.0


@dataclass(frozen=True)
class Measured:
    """What one flood did to the server."""

    peak_mb: float
    slowest_health_s: float
    answers: dict[str, int]
    seconds: float


def detailed(width: int, height: int) -> Image.Image:
    """A picture with coarse detail, so that its file is neither tiny nor too large to be sent."""
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 255, (height // 100, width // 100, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize((width, height), Image.Resampling.BILINEAR)


def hostile_pictures() -> dict[str, bytes]:
    """For every way through the decoders of JPEG, PNG and WebP the most that the limits let in, and two bombs."""
    large, photo = detailed(4000, 3990), detailed(2450, 2450)
    see_through = photo.copy()
    see_through.putalpha(128)
    grey = np.asarray(large.convert("L"))
    noise = np.random.default_rng(1).integers(0, 255, (2500, 2600, 3), dtype=np.uint8)
    return {
        "JPEG": encoded(large, "JPEG", quality=95),
        "JPEG progressive": encoded(large, "JPEG", progressive=True, quality=95, subsampling=0),
        "JPEG CMYK progressive": encoded(detailed(3500, 3500).convert("CMYK"), "JPEG", progressive=True),
        "PNG": encoded(large, "PNG", compress_level=1),
        "PNG of 19 MB": encoded(Image.fromarray(noise), "PNG", compress_level=1),
        "PNG RGBA": encoded(large.convert("RGBA"), "PNG", compress_level=1),
        "PNG grey and alpha": encoded(large.convert("LA"), "PNG", compress_level=1),
        "PNG 16 bit": encoded(Image.fromarray(grey.astype(np.uint16) * 257), "PNG", compress_level=1),
        "PNG palette": encoded(large.quantize(256), "PNG", compress_level=1, transparency=0),
        "PNG bomb": _declaring(13_370, 13_370),
        "PNG giant": _declaring(2**31 - 1, 2**31 - 1),
        "WebP": encoded(photo, "WEBP", method=0),
        "WebP lossless": encoded(see_through, "WEBP", method=0, lossless=True, quality=0, exact=True),
    }


def heic() -> bytes:
    """A picture of 48 million pixels, as phones take them."""
    import pillow_heif  # noqa: PLC0415 - large

    pillow_heif.register_heif_opener()
    return encoded(detailed(8064, 6048), "HEIF", quality=50, enc_params={"preset": "ultrafast"})


def _declaring(width: int, height: int) -> bytes:
    """A PNG whose header declares so many pixels."""
    small = encoded(Image.new("RGB", (8, 8)), "PNG")
    header = b"IHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + small[24:29]
    return small[:12] + header + zlib.crc32(header).to_bytes(4, "big") + small[33:]


def send_to_api(url: str, data: bytes) -> str:
    """The status of an answer, as programs get it."""
    return str(httpx.post(f"{url}/predict", files={"file": data}, timeout=_ANSWERED_WITHIN_S).status_code)


def send_by_page(url: str, data: bytes) -> str:
    """How the event ends that the page and its programs start after an upload."""
    with httpx.Client(base_url=url, timeout=_ANSWERED_WITHIN_S) as client:
        uploaded = client.post("/gradio_api/upload", files={"files": ("a.jpg", data)})
        if uploaded.is_error:
            return str(uploaded.status_code)
        file = {"path": uploaded.json()[0], "meta": {"_type": "gradio.FileData"}}
        joined = client.post("/gradio_api/call/classify", json={"data": [file]})
        if joined.is_error:
            return str(joined.status_code)
        events = client.get(f"/gradio_api/call/classify/{joined.json()['event_id']}").text
        return next(
            word for word in ("complete", "error", "neither") if f"event: {word}" in events or word == "neither"
        )


def flood(app: App, send: Callable[[str, bytes], str], files: Sequence[bytes]) -> Measured:
    """Send all files at once, and wait for all answers."""
    app.forget_peak()
    monitor = Bystanders(app.port, visitors=0)
    with monitor, ThreadPoolExecutor(len(files)) as pool:
        started = time.monotonic()
        answers = Counter(pool.map(partial(send, app.url), files))
        took = time.monotonic() - started
    return Measured(app.peak_mb(), monitor.noticed.slowest_health_s, dict(answers), took)


def measure(app: App, at_once: int, rounds: int) -> list[str]:
    """Fresh and warm, by the API and the page; returns what is missed."""
    kinds = list(hostile_pictures().values())
    files = [kinds[n % len(kinds)] for n in range(at_once)]
    print(f"idle: {State.of(app.pid).resident_mb:.0f} MB", flush=True)
    missed = []
    for n in range(rounds):
        for name, send in (("API", send_to_api), ("page", send_by_page)):
            missed += report(f"{name} {n + 1}", flood(app, send, files), MOST_MB)
    large = heic()
    for name, send in (("HEIC by API", send_to_api), ("HEIC by page", send_by_page)):
        missed += report(name, flood(app, send, [large]), MOST_HEIC_MB)
    print(f"after: {State.of(app.pid).resident_mb:.0f} MB")
    return missed


def report(name: str, found: Measured, most_mb: float) -> list[str]:
    """Print a line; returns what is missed."""
    print(
        f"{name}: peak {found.peak_mb:.0f} MB, /health at most {found.slowest_health_s:.2f} s, {found.seconds:.1f} s, "
        f"answers {json.dumps(found.answers)}",
        flush=True,
    )
    missed = []
    if found.peak_mb > most_mb:
        missed.append(f"{name}: {found.peak_mb:.0f} MB is above {most_mb:.0f} MB")
    if found.slowest_health_s > SLOWEST_HEALTH_S:
        missed.append(f"{name}: /health took {found.slowest_health_s:.2f} s")
    return missed


def each_kind(app: App) -> None:
    """Every picture alone: what is its share?"""
    for name, data in {**hostile_pictures(), "HEIC": heic()}.items():
        report(f"{name} ({len(data) / 1e6:.1f} MB)", flood(app, send_to_api, [data]), MOST_MB)


def chosen(words: Sequence[str]) -> list[str]:
    """The kinds whose names hold one of the words; all of them without words."""
    return [kind for kind in ALL_KINDS if not words or any(word in kind for word in words)]


def cost_of(app: App, kind: str) -> Cost:
    """Attack the app."""
    return CROWDS[kind](app, kind) if kind in CROWDS else attack(app, kind, KINDS[kind](app))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.endurance.hostile", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help="only kinds whose names hold this word; all if none")
    parser.add_argument("--list", action="store_true", help="only the names of the kinds")
    parser.add_argument("--at-once", type=int, default=50, help="pictures at a time in the floods")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of the floods")
    parser.add_argument("--each", action="store_true", help="only every picture of the floods alone, for its memory")
    arguments = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # the app must not be left behind
    kinds = chosen(arguments.kinds)
    if arguments.list or not kinds:
        print("\n".join(ALL_KINDS))
        return 0 if arguments.list else 2
    missed, started = [], time.monotonic()
    settings = {**ATTACK_SETTINGS, **CROWD_SETTINGS}
    with tempfile.TemporaryDirectory(prefix="hostile-") as name, running_app(Path(name), settings) as app:
        if arguments.each:
            each_kind(app)
            return 0
        for kind in kinds:
            if kind == FLOODS:
                missed += measure(app, arguments.at_once, arguments.rounds)
                continue
            cost = cost_of(app, kind)
            print(cost.line(), flush=True)
            missed += cost.missed(GOALS.get(kind.partition(":")[0], Goals()))
        if "Traceback" in app.log.read_text(encoding="utf-8"):
            missed.append("the log has a traceback")
    print(f"{time.monotonic() - started:.0f} s")
    print("\n".join(missed) or "all goals met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
