"""The functions that programs may call through Gradio, where a client would take too long to bring it about."""

import asyncio
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from catdog.hub.models import LoadedModel
from catdog.model.model import Model
from catdog.settings import Settings
from feedback.journal.journal import Journal
from web.app import create_service
from web.metrics.metrics import Metrics
from web.middleware.rate_limit import RateLimiter
from web.page.events import PageParts, ProgramEvents
from web.page.uploads import Uploads
from web.route_table import Cost

NOBODY = gr.Request()


@pytest.fixture
def events(tmp_path: Path, toy_folder: Path, monkeypatch: pytest.MonkeyPatch) -> ProgramEvents:
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")  # whoever sets it; put it back afterwards
    journal = Journal.open(tmp_path / "data")
    metrics = Metrics()
    return ProgramEvents(
        PageParts(
            service=create_service(
                Settings(data_dir=tmp_path / "data"), LoadedModel(Model.load(toy_folder), "folder"), journal, metrics
            ),
            metrics=metrics,
            limiter=RateLimiter({Cost.FEEDBACK: "1/minute"}),
            client_of=lambda _: "1.2.3.4",
            uploads=Uploads(tmp_path, max_bytes=1_000_000),
            warnings=(),
        )
    )


@pytest.mark.parametrize("file", [None, {}, {"path": 7}, {"path": "/etc/passwd"}, {"path": "missing.jpg"}])
def test_a_file_that_was_not_uploaded_is_refused_in_a_sentence(events: ProgramEvents, file: Any) -> None:
    with pytest.raises(gr.Error, match="Only uploaded files"):
        asyncio.run(events.classify(file, NOBODY))


@pytest.mark.parametrize("values", [(7, "red"), ("x", None), ([], {})])
def test_values_that_are_no_strings_are_refused_in_a_sentence(events: ProgramEvents, values: tuple[Any, Any]) -> None:
    with pytest.raises(gr.Error, match="must be strings"):
        asyncio.run(events.wrong_label(*values, NOBODY))


def test_corrections_of_programs_have_the_limit_of_all_others(events: ProgramEvents) -> None:
    for words in ("has expired", "Too many"):
        with pytest.raises(gr.Error, match=words):
            asyncio.run(events.wrong_label("forgotten", "red", NOBODY))
