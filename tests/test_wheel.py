"""What is installed: the wheel in a clean environment, and the Space's requirements as its builder resolves them."""

import shutil
import sys
import sysconfig
from pathlib import Path
from subprocess import CompletedProcess

import httpx
import pytest

from deploy.space.files import without_hashes
from tests.conftest import ROOT
from tests.test_packaging import pins, run
from tests.toy import encoded, picture
from tests.web.conftest import running


@pytest.mark.slow
def test_requirements_resolve_as_the_space_builder_installs_them(tmp_path: Path) -> None:
    gradio = pins("requirements.txt")["gradio"]
    shipped = tmp_path / "requirements.txt"
    shipped.write_text(without_hashes((ROOT / "requirements.txt").read_text()))
    done = run(
        sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--ignore-installed", "-r", str(shipped),
        f"gradio[oauth,mcp]=={gradio}", "uvicorn>=0.14.0", "websockets>=10.4", "spaces", timeout=600,
    )  # fmt: skip
    skip_without_index(done)
    assert done.returncode == 0, done.stderr


def skip_without_index(done: CompletedProcess[str]) -> None:
    if "Could not find a version" in done.stderr and "from versions: none" in done.stderr:
        pytest.skip("no package index can be reached")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean environment with the wheel; its dependencies are those of this one, which takes no network."""
    folder = tmp_path_factory.mktemp("wheel")
    built = run(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(folder),
        str(clean_copy(folder)),
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("*.whl")
    environment = folder / "environment"
    assert run(sys.executable, "-m", "venv", str(environment)).returncode == 0
    (packages,) = environment.glob("lib/python3*/site-packages")
    (packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    done = run(f"{environment}/bin/python", "-m", "pip", "install", "--quiet", "--no-deps", str(wheel))
    assert done.returncode == 0, done.stderr
    return environment


def clean_copy(folder: Path) -> Path:
    """The files that git knows, without what earlier builds left."""
    source = folder / "source"
    for name in run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").stdout.split("\0"):
        if name and not name.startswith(("tests/", "runs/")) and (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, source / name)
    return source


@pytest.mark.slow
def test_the_wheel_holds_all_that_the_packages_open(installed: Path) -> None:
    (packages,) = installed.glob("lib/python3*/site-packages")
    for package in ("catdog", "deploy", "feedback", "train", "web"):
        for path in (ROOT / package).rglob("*"):
            if (
                path.is_file()
                and "__pycache__" not in path.parts
                and not {"kubernetes", "monitoring"} & set(path.parts)
            ):
                assert (packages / path.relative_to(ROOT)).is_file(), path
    assert (packages / "catdog/resources/model/onnx/model.onnx").is_file()
    for name in run("git", "ls-files", "browser").stdout.split():
        assert (packages / "catdog/resources" / name).is_file(), name


@pytest.mark.slow
def test_an_installed_package_serves_the_page_and_the_api(installed: Path, tmp_path: Path) -> None:
    command = [f"{installed}/bin/catdog", "serve"]
    with (
        running(tmp_path, Path("model"), code=tmp_path, command=command) as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
    ):
        answer = client.post("/predict", files={"file": ("red.jpg", encoded(picture("red")))})
        assert answer.json()["label"] in client.get("/health").json()["labels"]
        assert "gradio" in client.get("/").text


@pytest.mark.slow
@pytest.mark.parametrize("command", ["catdog", "catdog-feedback", "catdog-train", "catdog-deploy", "catdog-devhub"])
def test_console_commands_explain_themselves(installed: Path, tmp_path: Path, command: str) -> None:
    done = run(f"{installed}/bin/{command}", "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage:")
