"""`python -m deploy space` against a hub, with the real client, and with the shipped files running by themselves."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from huggingface_hub import HfApi, SpaceCard, constants

from catdog.cli import run
from catdog.errors import ServiceError
from catdog.settings import load_settings
from deploy.__main__ import main
from deploy.space.deploy import Deployment, deploy_space
from deploy.space.files import render_readme
from deploy.space.spacefile import load_spacefile
from devhub.server import Running
from tests.conftest import ROOT
from tests.deploy.conftest import FEEDBACK, MODEL, READ_TOKEN, SPACE, SPACE_TOKEN, Runner
from tests.web.conftest import wait_for

pytestmark = pytest.mark.slow  # many short ones: together half a minute

DEADLINE_S = 180.0


def spacefile(folder: Path, **changes: object) -> Path:
    """The repository's own Spacefile, with other names."""
    content = yaml.safe_load((ROOT / "Spacefile").read_text())
    path = folder / "Spacefile"
    path.write_text(
        yaml.safe_dump({**content, "repo": "pets", "model": "pets-model", "feedback": "pets-feedback"} | changes)
    )
    return path


def deployment(folder: Path, **changes: object) -> Deployment:
    described = load_spacefile(spacefile(folder, **changes))
    made = Deployment.prepare(described, ROOT, load_settings(), repo=None)
    return replace(made, sleep=lambda _: time.sleep(0.05))


def deploy(folder: Path, *arguments: str, **changes: object) -> int:
    return run(main, ["space", "--file", str(spacefile(folder, **changes)), *arguments])


def said(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    return captured.out + captured.err


def test_a_space_is_made_runs_from_its_files_alone_and_serves_the_hubs_model(
    api: HfApi, model_commit: str, runner: Runner, tmp_path: Path
) -> None:
    done = "\n".join(deploy_space(deployment(tmp_path), dry_run=False, deadline_s=DEADLINE_S))
    assert f"{MODEL} at {model_commit} (hub)" in done
    assert "taken back" in done
    assert len(api.list_repo_commits(SPACE, repo_type="space")) == 2  # the Hub's own first one, and ours
    variables = {key: item.value for key, item in api.get_space_variables(SPACE).items()}
    assert (variables["CATDOG_MODEL"], variables["CATDOG_FEEDBACK_REPO"]) == (MODEL, FEEDBACK)
    assert set(api.get_space_secrets(SPACE)) == {"HF_TOKEN"}
    assert api.dataset_info(FEEDBACK).private
    assert SPACE_TOKEN not in done + runner.log()

    again = deploy_space(deployment(tmp_path), dry_run=False, deadline_s=DEADLINE_S)
    assert "nothing to change" in again
    assert len(runner.commits) == 1


def test_the_shipped_files_are_what_the_app_needs_and_no_more(
    api: HfApi, model_commit: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy(tmp_path, "--no-wait") == 0
    shipped = set(api.list_repo_files(SPACE, repo_type="space"))
    assert {
        "app.py",
        "requirements.txt",
        "README.md",
        "web/page/static/page.js",
        "catdog/settings.py",
        "model/onnx/model.onnx",
    } <= shipped
    assert not [path for path in shipped if path.startswith(("train/", "tests/", "devhub/", "deploy/", "model/README"))]
    card = SpaceCard.load(api.hf_hub_download(SPACE, "README.md", repo_type="space")).data.to_dict()
    gradio = next(line for line in (ROOT / "requirements.txt").read_text().splitlines() if line.startswith("gradio=="))
    assert f"gradio=={card['sdk_version']}" == gradio.split()[0]
    assert (card["python_version"], card["app_file"], card["sdk"]) == ("3.11", "app.py", "gradio")


def test_a_dry_run_prints_the_plan_and_changes_nothing(
    api: HfApi, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy(tmp_path, "--dry-run") == 0
    told = said(capsys)
    assert "create it, public, on cpu-basic" in told
    assert "set the secret HF_TOKEN" in told
    assert "secret CATDOG_ADMIN_TOKEN: not set here" in told
    assert "send app.py" in told
    assert SPACE_TOKEN not in told
    assert not api.repo_exists(SPACE, repo_type="space")


def test_only_what_changed_is_sent(
    api: HfApi, model_commit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy(tmp_path, "--no-wait", variables={"CATDOG_OLD": "1", "CATDOG_ACK": "local"}) == 0
    api.upload_file(path_or_fileobj=b"old", path_in_repo="old.txt", repo_id=SPACE, repo_type="space")
    api.add_space_variable(SPACE, "THEIRS", "1")
    said(capsys)
    monkeypatch.setenv("CATDOG_ADMIN_TOKEN", "a long admin token")
    changes = {"title": "Pets", "hardware": "cpu-upgrade", "storage": {"bucket": "b", "mount_path": "/data"}}
    assert deploy(tmp_path, "--no-wait", variables={"CATDOG_ACK": "remote"}, **changes) == 0
    lines = [line.split(" (")[0] for line in said(capsys).splitlines()]
    for line in (
        "hardware: cpu-upgrade, sleep after the default s",
        "storage: local/b at /data",
        "set the variable CATDOG_ACK to remote",
        "delete the variable CATDOG_OLD",
        "set the secret CATDOG_ADMIN_TOKEN",
        "send README.md",
        "delete old.txt",
    ):
        assert line in lines
    assert "set the secret HF_TOKEN" not in lines
    assert "send app.py" not in lines
    assert "THEIRS" in api.get_space_variables(SPACE)
    assert "old.txt" not in api.list_repo_files(SPACE, repo_type="space")


def test_the_deploying_token_never_becomes_the_spaces(
    hub: Running, api: HfApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CATDOG_SPACE_TOKEN", hub.token)
    assert deploy(tmp_path, "--no-wait") == 2
    told = said(capsys)
    assert deploy(tmp_path, "--no-wait", secrets={"HF_TOKEN": "HF_TOKEN"}) == 2
    told += said(capsys)
    assert told.count("would be the token that deploys") == 2
    assert hub.token not in told
    assert not api.repo_exists(SPACE, repo_type="space")


def test_a_space_token_that_cannot_write_feedback_is_refused_before_anything_is_sent(
    api: HfApi, model_commit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CATDOG_SPACE_TOKEN", READ_TOKEN)
    assert deploy(tmp_path, "--no-wait") == 2
    assert f"cannot write to {FEEDBACK}" in said(capsys)
    assert not api.repo_exists(SPACE, repo_type="space")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sdk_version": "6.0.0"}, "requirements.txt pins"),
        ({"files": ["requirements.txt", "nowhere/*.js"]}, "matches nothing"),
        ({"files": ["requirements.txt", "../outside"]}, "matches nothing"),
        ({"files": ["LICENSE"]}, "lack requirements.txt"),
        ({"app_file": "main.py"}, "does not exist"),
        ({"python_version": 3.1}, "python_version"),
        ({"colour": "red"}, "colour"),
        ({"secrets": {"HF_TOKEN": "PATH"}}, "PATH"),
    ],
)
def test_a_wrong_spacefile_is_a_sentence_and_exit_2(
    changes: dict[str, object], words: str, hub: Running, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy(tmp_path, "--dry-run", **changes) == 2
    assert words in said(capsys)


def test_a_space_that_does_not_build_is_rolled_back(
    api: HfApi, model_commit: str, runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_start", lambda commit: runner.tell(commit, stages.pop(0)))
    stages = ["RUNNING", "BUILD_ERROR", "RUNNING"]
    first = deployment(tmp_path, variables={"CATDOG_ACK": "remote"})
    deploy_space(first, dry_run=False, wait=False, deadline_s=DEADLINE_S)
    wait_for(lambda: len(stages) == 2, "the first to run")  # else the second commit would get its stage
    before = first.space.find()
    second = deployment(tmp_path, title="Broken", variables={"CATDOG_ACK": "local"})
    with pytest.raises(ServiceError, match=r"is in the state BUILD_ERROR[\s\S]*It was rolled back"):
        deploy_space(second, dry_run=False, roll_back=True, deadline_s=DEADLINE_S)
    after = first.space.find()
    assert (after.files, after.variables) == (before.files, before.variables)
    assert after.commit != before.commit


def test_a_space_that_starts_between_two_questions_is_not_said_to_run_without_an_address(
    api: HfApi, model_commit: str, runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_start", lambda _: None)
    deployed = deployment(tmp_path)
    deploy_space(deployed, dry_run=False, wait=False, deadline_s=DEADLINE_S)
    commit = str(api.space_info(SPACE).sha)

    def starts_after(question: Callable[..., object]) -> Callable[..., object]:
        def ask(*arguments: object) -> object:
            answer = question(*arguments)
            runner.tell(commit, "RUNNING", "http://127.0.0.1:1")
            return answer

        return ask

    for name in ("space_info", "get_space_runtime"):
        monkeypatch.setattr(deployed.client.api, name, starts_after(getattr(deployed.client.api, name)))
    seen = [deployed.space.state(), deployed.space.state()]
    assert [(state.stage, state.host) for state in seen if state.stage == "RUNNING"] == [
        ("RUNNING", "http://127.0.0.1:1")
    ]


def test_a_hub_that_cannot_be_reached_is_a_sentence(
    hub: Running, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.stop()
    assert deploy(tmp_path) == 1
    assert "cannot be reached" in said(capsys)
    hub.start()


def test_without_a_token_it_says_which_to_set(
    hub: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    assert deploy(tmp_path) == 2
    assert "Set HF_TOKEN" in said(capsys)


def test_a_dry_run_without_a_token_shows_what_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    assert deploy(tmp_path, "--dry-run") == 0
    shown = said(capsys)
    assert "send app.py" in shown
    assert "set the variable CATDOG_MODEL" in shown
    assert "not compared with the Space" in shown


def test_a_template_or_front_matter_in_the_spacefile_stays_text(tmp_path: Path) -> None:
    code = "{model.__class__}{{ 7 * 7191 }}\n---\nsdk: docker\n---\n"
    readme = render_readme(load_spacefile(spacefile(tmp_path, title=code)), "me")
    assert "50337" not in readme
    card = SpaceCard(readme)
    assert (card.data.title, card.data.sdk) == (code, "gradio")
