"""Which pages of other origins may send corrections."""

import httpx
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from catdog.errors import SettingsError
from catdog.settings import load_settings
from web.middleware.cors import FeedbackCors, is_correction_from

KNOWN, UNKNOWN = "https://me-page.static.hf.space", "https://elsewhere.example"


def app() -> FastAPI:
    made = FastAPI()
    made.add_middleware(FeedbackCors, origins=[KNOWN])
    made.post("/feedback")(lambda: "kept")
    made.get("/health")(lambda: "ok")
    return made


def allowed(response: httpx.Response) -> str | None:
    return response.headers.get("Access-Control-Allow-Origin")


def test_a_listed_origin_may_send_corrections_and_read_the_answer() -> None:
    client = TestClient(app())
    asked = {"Access-Control-Request-Method": "DELETE", "Access-Control-Request-Headers": "content-type"}
    before = client.options("/feedback", headers={"Origin": KNOWN, **asked})
    assert (before.status_code, allowed(before)) == (200, KNOWN)
    answer = client.post("/feedback", headers={"Origin": KNOWN})
    assert (answer.status_code, allowed(answer)) == (200, KNOWN)
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_other_origins_and_other_routes_share_nothing() -> None:
    client = TestClient(app())
    asked = {"Access-Control-Request-Method": "POST"}
    assert allowed(client.options("/feedback", headers={"Origin": UNKNOWN, **asked})) is None
    assert allowed(client.post("/feedback", headers={"Origin": UNKNOWN})) is None
    assert allowed(client.get("/health", headers={"Origin": KNOWN})) is None


@pytest.mark.parametrize(
    ("path", "origin", "welcome"),
    [
        ("/feedback", KNOWN, True),
        ("/feedback/0123", KNOWN, True),
        ("/feedbacks", KNOWN, False),
        ("/admin", KNOWN, False),
        ("/feedback", UNKNOWN, False),
        ("/feedback", "null", False),
    ],
)
def test_only_corrections_of_listed_origins_are_welcome(path: str, origin: str, welcome: bool) -> None:
    scope = {"type": "http", "path": path, "headers": [(b"origin", origin.encode())]}
    assert is_correction_from(scope, [KNOWN]) is welcome


@pytest.mark.parametrize("text", ["*", "me.example", "https://me.example/page", "https://a.example https://b.example"])
def test_what_is_no_origin_is_refused_at_start(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATDOG_CORS_ORIGINS", text)
    with pytest.raises(SettingsError, match="CATDOG_CORS_ORIGINS"):
        load_settings()


def test_several_origins_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATDOG_CORS_ORIGINS", f"{KNOWN}, http://127.0.0.1:8000")
    assert load_settings().allowed_origins == (KNOWN, "http://127.0.0.1:8000")
