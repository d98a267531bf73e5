"""The real client, pointed at a hub of the test's own."""

import pytest
from huggingface_hub import HfApi

from devhub.server import Running


@pytest.fixture
def api(hub: Running) -> HfApi:
    """The client of somebody who may write."""
    return HfApi(endpoint=hub.url, token=hub.token)
