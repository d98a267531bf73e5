"""The page in the browser says what the server says."""

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Browser, Page

from catdog.images.decode import decode_image
from catdog.model.model import Model
from catdog.settings import EMBEDDED_MODEL
from tests.browser.site import serve
from tests.browser.vectors import FILE, vectors
from tests.conftest import ROOT
from tests.toy import encoded
from tests.web.page.test_layout import TIMEOUT_MS

pytestmark = pytest.mark.slow  # many short ones: together half a minute

CLASSIFY = """async (pictures) => {
  const { Engine } = await import("./engine.js");
  if (!window.engine) (window.engine = new Engine()).start();
  const answers = [];
  for (const data of pictures) {
    const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
    answers.push(await window.engine.classify(new Blob([bytes])));
  }
  return answers;
}"""
AT_ONCE = 25


def classified(page: Page, pictures: list[bytes]) -> list[dict[str, object]]:
    """What the page's own worker says about pictures."""
    answers: list[dict[str, object]] = []
    for start in range(0, len(pictures), AT_ONCE):
        batch = pictures[start : start + AT_ONCE]
        answers += page.evaluate(CLASSIFY, [base64.b64encode(data).decode() for data in batch])
    return answers


def real_pictures(shared: Path, name: str, count: int) -> list[bytes]:
    file = pq.ParquetFile(min((shared / "data" / name / "data").glob("*.parquet")))
    rows = next(file.iter_batches(batch_size=count, columns=["image"])).to_pylist()
    return [row["image"]["bytes"] for row in rows]


def assert_equal(answers: list[dict[str, object]], pictures: list[bytes], *, within: float) -> None:
    model = Model.load(EMBEDDED_MODEL)
    for answer, data in zip(answers, pictures, strict=True):
        expected = model.predict(decode_image(data))
        assert answer["probabilities"] == pytest.approx(expected.probabilities, abs=within)
        second, first = sorted(expected.probabilities)[-2:]
        assert answer["label"] == expected.label or first - second <= 2 * within


def test_the_vectors_are_what_python_makes() -> None:
    assert [json.loads(line) for line in FILE.read_text().splitlines()] == vectors()


def test_javascript_makes_the_same_of_them(node: str) -> None:
    done = subprocess.run(
        [node, "--test", "tests/browser/"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.fixture(scope="module")
def page(browser: Browser, real_page: Path) -> Iterator[Page]:
    """A document of the page's origin without the page: its worker is asked directly."""
    with serve(real_page) as address:
        page = browser.new_page()
        page.set_default_timeout(4 * TIMEOUT_MS)
        page.goto(f"{address}/page.json")
        yield page
        page.close()


def test_real_pictures_get_the_servers_answers(page: Page, shared: Path) -> None:
    pictures = [data for name in ("cats_vs_dogs", "wild", "neither") for data in real_pictures(shared, name, 25)]
    assert_equal(classified(page, pictures), pictures, within=0.01)


def test_odd_pictures_get_the_servers_answers(page: Page, shared: Path) -> None:
    """Large, turned, transparent, grey and of another shape: what is special about decoding."""
    (photo,) = (decode_image(data) for data in real_pictures(shared, "wild", 1))
    large = photo.resize((photo.width * 5, photo.height * 5))
    exif = photo.getexif()
    exif[0x0112] = 6
    see_through = photo.convert("RGBA")
    see_through.putalpha(photo.convert("L"))
    pictures = [
        encoded(large),
        encoded(photo, exif=exif),
        encoded(see_through, "PNG"),
        encoded(photo.convert("L")),
        encoded(photo.resize((900, 90)), "PNG"),
        encoded(photo, "WEBP", lossless=True),
    ]
    assert_equal(classified(page, pictures), pictures, within=0.01)
