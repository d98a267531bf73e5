"""A journal and a hub: what syncing needs."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi

from catdog.hub.client import HubClient
from devhub.server import Running
from feedback.hub.dataset import FeedbackDataset
from feedback.hub.sync import Syncer
from feedback.journal.journal import Journal
from feedback.journal.outbox import Outbox

REPO = "me/feedback"


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def journal(data_dir: Path) -> Iterator[Journal]:
    with Journal.open(data_dir) as journal:
        yield journal


@pytest.fixture
def api(hub: Running) -> HfApi:
    """The client of somebody who may write."""
    return HfApi(endpoint=hub.url, token=hub.token)


@pytest.fixture
def client(hub: Running) -> HubClient:
    return HubClient(hub.url, hub.token)


@pytest.fixture
def dataset(client: HubClient) -> FeedbackDataset:
    return FeedbackDataset(client, REPO)


@pytest.fixture
def make_syncer(journal: Journal, data_dir: Path, dataset: FeedbackDataset) -> Callable[..., Syncer]:
    def make(
        batch_rows: int = 1000, journal: Journal = journal, dataset: FeedbackDataset = dataset, **changes: Any
    ) -> Syncer:
        parts = {"data_dir": data_dir, "every_s": 3600.0, "retain": timedelta(days=30), "commits_per_hour": 1000}
        return Syncer(Outbox(journal, max_rows=batch_rows), dataset, **(parts | changes))

    return make


@pytest.fixture
def syncer(make_syncer: Callable[..., Syncer]) -> Syncer:
    return make_syncer()
