"""What browsers are told, and what they are refused on behalf of other websites."""

import re

import httpx
import pytest

from tests.toy import encoded, picture
from tests.web.conftest import Server, running

RED = encoded(picture("red"))
PATHS = ("/", "/docs", "/health", "/openapi.json", "/config", "/nothing", "/gradio_api/app_id", "/theme.css")


def policy(answer: httpx.Response) -> dict[str, str]:
    parts = answer.headers["Content-Security-Policy"].split("; ")
    return {name: value for name, _, value in (part.partition(" ") for part in parts)}


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_says_how_it_may_be_used(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert answer.headers["Permissions-Policy"].startswith("camera=(self), microphone=()")
    assert policy(answer)["default-src"] == "'none'"
    assert "X-Frame-Options" not in answer.headers  # frame-ancestors says more


def test_refusals_say_it_too(client: httpx.Client) -> None:
    foreign = client.post("/predict", files={"file": RED}, headers={"Sec-Fetch-Site": "cross-site"})
    large = client.post("/predict", content=bytes(2_100_000))
    assert (foreign.status_code, large.status_code) == (403, 413)
    for answer in (foreign, large):
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_the_page_may_be_shown_by_the_hub_and_by_nobody_else(client: httpx.Client) -> None:
    assert policy(client.get("/"))["frame-ancestors"] == (
        "'self' https://huggingface.co https://*.huggingface.co https://*.hf.space"
    )
    for path in ("/docs", "/health"):
        assert policy(client.get(path))["frame-ancestors"] == "'none'"


def test_only_scripts_that_the_server_wrote_run_on_the_page(client: httpx.Client) -> None:
    first, second = client.get("/"), client.get("/", headers={"Accept-Encoding": "br, gzip"})
    nonces = []
    for answer in (first, second):
        (nonce,) = re.findall(r"'nonce-([\w-]{20,})'", policy(answer)["script-src"])
        scripts = re.findall(r"<script[\s>][^>]*", answer.text)
        assert scripts
        assert all(f'nonce="{nonce}"' in script for script in scripts)
        assert "'unsafe-inline'" not in policy(answer)["script-src"]
        assert answer.headers["Cache-Control"] == "no-store"
        nonces.append(nonce)
    assert nonces[0] != nonces[1]


def test_the_page_travels_compressed_where_the_browser_allows_it(client: httpx.Client) -> None:
    small = client.get("/", headers={"Accept-Encoding": "gzip"})
    plain = client.get("/", headers={"Accept-Encoding": "identity"})
    assert (small.headers["Content-Encoding"], "Content-Encoding" in plain.headers) == ("gzip", False)
    assert int(small.headers["Content-Length"]) < int(plain.headers["Content-Length"]) / 3
    (nonce,) = set(re.findall(r'nonce="([^"]+)"', small.text))
    assert f"'nonce-{nonce}'" in small.headers["Content-Security-Policy"]


def test_an_upload_is_no_document(client: httpx.Client) -> None:
    page = b"<script>alert(1)</script>"
    (path,) = client.post("/gradio_api/upload", files={"files": ("a.html", page)}).json()
    answer = client.get(f"/gradio_api/file={path}")
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Content-Disposition"].startswith("attachment")


FOREIGN = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1"},
    {"Origin": "http://["},
    {"Origin": "http://a]b"},
]
REQUESTS = [
    ("POST", "/predict"), ("POST", "/feedback"), ("DELETE", "/feedback"), ("POST", "/gradio_api/upload"),
    ("POST", "/gradio_api/queue/join"), ("POST", "/gradio_api/call/wrong_label"), ("POST", "/admin/login"),
]  # fmt: skip


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize(("method", "path"), REQUESTS)
def test_another_website_cannot_use_a_visitors_browser(
    client: httpx.Client, method: str, path: str, headers: dict[str, str]
) -> None:
    answer = client.request(method, path, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (403, "forbidden")


def test_a_form_of_another_website_leaves_no_row(client: httpx.Client, server: Server) -> None:
    before = len(server.rows())
    for headers in FOREIGN:
        client.post("/feedback", files={"file": RED}, data={"label": "blue"}, headers=headers)
    assert len(server.rows()) == before


def test_the_page_itself_and_programs_are_let_through(client: httpx.Client, server: Server) -> None:
    for headers in (
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://behind-a-proxy.example"},
        {"Origin": server.url},
        {},
    ):
        assert client.post("/predict", files={"file": RED}, headers=headers).status_code == 200


def test_links_from_other_websites_still_lead_here(client: httpx.Client) -> None:
    assert client.get("/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200


def test_logs_hold_no_picture_address_file_name_url_or_token(
    tmp_path_factory: pytest.TempPathFactory, toy_folder: object
) -> None:
    folder = tmp_path_factory.mktemp("logs")
    secrets = {
        "admin_token": "the-token-of-the-admin",
        "secret": "the-key-of-hashes",
        "hf_token": "hf_abcdefghijklmnop",
    }
    with running(folder, toy_folder, log_level="DEBUG", trusted_proxies=1, **secrets) as server:  # type: ignore[arg-type]
        with httpx.Client(base_url=server.url, timeout=60, headers={"X-Forwarded-For": "203.0.113.77"}) as client:
            answer = client.post("/predict", files={"file": ("my-holiday.jpg", RED)}).json()
            saved = client.post("/feedback", json={"request_id": answer["request_id"], "label": "blue"}).json()
            client.request("DELETE", "/feedback", json={"receipt": saved["receipt"]})
            client.post("/predict", files={"file": ("my-holiday.jpg", b"text")})
            client.post("/predict", params={"url": "http://user:password@pictures.invalid/private"})
            client.post("/admin/login", data={"token": "a-wrong-token", "name": "somebody"})
            client.post("/admin/login", data={"token": secrets["admin_token"], "name": "somebody"})
            client.post("/gradio_api/upload", files={"files": ("my-holiday.jpg", RED)})
        text = server.log.read_text()
    told = (
        "my-holiday",
        "203.0.113.77",
        "pictures.invalid",
        "password",
        "a-wrong-token",
        saved["receipt"],
        *secrets.values(),
    )
    assert answer["request_id"] in text
    assert [word for word in told if word in text] == []
    assert "127.0.0.1" not in text.replace(server.url, "")
