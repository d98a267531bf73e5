"""The running application follows its model's repository."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd

from catdog.hub.models import LoadedModel, load_model
from catdog.hub.watch import ModelWatcher
from devhub.faults import Fault
from tests.catdog.conftest import Published
from tests.toy import toy_model

pytestmark = pytest.mark.slow  # each test publishes revisions and tries them in a process of their own


class Application:
    """What is live, and everything that ever was."""

    def __init__(self, published: Published, **changes: object) -> None:
        self.lived = [published.load(**changes)]
        self.watcher = ModelWatcher(published.settings(**changes), self.live, self.lived.append, every_s=0.02)

    @property
    def live(self) -> LoadedModel:
        return self.lived[-1]


@pytest.fixture
def application(published: Published) -> Iterator[Application]:
    published.publish("cat", "dog")
    application = Application(published)
    yield application
    application.watcher.stop()


def eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_new_revision_goes_live_without_a_restart(published: Published, application: Application) -> None:
    application.watcher.start()
    commit = published.publish("cat", "dog")
    eventually(lambda: application.live.model.revision == commit)
    assert application.live.origin == "hub"
    assert application.watcher.problem is None


def test_an_unchanged_revision_is_not_swapped(application: Application) -> None:
    application.watcher.look()
    application.watcher.look()
    assert len(application.lived) == 1
    assert application.watcher.problem is None


def test_going_back_is_followed_too(published: Published, application: Application) -> None:
    first = application.live.model.revision
    published.api.create_tag("me/pets", tag="live", revision=first)
    application = Application(published, model_revision="live")
    second = published.publish("cat", "dog")
    published.api.delete_tag("me/pets", tag="live")
    published.api.create_tag("me/pets", tag="live")
    application.watcher.look()
    assert application.live.model.revision == second
    published.api.delete_tag("me/pets", tag="live")
    published.api.create_tag("me/pets", tag="live", revision=first)
    application.watcher.look()
    assert application.live.model.revision == first


def test_a_broken_revision_never_goes_live_and_is_reported(published: Published, application: Application) -> None:
    good = application.live
    broken = published.damage()
    application.watcher.look()
    assert application.lived == [good]
    assert broken in str(application.watcher.problem)
    assert published.load().model.revision == good.model.revision


def test_a_broken_revision_is_not_fetched_again(published: Published, application: Application) -> None:
    published.damage()
    application.watcher.look()
    problem = application.watcher.problem
    published.hub.fail(Fault(status=500), path="/resolve/|/tree/", times=100)
    application.watcher.look()
    assert application.watcher.problem == problem
    assert published.hub.faults.report()[0]["fired"] == 0


def test_the_revision_after_a_broken_one_goes_live(published: Published, application: Application) -> None:
    published.damage()
    application.watcher.look()
    commit = published.publish("cat", "dog")
    application.watcher.look()
    assert (application.live.model.revision, application.watcher.problem) == (commit, None)


def test_a_model_of_other_things_never_goes_live_by_itself(published: Published, application: Application) -> None:
    first = application.live.model.revision
    other = published.publish("coat", "shirt")
    application.watcher.look()
    assert len(application.lived) == 1
    assert other in str(application.watcher.problem)
    assert "labels are coat, shirt, not cat, dog" in str(application.watcher.problem)
    restarted = load_model(published.settings(), last_good_first=True)
    assert (restarted.origin, restarted.model.revision) == ("cache", first)

    willing = ModelWatcher(
        published.settings(allow_model_change=True), restarted, application.lived.append, every_s=0.02
    )
    willing.look()
    assert (application.live.model.revision, willing.problem) == (other, None)


@pytest.mark.parametrize(
    "change",
    [
        {"positive_label": "dog"},
        {"preprocessing": {"input_size": 48}},
        {"preprocessing": {"crop_pct": 0.9}},
        {"metrics": {"test": {"accuracy": 0.93, "n": 1000}}},
        {"metrics": {}},
    ],
)
def test_another_input_or_a_worse_score_never_goes_live_by_itself(
    change: dict[str, object], published: Published, tmp_path: Path
) -> None:
    published.describe(tmp_path / "model", {"metrics": {"test": {"accuracy": 0.95, "n": 1000}}})
    application = Application(published)
    published.describe(tmp_path / "model", change)
    application.watcher.look()
    assert "differs from the live model" in str(application.watcher.problem)
    assert len(application.lived) == 1


def test_a_rollback_is_followed_whatever_the_scores(published: Published, tmp_path: Path) -> None:
    good = {"metrics": {"test": {"accuracy": 0.95, "n": 1000}}}
    bad = published.describe(tmp_path / "model", good)
    application = Application(published)
    revoked = CommitOperationAdd("revoked.json", json.dumps([{"commit": bad}]).encode())
    published.api.create_commit("me/pets", [revoked], commit_message="roll back")
    commit = published.describe(tmp_path / "model", {"metrics": {"test": {"accuracy": 0.9, "n": 1000}}})
    application.watcher.look()
    assert (application.live.model.revision, application.watcher.problem) == (commit, None)


def test_a_hub_that_is_down_changes_nothing_and_is_reported(published: Published, application: Application) -> None:
    application.watcher.start()
    published.hub.stop()
    eventually(lambda: application.watcher.problem)
    assert len(application.lived) == 1
    published.hub.start()
    eventually(lambda: application.watcher.problem is None)


def test_a_download_that_fails_is_tried_again(published: Published, application: Application) -> None:
    commit = published.publish("cat", "dog")
    published.hub.fail(Fault(status=403), path="/resolve/", times=3)
    application.watcher.look()
    assert application.watcher.problem
    published.hub.faults.clear()
    application.watcher.look()
    assert application.live.model.revision == commit


def test_what_began_without_the_hub_gets_its_model_later(published: Published) -> None:
    commit = published.publish("cat", "dog")
    published.hub.stop()
    application = Application(published)
    assert application.live.origin == "embedded"
    assert application.watcher.problem
    published.hub.start()
    application.watcher.look()
    assert (application.live.origin, application.live.model.revision) == ("hub", commit)


def test_a_cached_model_becomes_the_hubs_without_being_loaded_again(
    published: Published, application: Application
) -> None:
    published.hub.stop()
    restarted = Application(published)
    assert restarted.live.origin == "cache"
    model = restarted.live.model
    published.hub.start()
    restarted.watcher.look()
    assert (restarted.live.origin, restarted.live.problem) == ("hub", None)
    assert restarted.live.model is model


def test_an_error_that_nobody_foresaw_is_reported_and_the_watcher_goes_on(
    published: Published, application: Application, caplog: pytest.LogCaptureFixture
) -> None:
    lived, broken, tried = [], threading.Event(), []

    def swap(live: LoadedModel) -> None:
        tried.append(live)
        if broken.is_set():
            raise RuntimeError("no memory")
        lived.append(live)

    broken.set()
    watcher = ModelWatcher(published.settings(), application.live, swap, every_s=0.02)
    commit = published.publish("cat", "dog")
    watcher.start()
    eventually(lambda: len(tried) > 2)
    assert "RuntimeError" in str(watcher.problem)
    assert "no memory" not in str(watcher.problem)  # that is for the log
    assert caplog.text.count("Traceback") == 1
    broken.clear()
    eventually(lambda: lived and watcher.problem is None)
    watcher.stop()
    assert lived[0].model.revision == commit


def test_nothing_is_swapped_after_stop(published: Published, application: Application) -> None:
    application.watcher.start()
    application.watcher.stop()
    published.publish("cat", "dog")
    application.watcher.look()
    assert len(application.lived) == 1


def test_a_folder_is_never_watched(published: Published, tmp_path: Path) -> None:
    settings = published.settings(model=str(toy_model(tmp_path / "folder")))
    watcher = ModelWatcher(settings, load_model(settings), lambda _: None, every_s=0.01)
    watcher.start()
    assert watcher._thread is None
    watcher.stop()


def test_zero_seconds_never_looks(published: Published) -> None:
    watcher = ModelWatcher(published.settings(), published.load(), lambda _: None, every_s=0)
    watcher.start()
    assert watcher._thread is None
    watcher.stop()
