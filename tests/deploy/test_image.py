"""The files that machines elsewhere read: Dockerfile, compose.yaml, workflows, the Spacefile's schema."""

import re
import shutil
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy import prune
from deploy.space.files import imported_files
from deploy.space.spacefile import SCHEMA_FILE, schema_text
from tests.conftest import ROOT, missing_tool

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def checked(tool: str, *arguments: str) -> None:
    path = shutil.which(tool) or shutil.which(tool, path=str(Path(sys.executable).parent))
    if path is None:
        missing_tool(f"{tool} is not installed")
    done = subprocess.run([path, *arguments], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    checked("hadolint", "Dockerfile")


def test_the_workflows_are_what_github_understands() -> None:
    checked("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *map(str, WORKFLOWS))


def test_compose_is_what_docker_understands() -> None:
    checked("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml")


def test_zizmor_finds_no_hole_in_the_workflows() -> None:
    checked("zizmor", "--offline", "--quiet", ".github")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_by_commit_and_every_permission_is_given_to_one_job(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text())
    used = [step["uses"] for job in workflow["jobs"].values() for step in job["steps"] if "uses" in step]
    assert used
    for action in used:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action), action
    assert set(workflow["permissions"].values() if workflow["permissions"] else ()) <= {"read"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_command_that_a_workflow_runs_is_there(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = re.findall(r"python -m (\w+) (\w+)((?:[^\n\\]|\\\n)*)", path.read_text())
    assert commands
    for module, command, rest in commands:
        with pytest.raises(SystemExit, match="0"):
            import_module(f"{module}.__main__").main([command, "--help"])
        helped = capsys.readouterr().out
        for option in re.findall(r"--[\w-]+", rest):
            assert option in helped, f"{module} {command} has no {option}"


def copied_in(stage: str) -> list[str]:
    """What a stage of the Dockerfile copies from the repository."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", stage, re.MULTILINE)
    return [source for line in lines for source in line.split()[:-1]]


@pytest.mark.parametrize(
    ("stage", "programs"), [(-1, ("app.py", "devhub/__main__.py")), (-2, ("train/__main__.py",))], ids=["app", "train"]
)
def test_each_image_holds_all_that_its_programs_import(stage: int, programs: tuple[str, ...]) -> None:
    copied = copied_in((ROOT / "Dockerfile").read_text().split("\nFROM ")[stage])
    for program in programs:
        for path in imported_files(ROOT, program):
            assert any(path == source or path.startswith(f"{source}/") for source in copied), path
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for source in (*copied, "deploy/prune.py", "requirements.txt"):
        assert source in {path.rstrip("/") for path in allowed}, source


def test_dependabot_understands_its_file_and_looks_at_all_that_is_pinned() -> None:
    checked("check-jsonschema", "--builtin-schema", "vendor.dependabot", ".github/dependabot.yml")
    updates = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text())["updates"]
    assert {each["package-ecosystem"]: each["directory"] for each in updates} == {
        "github-actions": "/",
        "pip": "/",
        "docker": "/",
        "docker-compose": "/",
        "npm": "/browser",
    }


def test_the_image_runs_unprivileged_and_is_checked_for_health() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", dockerfile, re.MULTILINE)
    assert "\nHEALTHCHECK" in dockerfile


def test_every_service_of_compose_has_a_fixed_version_and_no_more_rights_than_it_needs() -> None:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    assert {"app", "prometheus", "grafana", "mlflow", "hub"} <= compose["services"].keys()
    for name, service in compose["services"].items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert re.search(r":[\w.-]+\}?$", service["image"]), name
        assert not service["image"].endswith(":latest"), name
        for port in service.get("ports", ()):
            assert "127.0.0.1:" in port, name


def test_the_schema_that_editors_use_is_the_one_that_counts() -> None:
    assert SCHEMA_FILE.read_text() == schema_text()
    checked("check-jsonschema", "--schemafile", str(SCHEMA_FILE), "--default-filetype", "yaml", "Spacefile")


def test_pruning_removes_what_is_listed_and_tries_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    for path in ("numpy/core/tests/tests/a.py", "pyarrow/libarrow_flight.so.26", "pyarrow/libarrow.so.26"):
        (packages / path).parent.mkdir(parents=True, exist_ok=True)
        (packages / path).write_bytes(b"1234")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").symlink_to(sys.executable)
    monkeypatch.setattr(prune, "_IMPORTS", "import sys; sys.exit(7)")
    assert prune.main(str(tmp_path)) == 7
    assert [path.name for path in packages.rglob("*") if path.is_file()] == ["libarrow.so.26"]


def test_the_space_and_the_image_run_the_python_that_the_project_asks_for() -> None:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    oldest = project["requires-python"].removeprefix(">=")
    assert f"python:{oldest}-slim" in (ROOT / "Dockerfile").read_text()
    assert yaml.safe_load((ROOT / "Spacefile").read_text())["python_version"] == oldest
