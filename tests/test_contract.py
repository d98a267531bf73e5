"""What users rely on stays: commands and their options, routes, settings, the model folder and the feedback row.

`contract.json` was written by 0.1.0. Adding to it is free; whatever it names must go on working.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from tests.conftest import ROOT, help_of

FILE = Path(__file__).with_name("contract.json")
CONTRACT: dict[str, Any] = json.loads(FILE.read_text()) if FILE.exists() else {}
COMMANDS = {
    "catdog": ("predict",),
    "feedback": ("stats", "review", "export", "import", "push", "forget"),
    "deploy": ("space", "static", "smoke", "evaluate", "rollout"),
    "train": (
        "prepare", "fit", "neither", "drift", "soup", "baseline", "audit", "evaluate", "card", "publish", "promote", "retrain",
        "watch", "rollback",
    ),
    "devhub": ("",),
}  # fmt: skip


def options(package: str, command: str) -> list[str]:
    """The options that `--help` shows."""
    return sorted(set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", help_of(package, *command.split()))))


def defaults(root: Path) -> dict[str, str]:
    """The settings' defaults by environment variable."""
    code = (
        "import json; from catdog.settings import Settings, variable; "
        "print(json.dumps({variable(n): str(i.default) for n, i in Settings.model_fields.items()}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    return dict(json.loads(done.stdout))


def model_folder(folder: Path) -> dict[str, Any]:
    """The metadata's fields, and the inputs and outputs of the ONNX file."""
    session = onnxruntime.InferenceSession(folder / "onnx" / "model.onnx", providers=["CPUExecutionProvider"])
    return {
        "metadata": sorted(json.loads((folder / "metadata.json").read_text())),
        "inputs": [[each.name, each.type] for each in session.get_inputs()],
        "outputs": sorted(each.name for each in session.get_outputs()),
    }


def operations(document: dict[str, Any]) -> dict[str, list[str]]:
    """The statuses of each operation of an OpenAPI document."""
    return {
        f"{method.upper()} {path}": sorted(operation["responses"])
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def fields(document: dict[str, Any]) -> list[str]:
    """The names of all properties in an OpenAPI document's schemas."""
    return sorted(set(_properties(document["components"]["schemas"])))


def _properties(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        yield from node.get("properties", {})
        for value in node.values():
            yield from _properties(value)
    elif isinstance(node, list):
        for value in node:
            yield from _properties(value)


def contract(root: Path, document: dict[str, Any]) -> dict[str, Any]:
    """What `contract.json` holds."""
    return {
        "options": {f"{p} {c}".strip(): options(p, c) for p, commands in COMMANDS.items() for c in commands},
        "settings": defaults(root),
        "model_folder": model_folder(root / "model"),
        "operations": operations(document),
        "fields": fields(document),
    }


@pytest.mark.parametrize("command", CONTRACT.get("options", {}))
def test_every_option_is_still_there(command: str) -> None:
    package, _, name = command.partition(" ")
    assert set(CONTRACT["options"][command]) <= set(options(package, name))


def test_every_setting_is_still_there_with_its_default() -> None:
    now = defaults(ROOT)
    assert {name: now.get(name) for name in CONTRACT["settings"]} == CONTRACT["settings"]


def test_the_model_folder_is_still_what_others_read() -> None:
    then, now = CONTRACT["model_folder"], model_folder(ROOT / "model")
    assert set(then["metadata"]) <= set(now["metadata"])
    assert then["inputs"] == now["inputs"]
    assert set(then["outputs"]) <= set(now["outputs"])
