"""Which pages of other origins may call the API."""

import httpx
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from catdog.errors import SettingsError
from catdog.settings import load_settings
from web.errors import ErrorResponses
from web.metrics.metrics import Metrics
from web.middleware.csrf import Cors, Csrf
from web.middleware.public_url import PublicUrl
from web.route_table import Body, Entry, Routes, RouteTable

KNOWN, UNKNOWN = "https://me-page.static.hf.space", "https://elsewhere.example"


def app(public_url: str = "") -> FastAPI:
    routes, table = Routes(), RouteTable()
    for path in ("/feedback", "/predict"):
        routes.add("POST", path, lambda: "stored", body=Body.SMALL, cors=True)
    routes.add("GET", "/feedback/{row_id}", lambda row_id: row_id, cors=True)
    routes.add("POST", "/other", lambda: "done", body=Body.SMALL)
    routes.add("GET", "/health", lambda: "ok")
    table.include(routes.entries)
    made = FastAPI()
    made.include_router(routes.router)
    errors = ErrorResponses(Metrics(), table)
    made.add_middleware(Csrf, errors=errors, table=table, origins=[KNOWN])
    made.add_middleware(Cors, table=table, origins=[KNOWN])
    made.add_middleware(PublicUrl, public_url=public_url)
    return made


def allowed(response: httpx.Response) -> str | None:
    return response.headers.get("Access-Control-Allow-Origin")


@pytest.mark.parametrize("path", ["/feedback", "/predict"])
def test_a_listed_origin_may_call_these_routes_and_read_the_response(path: str) -> None:
    client = TestClient(app())
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    before = client.options(path, headers={"Origin": KNOWN, **asked})
    assert (before.status_code, allowed(before)) == (200, KNOWN)
    response = client.post(path, headers={"Origin": KNOWN, "Sec-Fetch-Site": "cross-site"})
    assert (response.status_code, allowed(response)) == (200, KNOWN)
    assert "Access-Control-Allow-Credentials" not in response.headers
    assert "Retry-After" in response.headers["Access-Control-Expose-Headers"]


def test_other_origins_and_other_routes_share_nothing() -> None:
    client = TestClient(app())
    asked = {"Access-Control-Request-Method": "POST"}
    assert allowed(client.options("/feedback", headers={"Origin": UNKNOWN, **asked})) is None
    assert allowed(client.options("/other", headers={"Origin": KNOWN, **asked})) is None
    assert allowed(client.post("/feedback", headers={"Origin": UNKNOWN})) is None
    assert allowed(client.get("/health", headers={"Origin": KNOWN})) is None


@pytest.mark.parametrize(
    ("path", "origin", "status"),
    [
        ("/feedback", KNOWN, 200),
        ("/other", KNOWN, 403),
        ("/feedback", UNKNOWN, 403),
        ("/feedback", "null", 403),
        ("/other", "http://testserver", 200),
    ],
)
def test_a_page_may_change_something_only_from_here_or_a_listed_origin(path: str, origin: str, status: int) -> None:
    assert TestClient(app()).post(path, headers={"Origin": origin}).status_code == status


@pytest.mark.parametrize("host", ["catdog.example", "127.0.0.1:7860"])
def test_behind_a_proxy_that_changes_the_host_the_public_url_says_what_is_from_here(host: str) -> None:
    own = "http://catdog.example:8080"
    client, headers = TestClient(app(own)), {"Host": host, "Origin": own}
    assert client.post("/other", headers=headers).status_code == 200
    assert client.post("/other", headers={**headers, "Origin": UNKNOWN}).status_code == 403
    assert client.post("/other", headers={**headers, "Origin": f"http://{host}"}).status_code == 200  # past the proxy


def test_a_proxy_may_drop_the_port_from_the_host() -> None:
    client = TestClient(app())
    headers = {"Host": "catdog.example", "Origin": "http://catdog.example:8080"}
    assert client.post("/other", headers=headers).status_code == 200
    for origin in ("http://catdog.example.evil:8080", "http://evil:catdog.example", "http://catdog.example:x"):
        assert client.post("/other", headers={**headers, "Origin": origin}).status_code == 403
    refusal = client.post("/other", headers={"Host": "127.0.0.1:7860", "Origin": "http://catdog.example"})
    assert "CATDOG_PUBLIC_URL" in refusal.json()["detail"]


def test_a_path_that_only_begins_like_a_shared_one_is_not_shared() -> None:
    table = RouteTable()
    table.include({("GET", "/feedback/{row_id}"): Entry(cors=True)})
    assert table.find("GET", "/feedback/0123").cors
    assert not table.find("GET", "/feedbacks").cors
    assert not table.find("POST", "/feedback/0123").cors


@pytest.mark.parametrize("text", ["*", "me.example", "https://me.example/page", "https://a.example https://b.example"])
def test_what_is_no_origin_is_refused_at_start(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATDOG_CORS_ORIGINS", text)
    with pytest.raises(SettingsError, match="CATDOG_CORS_ORIGINS"):
        load_settings()


def test_several_origins_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATDOG_CORS_ORIGINS", f"{KNOWN}, http://127.0.0.1:8000")
    assert load_settings().allowed_origins == (KNOWN, "http://127.0.0.1:8000")
