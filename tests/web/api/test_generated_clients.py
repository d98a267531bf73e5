"""Clients that others wrote or generate: the Hub's own, openapi-python-client's and openapi-typescript's."""

import base64
import importlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from huggingface_hub import InferenceClient

from tests.conftest import missing_tool
from tests.toy import encoded, picture
from tests.web.conftest import Server

RED = encoded(picture("red"))
TYPESCRIPT = Path(__file__).with_name("typescript")
WITHIN_S = 600


@pytest.fixture(scope="module")
def document(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The OpenAPI document as a file."""
    path = tmp_path_factory.mktemp("client") / "openapi.json"
    path.write_text(httpx.get(f"{server.url}/openapi.json", timeout=WITHIN_S).text)
    return path


def done(*command: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=WITHIN_S)


def test_the_hubs_client_classifies_a_photo(server: Server, tmp_path: Path) -> None:
    photo = tmp_path / "red.jpg"
    photo.write_bytes(RED)
    with InferenceClient(model=f"{server.url}/hf") as client:
        for sent in (str(photo), RED):
            best, *others = client.image_classification(sent)
            assert (best.label, len(others)) == ("red", 2)
            assert best.score > 0.99
        assert [each.label for each in client.image_classification(RED, top_k=1)] == ["red"]


def test_openapi_python_client_generates_a_package_that_works(
    server: Server, document: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In an environment of its own: it wants an older typer than Gradio's.
    generator = [sys.executable, "-m", "uv", "tool", "run", "--quiet", "openapi-python-client==0.29.1"]
    if done(*generator, "--version", folder=document.parent).returncode:
        missing_tool("openapi-python-client cannot be installed")
    monkeypatch.syspath_prepend(str(document.parent))
    options = ["--meta", "none", "--output-path", "catdog_api", "--path", document]
    made = done(*generator, "generate", *options, folder=document.parent)
    assert made.returncode == 0, made.stdout + made.stderr
    assert "WARNING" not in made.stdout

    def module(name: str) -> Any:
        return importlib.import_module(f"catdog_api.{name}")

    with module("client").Client(base_url=server.url) as client:

        def call(operation: str, **arguments: Any) -> Any:
            return module(f"api.default.{operation}").sync_detailed(client=client, **arguments).parsed

        use(call, module("models"), module("types").File)


def use(call: Callable[..., Any], models: Any, file: Any) -> None:
    """Call each operation with the models that were generated."""
    photo = file(payload=RED, file_name="red.jpg", mime_type="image/jpeg")
    text = base64.b64encode(RED).decode()
    for body in (models.PredictForm(file=photo), models.PredictRequest(image=text)):
        prediction = call("predict", body=body)
        assert prediction.label == "red"
    assert call("hf", body=models.HfRequest(inputs=text))[0].label == "red"
    kept = call("feedback", body=models.FeedbackRequest(request_id=prediction.request_id, label="blue"))
    assert call("feedback_status", row_id=kept.id).status == "saved"
    assert call("feedback", body=models.FeedbackForm(file=photo, label="green")).receipt
    assert call("take_back", body=models.ReceiptRequest(receipt=kept.receipt)) is None
    assert call("health").labels == ["red", "green", "blue"]
    refused = call("predict", body=models.PredictRequest(image="no base64"))
    assert refused.error == "unreadable_image"


@pytest.fixture(scope="module")
def typescript() -> Path:
    """The folder of the generator, the client and the compiler, which npm brings the first time."""
    if not (shutil.which("node") and shutil.which("npm")):
        missing_tool("no Node.js")
    packages = TYPESCRIPT / "node_modules"
    if not (packages / "openapi-fetch" / "package.json").is_file():
        installed = done("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=TYPESCRIPT)
        if installed.returncode:
            missing_tool(f"npm cannot install openapi-typescript: {installed.stderr.strip()[-300:]}")
    return packages


def test_openapi_typescript_generates_types_that_fit(
    server: Server, document: Path, typescript: Path, tmp_path: Path
) -> None:
    for path in ("package.json", "tsconfig.json", "call.ts"):
        shutil.copy(TYPESCRIPT / path, tmp_path)
    (tmp_path / "node_modules").symlink_to(typescript)
    generator = typescript / "openapi-typescript" / "bin" / "cli.js"
    compiler = typescript / "typescript" / "bin" / "tsc"
    for command in (
        (generator, document, "-o", "api.d.ts"),
        (compiler, "--project", "."),
        ("call.js", server.url, base64.b64encode(RED).decode()),
    ):
        made = done("node", *command, folder=tmp_path)
        assert made.returncode == 0, made.stdout + made.stderr
    assert json.loads(made.stdout) == ["red", "red", "saved", "unreadable_image"]
