"""What clients of the Hub rely on beyond the routes that this project uses itself."""

from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import BadRequestError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

REPO = "me/pets"


@pytest.fixture
def commit(api: HfApi) -> str:
    api.create_repo(REPO)
    files = [CommitOperationAdd("a.txt", b"a"), CommitOperationAdd("folder/b.txt", b"b")]
    return api.create_commit(REPO, files, commit_message="files").oid


@pytest.mark.parametrize("repo_type", ["model", "dataset", "space"])
def test_a_name_without_a_namespace_is_a_repository_that_is_not_there(api: HfApi, repo_type: str) -> None:
    assert not api.repo_exists("pets", repo_type=repo_type)
    with pytest.raises(RepositoryNotFoundError):
        api.hf_hub_download("pets", "config.json", repo_type=repo_type)
    with pytest.raises(RepositoryNotFoundError):
        api.repo_info("pets", repo_type=repo_type, revision="main")
    with pytest.raises(RepositoryNotFoundError):
        list(api.list_repo_tree("pets", repo_type=repo_type))


def test_settings_that_are_not_kept_are_refused(api: HfApi, commit: str) -> None:
    with pytest.raises(BadRequestError, match="gated"):
        api.update_repo_settings(REPO, gated="auto")
    api.update_repo_settings(REPO, private=True)
    assert api.model_info(REPO).private


def test_paths_tell_the_commit_that_last_changed_them(api: HfApi, commit: str) -> None:
    later = api.create_commit(REPO, [CommitOperationAdd("folder/c.txt", b"c")], commit_message="c").oid
    found = {each.path: each.last_commit for each in api.get_paths_info(REPO, ["a.txt", "folder"], expand=True)}
    assert found["a.txt"] is not None
    assert found["folder"] is not None
    assert (found["a.txt"].oid, found["folder"].oid) == (commit, later)
    plain = api.get_paths_info(REPO, ["a.txt"])
    assert plain[0].last_commit is None  # type: ignore[union-attr]


def test_the_beginning_of_a_commit_id_names_it(api: HfApi, commit: str) -> None:
    assert api.model_info(REPO, revision=commit[:7]).sha == commit
    other = "0" if commit[0] != "0" else "1"
    with pytest.raises(RevisionNotFoundError):
        api.model_info(REPO, revision=other * 7)


def test_a_renamed_repository_is_found_by_its_old_names_until_another_takes_them(api: HfApi, commit: str) -> None:
    api.move_repo(REPO, "me/animals")
    api.move_repo("me/animals", "me/beasts")
    for name in (REPO, "me/animals"):
        assert api.model_info(name).id == "me/beasts"
        assert Path(api.hf_hub_download(name, "a.txt")).read_text(encoding="utf-8") == "a"
    assert [each.id for each in api.list_models(author="me")] == ["me/beasts"]
    api.create_repo(REPO)
    assert api.model_info(REPO).id == REPO
    api.delete_repo("me/beasts")
    assert not api.repo_exists("me/animals")


def test_a_folder_is_deleted_without_saying_that_it_is_one(api: HfApi, commit: str) -> None:
    api.create_commit(REPO, [CommitOperationDelete("folder")], commit_message="away")
    assert api.list_repo_files(REPO) == ["a.txt"]


def test_a_path_that_clients_cannot_write_cannot_be_processed(api: HfApi, commit: str) -> None:
    with pytest.raises(HfHubHTTPError) as refused:
        api.upload_file(path_or_fileobj=b"", path_in_repo="..\\up", repo_id=REPO)
    assert refused.value.response.status_code == 422


def test_ones_own_repositories_are_listed_with_their_size(api: HfApi) -> None:
    me = api.whoami()["name"]
    pets, rows = api.create_repo("pets").repo_id, api.create_repo("rows", repo_type="dataset", private=True).repo_id
    api.upload_file(path_or_fileobj=b"ab", path_in_repo="a.txt", repo_id=pets)
    api.create_repo("somebody/else")
    found = {each.id: each for each in api.list_user_repos()}
    assert set(found) == {f"{me}/pets", f"{me}/rows"}
    assert (found[pets].type, found[pets].visibility) == ("model", "public")
    assert (found[pets].storage, found[pets].storage_percent) == (2, 100.0)
    assert (found[rows].type, found[rows].visibility, found[rows].storage) == ("dataset", "private", 0)
    with pytest.raises(HfHubHTTPError, match="401"):
        list(api.list_user_repos(token=False))
