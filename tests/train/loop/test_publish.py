"""From a model folder to a revision on the Hub, and back to an earlier one."""

import json
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, HfApi, ModelCard

from catdog.cli import run
from catdog.errors import GateRefusedError, HubError, ModelError
from catdog.hub.client import HubClient
from catdog.hub.models import load_model
from catdog.model.metadata import hash_file, load_metadata, write_metadata
from catdog.settings import Settings
from devhub.faults import Fault
from devhub.server import Running
from devhub.tokens import Token
from tests.train.folders import TEST_METRICS, complete_folder
from train.__main__ import main
from train.gate.report import Check, GateReport
from train.loop.publish import next_tag, publish
from train.loop.repository import ModelRepository

REPO = "me/pets"


@pytest.fixture
def api(hub: Running, monkeypatch: pytest.MonkeyPatch) -> HfApi:
    """A client, beside commands that find hub and token in their environment."""
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_TOKEN", hub.token)
    return HfApi(endpoint=hub.url, token=hub.token)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return complete_folder(tmp_path / "first", extra={"roc.png": b"a plot"})


@pytest.fixture
def better(tmp_path: Path) -> Path:
    return complete_folder(tmp_path / "second", weights=b"better weights")


def train(*arguments: object) -> int:
    return run(main, [str(argument) for argument in arguments])


def tags(api: HfApi) -> dict[str, str]:
    return {tag.name: tag.target_commit for tag in api.list_repo_refs(REPO).tags}


def contents(api: HfApi, revision: str = "main") -> dict[str, bytes]:
    folder = Path(api.snapshot_download(REPO, revision=revision))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def commits(api: HfApi) -> list[str]:
    return [commit.title for commit in api.list_repo_commits(REPO)]


def test_a_published_folder_is_one_commit_with_a_tag_that_the_app_pulls(
    api: HfApi, folder: Path, tmp_path: Path, hub: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("publish", folder, "--repo", REPO, "--private") == 0
    assert commits(api)[0] == "Publish v1"
    assert len(commits(api)) == 2  # the first is the empty repository
    assert api.model_info(REPO).private
    head = api.model_info(REPO).sha
    assert tags(api) == {"v1": head}
    settings = Settings(model=REPO, hf_endpoint=hub.url, hf_token=hub.token, data_dir=tmp_path / "data")
    loaded = load_model(settings)
    assert (loaded.origin, loaded.model.revision) == ("hub", head)
    assert "v1" in capsys.readouterr().out


def test_the_published_card_names_the_repository_and_the_results_and_every_hash_fits(api: HfApi, folder: Path) -> None:
    train("publish", folder, "--repo", REPO)
    snapshot = Path(api.snapshot_download(REPO))
    card = ModelCard.load(snapshot / "README.md")
    assert card.data.model_name == "pets"
    assert {result.metric_type: result.metric_value for result in card.data.eval_results}["accuracy"] == 0.9
    assert f"hf_hub:{REPO}" in card.text
    listed = json.loads((snapshot / "metadata.json").read_text())["files"]
    assert {each["path"]: each["sha256"] for each in listed} == {
        each["path"]: hash_file(snapshot / each["path"]) for each in listed
    }
    assert (folder / "README.md").read_bytes() == b"local"


def test_publishing_again_changes_nothing_and_says_so(
    api: HfApi, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train("publish", folder, "--repo", REPO)
    before = (tags(api), commits(api))
    capsys.readouterr()
    assert train("publish", folder, "--repo", REPO) == 0
    assert (tags(api), commits(api)) == before
    assert "nothing to publish" in capsys.readouterr().out


def test_a_second_model_gets_the_next_tag_and_files_it_lacks_are_deleted(
    api: HfApi, folder: Path, better: Path
) -> None:
    train("publish", folder, "--repo", REPO)
    api.create_commit(REPO, [CommitOperationAdd("pytorch_model.bin", b"pickle")], commit_message="by hand")
    assert train("publish", better, "--repo", REPO) == 0
    assert set(tags(api)) == {"v1", "v2"}
    assert contents(api)["model.safetensors"] == b"better weights"
    assert not {"roc.png", "pytorch_model.bin"} & contents(api).keys()
    assert contents(api, "v1")["roc.png"] == b"a plot"


def test_a_damaged_folder_is_not_sent(api: HfApi, folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"rotten")
    assert train("publish", folder, "--repo", REPO) == 2
    assert not api.repo_exists(REPO)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt"])
def test_pickles_are_never_published(api: HfApi, tmp_path: Path, name: str) -> None:
    folder = complete_folder(tmp_path / "m", extra={name: b"\x80\x04."})
    with pytest.raises(ModelError, match="pickles"):
        publish(folder, ModelRepository(HubClient(api.endpoint, api.token), REPO))
    assert not api.repo_exists(REPO)


def test_files_that_the_metadata_does_not_list_stay_at_home(api: HfApi, folder: Path) -> None:
    (folder / "secret.env").write_text("password")
    train("publish", folder, "--repo", REPO)
    assert "secret.env" not in contents(api)


def test_a_model_that_the_gate_refused_is_not_published(api: HfApi, tmp_path: Path) -> None:
    check = Check(name="slices", passed=False, finding="dark pictures lose")
    report = GateReport(accepted=False, checks=(check,), slices=(), numbers={})
    folder = complete_folder(tmp_path / "m", extra={"gate.json": report.model_dump_json().encode()})
    assert train("publish", folder, "--repo", REPO) == 3
    assert not api.repo_exists(REPO)


@pytest.mark.parametrize(
    "change",
    [
        {"labels": ("boot", "hat", "shirt")},
        {"metrics": {"test": {**TEST_METRICS, "n": 1000, "accuracy": 0.8}}},
    ],
)
def test_a_model_unlike_the_live_one_needs_an_explicit_flag(
    change: dict[str, object], api: HfApi, folder: Path, better: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train("publish", folder, "--repo", REPO)
    write_metadata(better, load_metadata(better).model_copy(update=change))
    assert train("publish", better, "--repo", REPO) == 2
    assert "differs from the one in me/pets" in capsys.readouterr().err
    assert set(tags(api)) == {"v1"}
    assert train("publish", better, "--repo", REPO, "--allow-change") == 0
    assert set(tags(api)) == {"v1", "v2"}


def test_an_interrupted_publishing_is_completed_by_the_next(
    api: HfApi, folder: Path, hub: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.fail(Fault(status=403), method="POST", path="/tag/")
    assert train("publish", folder, "--repo", REPO) == 1
    assert tags(api) == {}
    assert train("publish", folder, "--repo", REPO) == 0
    assert tags(api) == {"v1": api.model_info(REPO).sha}
    assert len(commits(api)) == 2


def test_a_conflict_is_tried_once_more_on_top_of_the_other_commit(api: HfApi, folder: Path, hub: Running) -> None:
    hub.fail(Fault(status=412), method="POST", path="/commit/main")
    assert train("publish", folder, "--repo", REPO) == 0
    assert set(tags(api)) == {"v1"}


def test_a_second_conflict_is_told(api: HfApi, folder: Path, hub: Running, capsys: pytest.CaptureFixture[str]) -> None:
    hub.fail(Fault(status=412), method="POST", path="/commit/main", times=2)
    assert train("publish", folder, "--repo", REPO) == 1
    assert "somebody else" in capsys.readouterr().err


def test_a_head_that_moved_since_the_comparison_is_not_published_over(api: HfApi, folder: Path, better: Path) -> None:
    repository = ModelRepository(HubClient(api.endpoint, api.token), REPO)
    old = publish(folder, repository).commit
    publish(better, repository)
    with pytest.raises(HubError, match="moved"):
        publish(folder, repository, expected_head=old)


@pytest.mark.parametrize(
    ("token", "words"), [("", "token"), ("hf_of_nobody_at_all", "token"), ("hf_read_only_token", "write access")]
)
def test_without_the_right_to_write_the_reason_is_told_and_never_the_token(  # noqa: PLR0913, PLR0917 - fixtures
    token: str, words: str, folder: Path, tmp_path: Path, hub: Running, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    with Running(tmp_path / "strict", tokens=[Token("reader", "hf_read_only_token", "read")]) as strict:
        monkeypatch.setenv("HF_ENDPOINT", strict.url)
        if token:
            monkeypatch.setenv("HF_TOKEN", token)
        assert train("publish", folder, "--repo", REPO) == 1
    said = capsys.readouterr()
    assert words in said.err
    assert not token or token not in said.err + said.out


def test_without_network_the_reason_is_told(folder: Path, hub: Running, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("publish", folder, "--repo", REPO) == 1
    assert "cannot be reached" in capsys.readouterr().err


def test_a_name_that_is_no_repository_is_wrong_usage(api: HfApi, folder: Path) -> None:
    assert train("publish", folder, "--repo", "pets") == 2
    assert train("publish", folder, "--repo", "me/no good name") == 2


def test_tags_count_on_from_the_highest() -> None:
    assert next_tag([]) == "v1"
    assert next_tag(["v2", "v10", "v03", "vx", "stable"]) == "v11"


def test_rollback_restores_a_tags_files_and_marks_the_bad_model(
    api: HfApi, folder: Path, better: Path, tmp_path: Path, hub: Running
) -> None:
    train("publish", folder, "--repo", REPO)
    train("publish", better, "--repo", REPO)
    bad = tags(api)["v2"]
    assert train("rollback", "--repo", REPO, "--to", "v1", "--reason", "mistakes cats") == 0
    assert commits(api)[0] == "Roll back to v1: mistakes cats"
    now, first = contents(api), contents(api, "v1")
    (mark,) = json.loads(now.pop("revoked.json"))
    assert now == first
    assert (mark["commit"], mark["restored"], mark["reason"]) == (bad, "v1", "mistakes cats")
    settings = Settings(model=REPO, hf_endpoint=hub.url, hf_token=hub.token, data_dir=tmp_path / "data")
    assert load_model(settings).model.revision == api.model_info(REPO).sha


def test_a_revoked_model_is_never_published_again_but_others_are_and_the_mark_stays(
    api: HfApi, folder: Path, better: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train("publish", folder, "--repo", REPO)
    train("publish", better, "--repo", REPO)
    train("rollback", "--repo", REPO, "--to", "v1")
    assert train("publish", better, "--repo", REPO) == 3
    assert "rolled back" in capsys.readouterr().err
    third = complete_folder(tmp_path / "third", weights=b"third")
    assert train("publish", third, "--repo", REPO) == 0
    assert set(tags(api)) == {"v1", "v2", "v3"}
    assert "revoked.json" in contents(api)
    with pytest.raises(GateRefusedError):
        publish(better, ModelRepository(HubClient(api.endpoint, api.token), REPO))


def test_publishing_what_a_rollback_restored_changes_nothing(api: HfApi, folder: Path, better: Path) -> None:
    train("publish", folder, "--repo", REPO)
    train("publish", better, "--repo", REPO)
    train("rollback", "--repo", REPO, "--to", "v1")
    before = commits(api)
    assert train("publish", folder, "--repo", REPO) == 0
    assert commits(api) == before
    assert set(tags(api)) == {"v1", "v2"}


def test_rolling_back_twice_or_to_where_main_is_changes_nothing(api: HfApi, folder: Path, better: Path) -> None:
    train("publish", folder, "--repo", REPO)
    assert train("rollback", "--repo", REPO, "--to", "v1") == 0
    train("publish", better, "--repo", REPO)
    train("rollback", "--repo", REPO, "--to", "v1")
    before = commits(api)
    assert train("rollback", "--repo", REPO, "--to", "v1") == 0
    assert commits(api) == before


def test_a_revoked_model_can_be_brought_back_on_purpose(api: HfApi, folder: Path, better: Path) -> None:
    train("publish", folder, "--repo", REPO)
    train("publish", better, "--repo", REPO)
    train("rollback", "--repo", REPO, "--to", "v1")
    assert train("rollback", "--repo", REPO, "--to", "v2") == 0
    assert contents(api)["model.safetensors"] == b"better weights"
    assert train("publish", better, "--repo", REPO) == 0
    assert train("publish", folder, "--repo", REPO) == 3


def test_rollback_to_what_is_not_there_is_wrong_usage(
    api: HfApi, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("rollback", "--repo", REPO, "--to", "v1") == 2
    train("publish", folder, "--repo", REPO)
    assert train("rollback", "--repo", REPO, "--to", "v7") == 2
    assert "it has v1" in capsys.readouterr().err


def test_a_rollback_that_meets_another_commit_changes_nothing(
    api: HfApi, folder: Path, better: Path, hub: Running
) -> None:
    train("publish", folder, "--repo", REPO)
    train("publish", better, "--repo", REPO)
    before = commits(api)
    hub.fail(Fault(status=412), method="POST", path="/commit/main")
    assert train("rollback", "--repo", REPO, "--to", "v1") == 1
    assert commits(api) == before
