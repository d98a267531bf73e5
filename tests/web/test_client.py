"""Programs call the page's two functions as docs/api.md shows."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import ROOT
from tests.toy import encoded, picture
from tests.web.conftest import Server


def test_the_readmes_example_classifies_and_corrects(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = (ROOT / "docs" / "api.md").read_text().split("```python\n")[1:]
    (example,) = [code for block in blocks if "gradio_client" in (code := block.split("```")[0])]
    (tmp_path / "photo.jpg").write_bytes(encoded(picture("red")))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    assert httpx.get(server.url, timeout=120).is_success  # Gradio's client waits 5 s; the page may still be built
    exec(example.replace("http://localhost:7860", server.url).replace('"cat"', '"green"'), names)
    assert names["said"]["verdict"] == "red"
    row = server.rows()[-1]
    assert (row.predicted_label, row.corrected_label, row.source) == ("red", "green", "api")
    assert names["kept"]["receipt"] in capsys.readouterr().out
