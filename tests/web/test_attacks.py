"""The small form of `make hostile`: what is cheap to make of every kind is refused, and nobody else notices."""

import httpx
import pytest

from benchmarks.endurance.attack_files import bitmaps, png
from benchmarks.endurance.attack_servers import REDIRECTS, serving
from tests.toy import encoded, picture

BITMAPS = bitmaps()


def refused(client: httpx.Client, data: bytes) -> str:
    answer = client.post("/predict", files={"file": ("a", data)})
    assert answer.is_client_error, answer.text
    assert client.post("/predict", files={"file": ("a", encoded(picture("red")))}).is_success
    return str(answer.json()["error"])


@pytest.mark.parametrize("name", BITMAPS)
def test_a_bitmap_that_makes_rows_of_nothing_is_refused(client: httpx.Client, name: str) -> None:
    assert refused(client, BITMAPS[name])


def test_a_picture_that_declares_more_than_the_limits_is_refused(client: httpx.Client) -> None:
    assert refused(client, png(2**31 - 1, 2**31 - 1, b""))


@pytest.mark.parametrize("name", REDIRECTS)
def test_a_server_that_answers_nonsense_is_told_so_and_is_no_fault_of_ours(client: httpx.Client, name: str) -> None:
    with serving(REDIRECTS[name]) as url:
        answer = client.post("/predict", params={"url": url})
    assert answer.status_code < 500, answer.text
