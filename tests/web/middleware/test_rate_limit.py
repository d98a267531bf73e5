"""Limits per client, on an app with small ones behind one trusted proxy; each test is another client."""

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from catdog.errors import RateLimitedError, SettingsError
from tests.toy import encoded, picture
from tests.web.conftest import DEADLINE_S, Server, running, wait_for
from web.middleware.body_limit import MOST_AT_ONCE
from web.middleware.rate_limit import RateLimiter

RED = encoded(picture("red"))


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory, toy_folder: Path) -> Iterator[Server]:
    limits = {"rate_limit": "3/hour", "feedback_limit": "2/hour", "trusted_proxies": 1}
    with running(tmp_path_factory.mktemp("limited"), toy_folder, **limits) as server:
        yield server


def client_from(server: Server, address: str) -> httpx.Client:
    return httpx.Client(base_url=server.url, headers={"X-Forwarded-For": f"6.6.6.6, {address}"}, timeout=DEADLINE_S)


def refused(response: httpx.Response) -> bool:
    if response.status_code != 429:
        return False
    assert response.json()["error"] == "rate_limited"
    assert 1 <= int(response.headers["Retry-After"]) <= 3600
    return True


def test_predictions_are_limited_per_client(limited: Server) -> None:
    with client_from(limited, "1.0.0.1") as client:
        answers = [client.post("/predict", files={"file": RED}) for _ in range(4)]
    assert [answer.status_code for answer in answers[:3]] == [200, 200, 200]
    assert refused(answers[3])
    with client_from(limited, "1.0.0.2") as other:
        assert other.post("/predict", files={"file": RED}).status_code == 200


def test_a_client_cannot_get_a_new_share_by_claiming_another_address(limited: Server) -> None:
    with httpx.Client(base_url=limited.url, timeout=DEADLINE_S) as client:
        answers = [
            client.post("/predict", files={"file": RED}, headers={"X-Forwarded-For": f"9.9.9.{n}, 1.0.0.3"})
            for n in range(4)
        ]
    assert refused(answers[3])


def test_failures_count_too(limited: Server) -> None:
    with client_from(limited, "1.0.0.4") as client:
        assert not any(refused(client.post("/predict", files={"file": b"text"})) for _ in range(3))
        assert refused(client.post("/predict", files={"file": RED}))


def test_corrections_have_a_limit_of_their_own(limited: Server) -> None:
    with client_from(limited, "1.0.0.5") as client:
        answers = [client.post("/feedback", json={"request_id": "x", "label": "red"}) for _ in range(3)]
        assert [answer.status_code for answer in answers[:2]] == [404, 404]
        assert refused(answers[2])
        assert client.post("/predict", files={"file": RED}).status_code == 200


def test_what_the_page_sends_is_limited_too(limited: Server) -> None:
    for address, path in (
        ("1.0.0.6", "/gradio_api/queue/join"),
        ("1.0.0.7", "/gradio_api/call/classify"),
        ("1.0.0.8", "/gradio_api/upload"),
    ):
        with client_from(limited, address) as client:
            answers = [client.post(path, json={"data": []}) for _ in range(4)]
            assert not any(refused(answer) for answer in answers[:3])
            assert refused(answers[3])


def test_one_client_whose_bodies_never_come_leaves_places_for_others(limited: Server) -> None:
    silence = b"POST /gradio_api/reset HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.0.0.11\r\nContent-Length: 2000\r\n\r\n"
    at = urlsplit(limited.url)
    with ExitStack() as open_, client_from(limited, "1.0.0.11") as same, client_from(limited, "1.0.0.12") as other:
        for _ in range(MOST_AT_ONCE):
            open_.enter_context(socket.create_connection((at.hostname, at.port))).sendall(silence)
        wait_for(lambda: same.post("/gradio_api/cancel").status_code == 503, "all of them to be there")
        refusal = same.post("/predict", files={"file": RED})
        assert (refusal.status_code, refusal.json()["error"]) == (503, "busy")
        assert "Wait for the responses to yours" in refusal.json()["detail"]
        assert "Retry-After" in refusal.headers
        assert other.post("/predict", files={"file": RED}).status_code == 200


def test_every_response_says_what_is_left(limited: Server) -> None:
    with client_from(limited, "1.0.0.13") as client:
        answers = [client.post("/predict", files={"file": RED}) for _ in range(4)]
        correction = client.post("/feedback", json={"request_id": "x", "label": "red"})
        assert "RateLimit" not in client.get("/health").headers
    assert [answer.headers["RateLimit-Policy"] for answer in answers] == ['"predictions";q=3;w=3600'] * 4
    left = [re.fullmatch(r'"predictions";r=(\d+);t=(\d+)', answer.headers["RateLimit"]) for answer in answers]
    assert [int(each[1]) for each in left if each] == [2, 1, 0, 0]
    assert left[3]
    assert left[3][2] == answers[3].headers["Retry-After"]
    assert correction.headers["RateLimit"].startswith('"feedback";r=1;')


def test_health_is_not_limited(limited: Server) -> None:
    with client_from(limited, "1.0.0.9") as client:
        assert all(client.get("/health").status_code == 200 for _ in range(10))


def test_without_the_tests_mode_loopback_is_refused_and_nothing_warns(limited: Server) -> None:
    with client_from(limited, "1.0.0.10") as client:
        response = client.post("/predict", params={"url": f"{limited.url}/health"})
        assert response.json()["error"] == "url_refused"
        assert client.get("/health").json()["warnings"] == []
        assert "Test mode" not in client.get("/").text
    assert "WARNING" not in limited.log.read_text()


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_share_accrues_again_while_the_client_waits() -> None:
    clock = Clock()
    limiter = RateLimiter({"kind": "3/minute"}, clock=clock)
    for _ in range(3):
        limiter.check("kind", "a")
    for _ in range(2):  # a refusal is not counted, so that waiting helps
        with pytest.raises(RateLimitedError) as refusal:
            limiter.check("kind", "a")
        assert refusal.value.retry_after_s == pytest.approx(20)
    clock.now += 20
    limiter.check("kind", "a")
    with pytest.raises(RateLimitedError):
        limiter.check("kind", "a")
    clock.now += 3600
    for _ in range(3):
        limiter.check("kind", "a")
    with pytest.raises(RateLimitedError):
        limiter.check("kind", "a")


def test_kinds_and_clients_are_counted_apart() -> None:
    limiter = RateLimiter({"one": "1/day", "two": "1/day"}, clock=Clock())
    for kind in ("one", "two"):
        for client in ("a", "b"):
            limiter.check(kind, client)
            with pytest.raises(RateLimitedError):
                limiter.check(kind, client)


def test_a_flood_of_clients_is_forgotten_from_its_beginning() -> None:
    limiter = RateLimiter({"kind": "1/day"}, max_clients=2, clock=Clock())
    for client in ("a", "b", "c"):
        limiter.check("kind", client)
    limiter.check("kind", "a")
    with pytest.raises(RateLimitedError):
        limiter.check("kind", "c")


@pytest.mark.parametrize("rate", ["", "many", "10", "10/fortnight", "-1/minute", "0/minute", "1/minute/2"])
def test_a_rate_that_cannot_be_understood_is_a_settings_error(rate: str) -> None:
    with pytest.raises(SettingsError, match="is not a valid rate"):
        RateLimiter({"kind": rate})
