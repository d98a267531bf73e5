import os
import re
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from catdog.errors import SettingsError, StoppedError
from catdog.model.metadata import load_metadata
from tests.train.folders import complete_folder
from train.fit import fit
from train.options import FitOptions
from train.tracking.mlflow import CHAMPION, EXPERIMENT, MODEL, MlflowTracker
from train.tracking.tracking import RunInputs, flatten, git_revision


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('tracking') / 'runs' / 'mlflow.db'}"


@pytest.fixture(scope="module")
def client(uri: str) -> Any:
    """The store as any other program sees it."""
    MlflowTracker(uri).connect()
    from mlflow import MlflowClient  # noqa: PLC0415 - after the tracker has said no to telemetry

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def runs(client: Any, name: str) -> list[Any]:
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    return list(client.search_runs([experiment], f"attributes.run_name = '{name}'"))


def inputs(name: str) -> RunInputs:
    return RunInputs(name, "a test", {"rate": 0.1, "nested": {"size": 32}}, "tints", None, "0" * 64)


@pytest.fixture(scope="module")
def tracked(options: FitOptions, uri: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A training that is interrupted after its last epoch, and then goes on."""
    run = replace(options, out=tmp_path_factory.mktemp("tracked") / "whole", resume=True)
    with pytest.MonkeyPatch.context() as patch, suppress(StoppedError):
        patch.setattr("train.fit.write_model_folder", interrupt)
        fit(run, MlflowTracker(uri))
    killed = (run.checkpoints / "tracked_run").read_text().strip()
    return fit(run, MlflowTracker(uri)), killed


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_run_is_kept_with_what_made_it_and_every_epoch(client: Any, tracked: tuple[Path, str]) -> None:
    folder, killed = tracked
    (run,) = runs(client, "whole")
    metadata = load_metadata(folder)
    assert run.info.run_id == killed, "what goes on is the same run"
    assert run.info.status == "FINISHED"
    assert run.data.params["architecture"] == "mobilenetv3_small_050"
    assert run.data.params["schedule.batch_size"] == "8"
    assert run.data.tags["data.sha256"] == metadata.training["data"]["sha256"]
    assert git_revision() is None or re.fullmatch(r"[0-9a-f]{40}(-dirty)?", run.data.tags["mlflow.source.git.commit"])
    losses = {each.step: each.value for each in client.get_metric_history(killed, "validation/log_loss")}
    assert losses == {entry["epoch"]: entry["log_loss"] for entry in metadata.training["settings"]["history"]}
    assert run.data.metrics["final/test_accuracy"] == metadata.metrics["test"]["accuracy"]
    (data,) = run.inputs.dataset_inputs
    assert data.dataset.digest == metadata.training["data"]["sha256"][:32]


def test_the_model_folder_is_an_artifact_and_a_version(client: Any, tracked: tuple[Path, str]) -> None:
    folder, run_id = tracked
    kept = {entry.path for entry in client.list_artifacts(run_id, "model")}
    assert {f"model/{path.name}" for path in folder.iterdir()} == kept
    (version,) = client.search_model_versions(f"run_id = '{run_id}'")
    assert version.tags["revision"] == f"local-{load_metadata(folder).sha256('model.safetensors'):.12}"
    assert CHAMPION not in version.aliases


def test_the_champion_is_the_version_that_was_crowned_last(
    client: Any, uri: str, tracked: tuple[Path, str], tmp_path: Path
) -> None:
    tracker = MlflowTracker(uri)
    tracker.crown(tracked[0], {"published": "USER/NAME@v1"})
    champion = client.get_model_version_by_alias(MODEL, CHAMPION)
    assert champion.run_id == tracked[1]
    assert champion.tags["published"] == "USER/NAME@v1"
    tracker.crown(complete_folder(tmp_path / "other", weights=b"other"))
    recorded = client.get_model_version_by_alias(MODEL, CHAMPION)
    assert recorded.version != champion.version
    assert runs(client, "other")[0].data.metrics["final/test_accuracy"] == 0.9
    tracker.crown(tracked[0])
    assert client.get_model_version_by_alias(MODEL, CHAMPION).version == champion.version


def test_the_plots_of_a_report_are_kept_with_the_models_run(
    client: Any, uri: str, tracked: tuple[Path, str], tmp_path: Path
) -> None:
    report = tmp_path / "report"
    report.mkdir()
    for name in ("report.json", "roc.png", "index.html"):
        (report / name).write_bytes(name.encode())
    tracker = MlflowTracker(uri)
    tracker.add_report(tracked[0], report, data="tints")
    kept = {entry.path for entry in client.list_artifacts(tracked[1], "report/tints")}
    assert kept == {"report/tints/report.json", "report/tints/roc.png"}, "the page has pictures in it: it is not kept"
    tracker.add_report(complete_folder(tmp_path / "unknown", weights=b"unknown"), report, data="tints")


def test_a_report_alone_makes_no_store(tmp_path: Path) -> None:
    MlflowTracker(f"sqlite:///{tmp_path}/mlflow.db").add_report(tmp_path / "model", tmp_path / "report", data="tints")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt(), "KILLED"), (ValueError("no"), "FAILED")])
def test_a_run_that_ends_badly_says_so(client: Any, uri: str, error: BaseException, status: str) -> None:
    with pytest.raises(type(error)), MlflowTracker(uri).run(inputs(status)):
        raise error
    assert runs(client, status)[0].info.status == status


def test_a_store_that_cannot_be_opened_is_named_before_the_work(
    options: FitOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    for uri in ("http://127.0.0.1:9", f"sqlite:///{__file__}/mlflow.db", "nonsense://there"):
        with pytest.raises(SettingsError, match="MLFLOW_TRACKING_URI"):
            fit(replace(options, out=tmp_path / "run"), MlflowTracker(uri))
    assert not list(tmp_path.iterdir())


def test_a_store_that_fails_in_the_middle_does_not_stop_the_training(
    tmp_path: Path, client: Any, uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The copy of the store is destroyed while a run is open."""
    store = tmp_path / "mlflow.db"
    shutil.copyfile(uri.removeprefix("sqlite:///"), store)
    with MlflowTracker(f"sqlite:///{store}").run(inputs("lost")) as run:
        store.write_bytes(b"no database at all" * 1000)
        for epoch in (1.0, 2.0):
            run.epoch({"epoch": epoch, "train_loss": 0.5})
    assert caplog.text.count("no longer tracked") == 1


def test_telemetry_is_off(client: Any) -> None:
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    from mlflow.telemetry.client import get_telemetry_client  # noqa: PLC0415

    assert get_telemetry_client() is None


def test_nested_parameters_become_one_level() -> None:
    values: dict[str, Any] = {"a": 1, "b": {"c": (0.1, 2), "d": {"e": None}}}
    assert flatten(values) == {"a": "1", "b.c": "(0.1, 2)", "b.d.e": "None"}


def test_outside_of_a_checkout_there_is_no_revision(tmp_path: Path) -> None:
    assert git_revision(tmp_path) is None
