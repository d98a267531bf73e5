"""The API of the running app, over real sockets."""

import io
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.toy import encoded, picture
from tests.web.conftest import Server, huge_png

RED = encoded(picture("red"))
NOISE = encoded(Image.effect_noise((400, 300), 60).convert("RGB"))


def predict(client: httpx.Client, data: bytes = RED, name: str = "photo.jpg") -> httpx.Response:
    return client.post("/predict", files={"file": (name, data)})


def problem(response: httpx.Response, status: int, code: str) -> str:
    """Check an error answer's shape; returns its sentence."""
    body = response.json()
    assert (response.status_code, body.get("error")) == (status, code), body
    assert set(body) == {"error", "detail", "request_id"}
    assert re.fullmatch(r"[0-9a-f]{32}", body["request_id"])
    assert body["detail"].endswith(".")
    detail: str = body["detail"]
    return detail


def test_a_photo_is_classified(client: httpx.Client) -> None:
    response = predict(client)
    body = response.json()
    assert response.status_code == 200
    assert set(body) == {
        "label",
        "probability",
        "prediction",
        "confidence",
        "probabilities",
        "verdict",
        "request_id",
        "latency_ms",
        "model_revision",
    }
    assert body["label"] == body["prediction"] == body["verdict"] == "red"
    assert body["probability"] is None  # the toy model has no positive label
    assert list(body["probabilities"]) == ["red", "green", "blue"]
    assert sum(body["probabilities"].values()) == pytest.approx(1)
    assert body["confidence"] == body["probabilities"]["red"] > 0.9
    assert body["latency_ms"] > 0
    assert body["model_revision"].startswith("local-")


def test_a_photo_can_be_named_by_its_address(client: httpx.Client, web_site: str) -> None:
    response = client.post("/predict", params={"url": f"{web_site}/red.jpg"})
    assert (response.status_code, response.json()["label"]) == (200, "red")


@pytest.mark.parametrize("size", [(300, 200), (3000, 2000)])
def test_small_and_large_photos_give_the_same_answer(client: httpx.Client, size: tuple[int, int]) -> None:
    assert predict(client, encoded(picture("blue", size))).json()["label"] == "blue"


@pytest.mark.parametrize(
    ("data", "status", "code", "words"),
    [
        (b"hello, this is text", 422, "unreadable_image", "This image can't be read"),
        (NOISE[: len(NOISE) // 2], 422, "unreadable_image", "cut short"),
        (b"", 422, "unreadable_image", "empty"),
        (huge_png(), 413, "image_too_large", "400 million pixels"),
        (bytes(2_000_001), 413, "image_too_large", "MB"),
    ],
    ids=["text named .jpg", "truncated", "empty", "20,000 x 20,000", "too many bytes"],
)
def test_a_bad_file_gets_a_sentence_and_a_code(
    client: httpx.Client, data: bytes, status: int, code: str, words: str
) -> None:
    assert words in problem(predict(client, data), status, code)
    assert predict(client).status_code == 200  # and the service goes on


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("/page.html", "url_not_image", "web page"),
        ("/notes.bin", "url_not_image", "can't be read"),
        ("/missing.jpg", "url_failed", "404"),
        ("/large.jpg", "image_too_large", "MB"),
    ],
)
def test_a_bad_address_gets_a_sentence_and_a_code(
    client: httpx.Client, web_site: str, path: str, code: str, words: str
) -> None:
    response = client.post("/predict", params={"url": web_site + path})
    assert words in problem(response, 413 if code == "image_too_large" else 422, code)


@pytest.mark.parametrize("url", ["", "nonsense", "file:///etc/passwd", "http://127.0.0.1:9/"])
def test_an_address_that_leads_nowhere_is_refused(client: httpx.Client, url: str) -> None:
    problem(client.post("/predict", params={"url": url}), 422, "url_refused")


def test_a_prediction_without_a_picture_is_an_invalid_request(client: httpx.Client) -> None:
    for response in (
        client.post("/predict"),
        client.post("/predict", data={"file": "no upload"}),
        client.post("/predict", files={"picture": RED}),
        client.post("/predict", content=RED, headers={"Content-Type": "text/plain"}),
        client.post("/predict", files=[("file", RED), ("file", RED)]),
        client.post("/predict", content=b"--x", headers={"Content-Type": "multipart/form-data"}),
    ):
        problem(response, 422, "invalid_request")


def test_a_body_is_refused_by_its_announced_length_before_it_is_read(server: Server) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    head = f"POST /predict HTTP/1.1\r\nHost: {host}\r\nContent-Type: multipart/form-data\r\nContent-Length: 99999999\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(head.encode())  # and no byte of the body
        assert b"413" in connection.recv(100)


def test_a_client_that_sends_too_much_reads_the_refusal(client: httpx.Client) -> None:
    problem(predict(client, bytes(5_000_000)), 413, "body_too_large")


def test_a_body_without_length_is_cut_off(client: httpx.Client) -> None:
    def pour() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        for _ in range(40):
            yield bytes(100_000)

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    problem(client.post("/predict", content=pour(), headers=headers), 413, "body_too_large")


def test_a_correction_becomes_a_row(client: httpx.Client, server: Server) -> None:
    before = len(server.rows())
    answer = predict(client, encoded(picture("red", (900, 600)))).json()
    response = client.post("/feedback", json={"request_id": answer["request_id"], "label": "green"})
    assert response.status_code == 201
    body = response.json()
    assert body["status"] == "saved"
    assert body["receipt"]
    rows = server.rows()[before:]
    assert [row.id for row in rows] == [body["id"]]
    (row,) = rows
    assert (row.predicted_label, row.corrected_label, row.verdict) == ("red", "green", "red")
    assert dict(zip(row.labels, row.probabilities, strict=True)) == pytest.approx(answer["probabilities"])
    assert (row.request_id, row.model_revision, row.source) == (answer["request_id"], answer["model_revision"], "api")
    with Image.open(io.BytesIO(row.image)) as kept:
        assert (kept.format, kept.size) == ("JPEG", (512, 341))
    assert "127.0.0.1" not in row.client
    assert client.get(f"/feedback/{row.id}").json() == {"id": row.id, "status": "saved"}


def test_saying_the_same_again_adds_nothing_and_another_label_replaces(client: httpx.Client, server: Server) -> None:
    request_id = predict(client).json()["request_id"]

    def say(label: str) -> httpx.Response:
        return client.post("/feedback", json={"request_id": request_id, "label": label})

    def counted() -> float:
        match = re.search(r'catdog_feedback_total{kind="correction"} (\S+)', client.get("/metrics").text)
        return float(match[1]) if match else 0.0

    before, counted_before = len(server.rows()), counted()
    first, again, changed = say("green"), say("green"), say("neither")
    assert [r.status_code for r in (first, again, changed)] == [201, 200, 201]
    assert first.json()["id"] == again.json()["id"] != changed.json()["id"]
    assert again.json()["receipt"] is None
    assert [row.corrected_label for row in server.rows()[before:]] == ["green", "neither"]
    assert counted() - counted_before == 2


def test_a_picture_can_be_sent_again_with_its_label(client: httpx.Client, server: Server) -> None:
    before = len(server.rows())
    form = {"label": "blue", "idempotency_key": "key-1"}
    first = client.post("/feedback", files={"file": RED}, data=form)
    again = client.post("/feedback", files={"file": RED}, data=form)
    assert [first.status_code, again.status_code] == [201, 200]
    assert first.json()["id"] == again.json()["id"]
    (row,) = server.rows()[before:]
    assert (row.predicted_label, row.corrected_label) == ("red", "blue")


def test_an_idempotency_key_belongs_to_one_answer(client: httpx.Client) -> None:
    for label, status in (("blue", 201), ("green", 422)):
        form = {"label": label, "idempotency_key": "key-2"}
        assert client.post("/feedback", files={"file": RED}, data=form).status_code == status


def test_feedback_that_does_not_fit_is_refused(client: httpx.Client) -> None:
    request_id = predict(client).json()["request_id"]
    for body, status, code in (
        ({"request_id": "0" * 32, "label": "red"}, 404, "unknown_request"),
        ({"request_id": request_id, "label": "zebra"}, 422, "unknown_label"),
        ({"request_id": request_id}, 422, "invalid_request"),
        ({"request_id": request_id, "label": "red", "more": 1}, 422, "invalid_request"),
        ({"request_id": 7, "label": "red"}, 422, "invalid_request"),
        ([], 422, "invalid_request"),
    ):
        problem(client.post("/feedback", json=body), status, code)
    problem(client.post("/feedback", content=b"{"), 422, "invalid_request")
    problem(client.post("/feedback", files={"file": RED}), 422, "invalid_request")
    problem(client.post("/feedback", files={"file": b"text"}, data={"label": "red"}), 422, "unreadable_image")
    problem(client.post("/feedback", files={"file": RED}, data={"label": "zebra"}), 422, "unknown_label")


def test_a_receipt_takes_the_correction_back(client: httpx.Client, server: Server) -> None:
    request_id = predict(client).json()["request_id"]
    saved = client.post("/feedback", json={"request_id": request_id, "label": "green"}).json()
    response = client.request("DELETE", "/feedback", json={"receipt": saved["receipt"]})
    assert (response.status_code, response.content) == (204, b"")
    assert saved["id"] not in [row.id for row in server.rows()]
    problem(client.get(f"/feedback/{saved['id']}"), 404, "unknown_request")
    problem(client.request("DELETE", "/feedback", json={"receipt": "guess"}), 404, "unknown_request")
    problem(client.request("DELETE", "/feedback", json={}), 422, "invalid_request")


def test_health_tells_the_model_and_shouts_about_the_test_mode(client: httpx.Client) -> None:
    body = client.get("/health").json()
    assert body["status"] == "ok"
    assert body["origin"] == "folder"
    assert body["labels"] == ["red", "green", "blue"]
    assert body["model_revision"].startswith("local-")
    assert body["feedback"]["pending"] >= 0
    assert any("Test mode" in warning for warning in body["warnings"])


def test_metrics_count_successes_and_failures(client: httpx.Client) -> None:
    def counts() -> dict[str, Any]:
        body: dict[str, Any] = client.get("/metrics", headers={"Accept": "application/json"}).json()
        return body

    before = counts()
    predict(client)
    predict(client, b"text")
    after = counts()
    assert after["total_requests"] - before["total_requests"] == 2
    assert after["successful_requests"] - before["successful_requests"] == 1
    assert after["failed_requests"] - before["failed_requests"] == 1
    assert after["prediction_counts"]["red"] - before["prediction_counts"].get("red", 0) == 1
    assert 0 < after["min_latency_ms"] <= after["average_latency_ms"] <= after["max_latency_ms"]
    assert after["last_request_time"] > (before["last_request_time"] or "")


def test_metrics_speak_prometheus_by_default(client: httpx.Client) -> None:
    predict(client)
    response = client.get("/metrics")
    assert response.headers["Content-Type"].startswith("text/plain")
    assert 'catdog_predictions_total{label="red",source="api",verdict="red"}' in response.text
    assert "catdog_prediction_seconds_bucket" in response.text
    assert "catdog_model_info{" in response.text


@pytest.mark.parametrize("path", ["/health", "/metrics"])
def test_head_is_answered_as_get_is_without_a_body(client: httpx.Client, path: str) -> None:
    head, get = client.head(path), client.get(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Type"] == get.headers["Content-Type"]
    assert int(head.headers["Content-Length"]) > 0


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/predict", "POST"),
        ("PUT", "/feedback", "DELETE, POST"),
        ("POST", "/health", "GET, HEAD"),
        ("DELETE", "/feedback/x", "GET"),
        ("PATCH", "/docs", "GET"),
    ],
)
def test_a_wrong_method_names_the_right_ones(client: httpx.Client, method: str, path: str, allow: str) -> None:
    response = client.request(method, path)
    problem(response, 405, "method_not_allowed")
    assert response.headers["Allow"] == allow


@pytest.mark.parametrize("path", ["/nothing", "/predict/x", "/gradio_api/nothing", "/admin", "/feedback/"])
def test_an_unknown_path_is_answered_in_the_same_shape(client: httpx.Client, path: str) -> None:
    problem(client.get(path), 404, "not_found")


def test_the_docs_need_no_network_and_name_every_route(client: httpx.Client) -> None:
    page = client.get("/docs").text
    for route in ("/predict", "/feedback/{row_id}", "/feedback", "/health", "/metrics"):
        assert f"<code>{route}</code>" in page
    assert "curl -F file=@photo.jpg http://127.0.0.1" in page
    assert not re.findall(r"""(?:src|href)=["'](?:https?:)?//""", page)
    assert "<script" not in page


def test_the_docs_describe_every_field(client: httpx.Client) -> None:
    rows = re.findall(r"<td>(.*?)</td><td>(.*?)</td>", client.get("/docs").text)
    described = {name: text for name, text in rows if 'class="field"' in name}
    assert [name for name, text in described.items() if not text] == []
    assert '<code class="field">feedback.oldest_age_s</code>' in described


def test_the_openapi_document_declares_every_error_that_tests_have_seen(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    paths = document["paths"]
    assert set(paths["/predict"]["post"]["responses"]) == {"200", "403", "408", "413", "422", "429", "503"}
    assert {"200", "201", "404", "422"} <= set(paths["/feedback"]["post"]["responses"])
    assert set(paths["/feedback"]["post"]["requestBody"]["content"]) == {"application/json", "multipart/form-data"}
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_many_clients_at_once_get_their_own_answers(client: httpx.Client) -> None:
    colours = ["red", "green", "blue"] * 8
    sent = {colour: encoded(picture(colour, (400, 300))) for colour in set(colours)}
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda colour: predict(client, sent[colour]).json()["label"], colours))
    expected = {"red": "red", "green": "green", "blue": "blue"}
    assert answers == [expected[colour] for colour in colours]


def test_a_connection_that_breaks_off_leaves_the_service_well(client: httpx.Client, server: Server) -> None:
    with pytest.raises(httpx.HTTPError):
        _break_off(server.url)
    assert predict(client).status_code == 200
    assert "Traceback" not in server.log.read_text()


def _break_off(url: str) -> None:
    def one_chunk_then_failure() -> Iterator[bytes]:
        yield b"--x\r\n"
        raise httpx.WriteError("gone")

    httpx.post(
        f"{url}/predict",
        content=one_chunk_then_failure(),
        headers={"Content-Type": "multipart/form-data; boundary=x"},
    )


def test_logs_hold_neither_addresses_nor_file_names(client: httpx.Client, server: Server) -> None:
    predict(client, name="my-secret-holiday.jpg")
    text = server.log.read_text()
    assert "my-secret-holiday" not in text
    assert "127.0.0.1" not in text.replace(f"Ready on {server.url}", "")


def test_no_other_website_may_read_the_answers(client: httpx.Client) -> None:
    headers = {"Origin": "https://evil.example", "Host": "pets.example"}
    for path in ("/health", "/config"):
        assert "access-control-allow-origin" not in client.get(path, headers=headers).headers
