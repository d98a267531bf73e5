"""Each fault on demand reaches the real client as what it is."""

from pathlib import Path

import httpx2
import pytest
from huggingface_hub import CommitOperationAdd, HfApi, get_session
from huggingface_hub.errors import HfHubHTTPError

from devhub.faults import Fault
from devhub.server import Running

REPO = "me/pets"
COMMIT = "/commit/"


@pytest.fixture(autouse=True)
def _repository(api: HfApi) -> None:
    api.create_repo(REPO)


def commit(api: HfApi, content: bytes = b"one") -> str:
    return api.create_commit(REPO, [CommitOperationAdd("file", content)], commit_message="change").oid


@pytest.mark.parametrize("status", [401, 403, 404, 409, 412, 429, 500, 504])
def test_a_status_is_seen_once_and_nothing_was_committed(hub: Running, api: HfApi, status: int) -> None:
    before = api.model_info(REPO).sha
    hub.fail(Fault(status=status, headers={"Retry-After": "7"}), method="POST", path=COMMIT)
    with pytest.raises(HfHubHTTPError) as caught:
        commit(api)
    assert caught.value.response.status_code == status
    assert caught.value.response.headers["Retry-After"] == "7"
    assert api.model_info(REPO).sha == before
    commit(api)


def test_a_500_can_hide_a_commit_that_was_made(hub: Running, api: HfApi) -> None:
    hub.fail(Fault(status=500, after_commit=True), path=COMMIT)
    with pytest.raises(HfHubHTTPError, match="500"):
        commit(api)
    assert len(api.list_repo_commits(REPO)) == 2
    assert api.list_repo_files(REPO) == ["file"]


def test_a_slow_answer_meets_the_clients_timeout(hub: Running, api: HfApi) -> None:
    hub.fail(Fault(delay_s=0.5), path="/api/models/me/pets$")
    with pytest.raises(httpx2.ReadTimeout):
        api.model_info(REPO, timeout=0.1)
    assert api.model_info(REPO, timeout=5).id == REPO


def test_a_body_is_cut(hub: Running, api: HfApi) -> None:
    commit(api, b"x" * 100_000)
    url = f"{hub.url}/{REPO}/resolve/main/file"
    hub.fail(Fault(cut_body_after=1000), path="/resolve/")
    with pytest.raises(httpx2.RemoteProtocolError), get_session().stream("GET", url) as response:
        list(response.iter_raw())
    assert get_session().get(url).content == b"x" * 100_000


def test_a_download_survives_a_cut_body(hub: Running, api: HfApi) -> None:
    commit(api, b"x" * 100_000)
    hub.fail(Fault(cut_body_after=1000), method="GET", path="/resolve/")
    assert Path(api.hf_hub_download(REPO, "file")).read_bytes() == b"x" * 100_000
    assert hub.faults.report()[0]["fired"] == 1


def test_a_rule_waits_for_its_turn_and_counts(hub: Running, api: HfApi) -> None:
    hub.fail(Fault(status=403), method="GET", path="/revision/", nth=2, times=2)
    outcomes = []
    for _ in range(4):
        try:
            api.model_info(REPO, revision="main")
            outcomes.append("fine")
        except HfHubHTTPError:
            outcomes.append("refused")
    assert outcomes == ["fine", "refused", "refused", "fine"]
    (rule,) = hub.faults.report()
    assert (rule["seen"], rule["fired"], rule["left"]) == (4, 2, 0)


def test_rules_are_managed_over_http_by_somebody_who_may_write(hub: Running, api: HfApi) -> None:
    url = f"{hub.url}/_faults"
    rule = {"match": {"path": "/whoami"}, "fault": {"status": 503}, "times": 2}
    client = get_session()
    assert client.post(url, json=rule).status_code == 401
    owner = {"Authorization": f"Bearer {hub.token}"}
    assert client.post(url, json=rule, headers=owner).status_code == 201
    with pytest.raises(HfHubHTTPError, match="503"):
        api.whoami()
    assert client.get(url, headers=owner).json()[0]["left"] == 1
    assert client.delete(url, headers=owner).status_code == 200
    assert client.get(url, headers=owner).json() == []
    assert api.whoami()["name"] == "local"


@pytest.mark.parametrize("rule", [{}, {"fault": {"status": 200}}, {"fault": {}, "match": {"path": "("}}, {"falt": {}}])
def test_a_rule_that_makes_no_sense_is_refused(hub: Running, rule: dict[str, object]) -> None:
    owner = {"Authorization": f"Bearer {hub.token}"}
    assert get_session().post(f"{hub.url}/_faults", json=rule, headers=owner).status_code == 400
