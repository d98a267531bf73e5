"""Repositories: made, filled, read, pinned, changed and removed, by the real client."""

import io
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants
from huggingface_hub.errors import (
    BadRequestError,
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from devhub.server import Running
from devhub.tokens import Token

REPO = "me/pets"
by_lfs = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # the client's own, where it sends LFS


def add(path: str, content: bytes) -> CommitOperationAdd:
    return CommitOperationAdd(path, content)


def read(api: HfApi, path: str, *, revision: str | None = None, repo_type: str | None = None) -> bytes:
    return Path(api.hf_hub_download(REPO, path, revision=revision, repo_type=repo_type)).read_bytes()


def write(api: HfApi, *operations: CommitOperationAdd | CommitOperationDelete, parent: str | None = None) -> str:
    return api.create_commit(REPO, operations, commit_message="change", parent_commit=parent).oid


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    (source / "onnx").mkdir(parents=True)
    (source / "README.md").write_text("---\nlicense: apache-2.0\n---\nCats and dogs, à la carte.\n")
    (source / "onnx" / "model.onnx").write_bytes(bytes(range(256)) * 4000)
    (source / "empty.txt").write_bytes(b"")
    return source


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("repo_type", ["model", "dataset", "space"])
def test_a_folder_comes_back_with_the_same_bytes(api: HfApi, folder: Path, repo_type: str) -> None:
    api.create_repo(REPO, repo_type=repo_type, space_sdk="gradio" if repo_type == "space" else None)
    commit = api.upload_folder(repo_id=REPO, folder_path=folder, repo_type=repo_type)
    snapshot = api.snapshot_download(REPO, repo_type=repo_type)
    assert Path(snapshot).name == commit.oid == api.repo_info(REPO, repo_type=repo_type).sha
    assert contents(Path(snapshot)) == contents(folder)


def test_an_unchanged_folder_makes_no_commit(api: HfApi, folder: Path) -> None:
    api.create_repo(REPO)
    first = api.upload_folder(repo_id=REPO, folder_path=folder)
    assert api.upload_folder(repo_id=REPO, folder_path=folder).oid == first.oid


@by_lfs
def test_large_files_travel_by_lfs(tmp_path: Path, hub: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    large = bytes(range(256)) * 100
    with Running(tmp_path / "strict", inline_bytes=1000) as strict:
        api = HfApi(endpoint=strict.url, token=strict.token)
        api.create_repo(REPO)
        write(api, add("large.bin", large), add("small.txt", b"small"), add("again.bin", large))
        (info,) = api.get_paths_info(REPO, ["large.bin"])
        assert info.lfs.size == len(large)
        assert read(api, "large.bin") == large
        assert read(api, "small.txt") == b"small"
        assert api.create_commit(REPO, [add("large.bin", large)], commit_message="same").oid == api.model_info(REPO).sha
        assert not list((tmp_path / "strict/models/me/pets/incoming").iterdir())


@by_lfs
def test_an_upload_that_xet_would_take_fails_at_once_with_a_reason(tmp_path: Path, hub: Running) -> None:
    with Running(tmp_path / "strict", inline_bytes=1000) as strict:
        api = HfApi(endpoint=strict.url, token=strict.token)
        api.create_repo(REPO)
        with pytest.raises(OSError, match="403"):
            write(api, add("large.bin", b"x" * 2000))
        api.upload_file(repo_id=REPO, path_in_repo="large.bin", path_or_fileobj=io.BytesIO(b"x" * 2000))
        assert read(api, "large.bin") == b"x" * 2000


def test_files_and_folders_are_deleted(api: HfApi) -> None:
    api.create_repo(REPO)
    write(api, add("keep", b"1"), add("file", b"2"), add("folder/a", b"3"), add("folder/deep/b", b"4"))
    write(api, CommitOperationDelete("file"), CommitOperationDelete("folder/", is_folder=True))
    assert api.list_repo_files(REPO) == ["keep"]
    with pytest.raises(EntryNotFoundError):
        write(api, CommitOperationDelete("file"))


def test_every_commit_stays_loadable(api: HfApi) -> None:
    api.create_repo(REPO)
    commits = [write(api, add("file", content)) for content in (b"one", b"two", b"three")]
    assert [read(api, "file", revision=commit) for commit in commits] == [b"one", b"two", b"three"]
    assert [commit.commit_id for commit in api.list_repo_commits(REPO)][:3] == commits[::-1]


def test_tags_and_branches_name_commits(api: HfApi) -> None:
    api.create_repo(REPO)
    first = write(api, add("file", b"one"))
    api.create_tag(REPO, tag="v1")
    api.create_branch(REPO, branch="feature/x", revision="v1")
    second = write(api, add("file", b"two"))
    api.create_commit(REPO, [add("file", b"three")], commit_message="there", revision="feature/x")
    refs = api.list_repo_refs(REPO)
    assert {tag.name: tag.target_commit for tag in refs.tags} == {"v1": first}
    assert {branch.name for branch in refs.branches} == {"main", "feature/x"}
    assert api.model_info(REPO, revision="main").sha == second
    assert [read(api, "file", revision=r) for r in ("v1", "main", "feature/x")] == [b"one", b"two", b"three"]
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_tag(REPO, tag="v1")
    api.create_tag(REPO, tag="v1", exist_ok=True)
    api.delete_tag(REPO, tag="v1")
    api.delete_branch(REPO, branch="feature/x")
    with pytest.raises(RevisionNotFoundError):
        api.model_info(REPO, revision="v1")
    with pytest.raises(BadRequestError):
        api.delete_branch(REPO, branch="main")


def test_a_stale_parent_is_a_conflict(api: HfApi) -> None:
    api.create_repo(REPO)
    old = api.model_info(REPO).sha
    new = write(api, add("file", b"one"), parent=old)
    with pytest.raises(HfHubHTTPError, match="412"):
        write(api, add("file", b"two"), parent=old)
    assert api.model_info(REPO).sha == new
    write(api, add("file", b"two"), parent=new)


def test_the_tree_lists_files_and_folders(api: HfApi) -> None:
    api.create_repo(REPO)
    first = write(api, add("a/b/c", b"1"), add("d", b"22"))
    write(api, add("d", b"333"))
    assert sorted(item.path for item in api.list_repo_tree(REPO)) == ["a", "d"]
    assert sorted(item.path for item in api.list_repo_tree(REPO, "a", recursive=True)) == ["a/b", "a/b/c"]
    (file,) = api.list_repo_tree(REPO, "a/b", expand=True)
    assert file.last_commit.oid == first
    with pytest.raises(EntryNotFoundError):
        list(api.list_repo_tree(REPO, "missing"))
    assert [item.path for item in api.get_paths_info(REPO, ["d", "a", "missing"])] == ["d", "a"]
    assert api.verify_repo_checksums(REPO, local_dir=api.snapshot_download(REPO)).checked_count == 2


def test_missing_things_are_told_apart(api: HfApi) -> None:
    with pytest.raises(RepositoryNotFoundError):
        api.model_info(REPO)
    api.create_repo(REPO)
    with pytest.raises(RevisionNotFoundError):
        api.model_info(REPO, revision="nowhere")
    with pytest.raises(EntryNotFoundError):
        api.hf_hub_download(REPO, "missing")
    assert not api.file_exists(REPO, "missing")
    assert api.repo_exists(REPO)
    assert not api.repo_exists(REPO, repo_type="dataset")


def test_creating_twice_is_a_conflict_unless_allowed(api: HfApi) -> None:
    url = api.create_repo(REPO)
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_repo(REPO)
    assert api.create_repo(REPO, exist_ok=True) == url
    assert url.repo_id == REPO


def test_a_repository_without_namespace_is_the_users_own(api: HfApi) -> None:
    assert api.create_repo("pets").repo_id == f"{api.whoami()['name']}/pets"


def test_repositories_are_listed_moved_and_deleted(api: HfApi) -> None:
    api.create_repo(REPO)
    api.create_repo("you/pets")
    api.move_repo(REPO, "me/animals")
    assert [model.id for model in api.list_models()] == ["me/animals", "you/pets"]
    assert [model.id for model in api.list_models(author="you", search="PET")] == ["you/pets"]
    api.delete_repo("you/pets")
    assert [model.id for model in api.list_models()] == ["me/animals"]
    with pytest.raises(RepositoryNotFoundError):
        api.delete_repo("you/pets")


def test_a_squash_leaves_one_commit_and_no_trace_of_what_was_deleted(api: HfApi, tmp_path: Path) -> None:
    api.create_repo(REPO)
    secret = write(api, add("picture", b"somebody's face"), add("keep", b"kept"))
    write(api, CommitOperationDelete("picture"))
    assert traces(tmp_path / "hub", b"somebody's face")
    api.super_squash_history(REPO)
    assert not traces(tmp_path / "hub", b"somebody's face")
    assert len(api.list_repo_commits(REPO)) == 1
    assert read(api, "keep") == b"kept"
    with pytest.raises(RevisionNotFoundError):
        api.model_info(REPO, revision=secret)


def test_a_squash_keeps_what_a_tag_names(api: HfApi) -> None:
    api.create_repo(REPO)
    write(api, add("file", b"one"))
    api.create_tag(REPO, tag="v1")
    write(api, CommitOperationDelete("file"))
    api.super_squash_history(REPO)
    assert read(api, "file", revision="v1") == b"one"


def traces(root: Path, content: bytes) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file() and content in path.read_bytes()]


def test_a_restart_keeps_everything(hub: Running, api: HfApi) -> None:
    api.create_repo(REPO, private=True)
    commit = write(api, add("file", b"one"))
    address, token = hub.url, hub.token
    hub.stop()
    hub.start()
    assert (hub.url, hub.token) == (address, token)
    assert read(api, "file", revision=commit) == b"one"
    assert api.model_info(REPO).private


def test_two_writers_lose_no_commit(api: HfApi) -> None:
    api.create_repo(REPO)
    futures = [
        api.run_as_future(write, HfApi(api.endpoint, token=api.token), add(f"file{i}", b"%d" % i)) for i in range(8)
    ]
    assert len({future.result() for future in futures}) == 8
    assert len(api.list_repo_files(REPO)) == 8
    assert len(api.list_repo_commits(REPO)) == 9


def test_private_repositories_do_not_exist_for_strangers(hub: Running, api: HfApi) -> None:
    api.create_repo(REPO, private=True)
    write(api, add("file", b"one"))
    stranger = HfApi(endpoint=hub.url, token=False)
    with pytest.raises(RepositoryNotFoundError):
        stranger.model_info(REPO)
    with pytest.raises(RepositoryNotFoundError):
        stranger.hf_hub_download(REPO, "file")
    assert list(stranger.list_models()) == []
    api.update_repo_settings(REPO, private=False)
    assert stranger.model_info(REPO).id == REPO


def test_what_a_token_may_do(tmp_path: Path, hub: Running) -> None:
    reader = Token("reader", "hf_only_reading", "read")
    with Running(tmp_path / "other", tokens=[reader]) as other:
        HfApi(endpoint=other.url, token=other.token).create_repo(REPO, private=True)
        api = HfApi(endpoint=other.url, token=reader.token)
        assert api.model_info(REPO).private
        assert api.whoami()["auth"]["accessToken"]["role"] == "read"
        api.auth_check(REPO)
        for forbidden in (
            lambda: api.auth_check(REPO, write=True),
            lambda: api.create_repo("reader/new"),
            lambda: write(api, add("file", b"one")),
            lambda: api.super_squash_history(REPO),
            lambda: api.delete_repo(REPO),
        ):
            with pytest.raises(HfHubHTTPError, match="403"):
                forbidden()
        for wrong in (lambda token: HfApi(endpoint=other.url, token=token).whoami(),):
            with pytest.raises(HfHubHTTPError) as caught:
                wrong("hf_wrong")
            assert caught.value.response.status_code == 401
        with pytest.raises(HfHubHTTPError) as caught:
            HfApi(endpoint=other.url, token="hf_wrong").model_info(REPO)
        assert "Invalid credentials" in str(caught.value)
        assert not isinstance(caught.value, RepositoryNotFoundError)


def test_a_space_is_recorded_as_it_was_asked_for(hub: Running, api: HfApi, tmp_path: Path) -> None:
    api.create_repo(
        REPO,
        repo_type="space",
        space_sdk="gradio",
        space_hardware="cpu-upgrade",
        space_secrets=[{"key": "HF_TOKEN", "value": "hf_very_secret"}],
        space_variables=[{"key": "CATDOG_MODEL", "value": "me/pets"}],
    )
    api.add_space_secret(REPO, "OTHER", "another secret", description="why")
    api.add_space_variable(REPO, "MORE", "1")
    api.delete_space_variable(REPO, "MORE")
    assert {key: variable.value for key, variable in api.get_space_variables(REPO).items()} == {
        "CATDOG_MODEL": "me/pets"
    }
    assert api.get_space_secrets(REPO)["OTHER"].description == "why"
    assert api.space_info(REPO).sdk == "gradio"
    assert api.request_space_hardware(REPO, "t4-small", sleep_time=300).requested_hardware == "t4-small"
    assert api.get_space_runtime(REPO).sleep_time == 300
    assert api.pause_space(REPO).stage == "PAUSED"
    assert api.restart_space(REPO, factory_reboot=True).stage == "BUILDING"
    assert not traces(tmp_path / "hub", b"hf_very_secret")
    api.delete_space_secret(REPO, "OTHER")
    assert set(api.get_space_secrets(REPO)) == {"HF_TOKEN"}


def test_a_name_is_found_in_any_case_and_taken_once(api: HfApi) -> None:
    api.create_repo("me/Pets")
    api.upload_file(path_or_fileobj=b"1", path_in_repo="a.txt", repo_id="me/pets")
    assert api.model_info("ME/PETS").id == "me/Pets"
    with pytest.raises(HfHubHTTPError, match="already created"):
        api.create_repo("me/pETS")
    api.create_repo("me/other")
    with pytest.raises(HfHubHTTPError, match="A model repository called me/PETS already exists"):
        api.move_repo("me/other", "me/PETS")
    api.move_repo("me/pets", "me/pets")
    assert api.model_info("me/PETS").id == "me/pets"


def test_a_branch_may_be_named_like_a_tag_and_exists_once(api: HfApi) -> None:
    api.create_repo("me/pets")
    api.create_tag("me/pets", tag="v1")
    api.create_branch("me/pets", branch="v1")
    with pytest.raises(HfHubHTTPError, match="Reference refs/heads/v1 already exists"):
        api.create_branch("me/pets", branch="v1")
    with pytest.raises(RevisionNotFoundError):
        api.create_tag("me/pets", tag="no tag's name", revision="missing")


def test_errors_have_a_request_id(api: HfApi) -> None:
    with pytest.raises(RepositoryNotFoundError, match=r"Request ID: \w+"):
        api.model_info("me/missing")
