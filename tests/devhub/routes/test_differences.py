"""What clients of the Hub rely on beyond the routes that this project uses itself."""

import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import BadRequestError, RepositoryNotFoundError, RevisionNotFoundError

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
