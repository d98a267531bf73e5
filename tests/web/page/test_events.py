"""The page's events over a real service and journal, where a browser would take too long to bring it about."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from catdog.hub.models import LoadedModel
from catdog.model.model import Model
from catdog.settings import Settings
from feedback.journal.journal import Journal
from feedback.row import FeedbackRow, Source
from tests.toy import encoded, picture
from web.app import create_service
from web.i18n.texts import ENGLISH
from web.metrics.metrics import Metrics
from web.middleware.rate_limit import FEEDBACK, RateLimiter
from web.page.events import PageEvents, PageParts
from web.page.state import Memory
from web.page.uploads import Uploads, needs_preview, source_of

NOBODY = gr.Request()


class Bench:
    """Events, and what they left in the journal."""

    def __init__(self, folder: Path, model: Path, journal: Journal, feedback_limit: str = "100/minute") -> None:
        settings = Settings(data_dir=folder / "data")
        metrics = Metrics()
        self._journal = journal
        self.uploads = folder / "uploads"
        self.uploads.mkdir()
        self.events = PageEvents(
            PageParts(
                service=create_service(settings, LoadedModel(Model.load(model), "folder"), journal, metrics),
                metrics=metrics,
                limiter=RateLimiter({FEEDBACK: feedback_limit}),
                client_of=lambda _: "1.2.3.4",
                uploads=Uploads(self.uploads, max_bytes=1_000_000),
                warnings=(),
                texts=ENGLISH,
            )
        )

    def upload(self, data: bytes) -> dict[str, Any]:
        path = self.uploads / "photo.jpg"
        path.write_bytes(data)
        return {"path": str(path), "orig_name": "photo.jpg", "mime_type": "image/jpeg"}

    def say(self, memory: Any, file: Any, label: Any) -> tuple[str, dict[str, Any]]:
        """What the page says then, and what it remembers."""
        message, _, kept = asyncio.run(self.events.on_choice(memory, file, label, NOBODY))
        return message, kept

    def rows(self) -> list[FeedbackRow]:
        return list(self._journal.rows())


@pytest.fixture
def bench(tmp_path: Path, toy_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")  # the bench sets it; put it back afterwards
    with Journal.open(tmp_path / "data") as journal:
        yield Bench(tmp_path, toy_folder, journal)


FORGOTTEN = Memory(request_id="forgotten", verdict="red", source=Source.WEBCAM).sent()


def test_a_forgotten_prediction_is_made_again_from_the_photo_on_the_page(bench: Bench) -> None:
    message, kept = bench.say(FORGOTTEN, bench.upload(encoded(picture("red"))), "blue")
    assert "Noted as “Blue”" in message
    (row,) = bench.rows()
    assert (row.predicted_label, row.corrected_label, row.source) == ("red", "blue", "webcam")
    assert kept["request_id"] == row.request_id
    assert kept["receipt"]


def test_saying_it_again_before_the_page_has_heard_counts_once(bench: Bench) -> None:
    file = bench.upload(encoded(picture("red")))
    bench.say(FORGOTTEN, file, "blue")
    message, _ = bench.say(FORGOTTEN, file, "blue")
    assert "already" in message
    assert len(bench.rows()) == 1


def test_another_answer_after_that_replaces_the_first(bench: Bench) -> None:
    file = bench.upload(encoded(picture("red")))
    _, kept = bench.say(FORGOTTEN, file, "blue")
    bench.say(kept, file, "neither")
    first, second = bench.rows()
    assert first.request_id == second.request_id


def test_when_the_photo_is_gone_as_well_the_page_asks_for_it(bench: Bench) -> None:
    file = bench.upload(b"")
    Path(file["path"]).unlink()
    for gone in (file, None):
        message, _ = bench.say(FORGOTTEN, gone, "blue")
        assert ENGLISH.picture_gone in message
    assert bench.rows() == []


@pytest.mark.parametrize("memory", [None, [], "text", 7, {}, {"request_id": {}, "source": [], "receipt": 1}])
def test_nonsense_from_a_browser_is_answered_with_a_sentence(bench: Bench, memory: Any) -> None:
    message, _ = bench.say(memory, {"path": "/etc/passwd"}, ["blue"])
    assert "problem" in message
    assert bench.rows() == []


def test_a_label_that_the_model_does_not_know_is_refused(bench: Bench) -> None:
    message, _ = bench.say(FORGOTTEN, bench.upload(encoded(picture("red"))), "<script>")
    assert "must be one of" in message
    assert "<script>" not in message


def test_corrections_are_limited_on_the_page_as_well(tmp_path: Path, toy_folder: Path, bench: Bench) -> None:
    (tmp_path / "other").mkdir()
    with Journal.open(tmp_path / "other" / "data") as journal:
        limited = Bench(tmp_path / "other", toy_folder, journal, feedback_limit="1/minute")
        file = limited.upload(encoded(picture("red")))
        limited.say(FORGOTTEN, file, "blue")
        message, _ = limited.say(FORGOTTEN, file, "neither")
    assert "Too many requests" in message


def test_an_answer_that_could_not_be_kept_is_not_thanked_for(bench: Bench) -> None:
    file = bench.upload(encoded(picture("red")))
    bench._journal.close()
    message, kept = bench.say(FORGOTTEN, file, "blue")
    assert "problem" in message
    assert "Thank" not in message
    assert kept["receipt"] is None


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ({"orig_name": "photo.jpg", "mime_type": "image/jpeg"}, Source.UPLOAD),
        ({"orig_name": "image.png", "mime_type": "image/png"}, Source.UPLOAD),
        ({"orig_name": "snapshot.jpg", "mime_type": "image/jpeg"}, Source.WEBCAM),
        ({"orig_name": "clipboard.png", "mime_type": "image/png"}, Source.CLIPBOARD),
        ({}, Source.UPLOAD),
    ],
)
def test_the_name_that_gradio_gives_tells_how_a_picture_came(file: dict[str, str], source: Source) -> None:
    assert source_of(file) is source


def test_only_what_browsers_may_not_show_gets_a_preview() -> None:
    assert needs_preview({"orig_name": "IMG_1.HEIC"})
    assert not needs_preview({"orig_name": "photo.jpg"})
