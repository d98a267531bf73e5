"""The static page in a real browser: size, speed, and whether it says what the server says.

    python -m benchmarks.speed.static_page --pictures train.parquet [MORE.parquet ...] [--count 500] [--isolated]

The pictures come from the `image` column of Parquet files, as many from each. Prints one line of JSON.
"""

import argparse
import base64
import gzip
import json
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet as pq
from playwright.sync_api import Page, sync_playwright

from catdog.images.decode import decode_image
from catdog.model.model import Model
from catdog.settings import load_settings
from deploy.static.build import BROWSER, Built, build_static
from deploy.static.model import find_static_model
from deploy.static.runtime import find_runtime
from tests.browser.site import ISOLATED, serve
from tests.web.page.test_layout import FLAGS, find_chromium

START = """async () => {
  const { Engine } = await import("./engine.js");
  window.engine = new Engine();
  window.engine.start();
  return window.engine.ready;
}"""
CLASSIFY = """async (data) => {
  const picture = new Blob([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))]);
  const start = performance.now();
  const { label, verdict, probabilities } = await window.engine.classify(picture);
  return { label, verdict, probabilities, ms: performance.now() - start };
}"""
LOAD_WITHIN_MS = 300_000


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the static page.")
    parser.add_argument("--pictures", type=Path, nargs="+", required=True, metavar="PARQUET")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--isolated", action="store_true", help="with the headers that give WebAssembly threads")
    arguments = parser.parse_args()
    share = arguments.count // len(arguments.pictures)
    pictures = [data for path in arguments.pictures for data in read(path, share)]
    model = find_static_model(load_settings())
    with TemporaryDirectory() as folder:
        built = build_static(model, find_runtime(BROWSER), Path(folder) / "page")
        answers, loaded_s, backend = ask(built, pictures, isolated=arguments.isolated)
        sizes = first_load(built)
    served = Model.load(model.folder)
    print(
        json.dumps(
            {
                "network": model.network,
                "backend": backend,
                "isolated": arguments.isolated,
                **sizes,
                "loaded_s": round(loaded_s, 2),
                "ms_fastest": round(min(answer["ms"] for answer in answers), 1),
                "ms_median": round(statistics.median(answer["ms"] for answer in answers), 1),
                "ms_p95": round(statistics.quantiles((answer["ms"] for answer in answers), n=20)[-1], 1),
                **compare(answers, pictures, served),
            }
        )
    )


def read(path: Path, count: int) -> list[bytes]:
    batch = next(pq.ParquetFile(path).iter_batches(batch_size=count, columns=["image"]))
    return [row["image"]["bytes"] for row in batch.to_pylist()]


def ask(built: Built, pictures: list[bytes], *, isolated: bool) -> tuple[list[dict[str, Any]], float, str]:
    """What the page's worker says, how long it took to be ready, and what ran the network."""
    with serve(built.folder, **(ISOLATED if isolated else {})) as address, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=find_chromium(playwright), args=list(FLAGS))
        page = chromium.new_page()
        page.set_default_timeout(LOAD_WITHIN_MS)
        page.goto(f"{address}/page.json")  # of the page's origin, without the page
        start = time.perf_counter()
        backend = str(page.evaluate(START))
        loaded_s = time.perf_counter() - start
        answers = [classified(page, data) for data in pictures]
        chromium.close()
    return answers, loaded_s, backend


def classified(page: Page, data: bytes) -> dict[str, Any]:
    answer: dict[str, Any] = page.evaluate(CLASSIFY, base64.b64encode(data).decode())
    return answer


def first_load(built: Built) -> dict[str, float]:
    paths = [path for path in built.sizes if "jspi" not in path and path != "README.md"]
    packed = sum(len(gzip.compress((built.folder / path).read_bytes())) for path in paths)
    return {"first_load_mb": round(built.first_load / 1e6, 2), "first_load_gzip_mb": round(packed / 1e6, 2)}


def compare(answers: list[dict[str, Any]], pictures: list[bytes], served: Model) -> dict[str, Any]:
    """Against the server's own network, which may be a larger one."""
    expected = [served.predict(decode_image(data)) for data in pictures]
    pairs = list(zip(answers, expected, strict=True))
    differences = [
        max(abs(a - b) for a, b in zip(answer["probabilities"], prediction.probabilities, strict=True))
        for answer, prediction in pairs
    ]
    return {
        "n": len(pairs),
        "labels_equal": sum(answer["label"] == prediction.label for answer, prediction in pairs),
        "verdicts_equal": sum(answer["verdict"] == prediction.verdict for answer, prediction in pairs),
        "largest_difference": max(differences),
    }


if __name__ == "__main__":
    main()
