"""Runs in MLflow: parameters, figures per epoch, data, code, model folder and plots; and which model is the champion.

MLflow is spoken to through its client alone, without a current run or another global. A store that fails in the
middle of a training is given up with a warning: the model matters more than its record.
"""

import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catdog.errors import SettingsError
from catdog.model.metadata import WEIGHTS_FILE, Metadata, load_metadata
from train.tracking.tracking import RunInputs, TrackedRun, flatten, git_revision

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "training"
MODEL = "image-classifier"
"""The registered model's name."""
CHAMPION = "champion"
_SQLITE = "sqlite:///"
_ARTIFACTS = "model"
_DIGEST = 32  # characters; MLflow keeps 36 at most
_UNUSABLE = re.compile(r"[^\w\-. :/]")
"""What MLflow takes in no figure's name."""
_log = logging.getLogger(__name__)


class MlflowTracker:
    """Keeps runs in the MLflow store at `uri`; see `Tracker`."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._opened: tuple[MlflowClient, str] | None = None

    def connect(self) -> None:
        """Open the store, and make it if it is a SQLite file that is not there yet.

        Raises:
            SettingsError: it cannot be opened, or does not answer.
        """
        self._open()

    @contextmanager
    def run(self, inputs: RunInputs) -> Iterator[TrackedRun]:
        """Follow a run: FINISHED, FAILED or KILLED in the end."""
        client, experiment = self._open()
        with _clear_errors(self.uri):
            run = _MlflowRun(client, _run_id(client, experiment, inputs), self.uri)
        try:
            yield run
        except KeyboardInterrupt:
            run.end("KILLED")
            raise
        except BaseException:
            run.end("FAILED")
            raise
        run.end("FINISHED")

    def crown(self, folder: Path, tags: Mapping[str, str] | None = None) -> None:
        """Give the `champion` alias to a model folder's version; a folder that no run made is registered first.

        Args:
            folder: A complete model folder.
            tags: More to note about the version, such as where it is published.

        Raises:
            SettingsError: the store cannot be opened, or does not answer.
        """
        client, experiment = self._open()
        with _clear_errors(self.uri):
            version = _version(client, _revision(load_metadata(folder))) or _record(client, experiment, folder)
            client.set_registered_model_alias(MODEL, CHAMPION, version)
            for name, value in (tags or {}).items():
                client.set_model_version_tag(MODEL, version, name, value)
        _log.info("MLflow: version %s of %s is the %s", version, MODEL, CHAMPION)

    def add_report(self, folder: Path, report: Path, *, data: str) -> None:
        """Keep a report's plots with the run that made a model folder; where no run is known, nothing is kept.

        Args:
            folder: The model folder.
            report: What `train.evaluation.report.write_report` made.
            data: What the model was asked about; the plots are named after it.

        Raises:
            SettingsError: the store cannot be opened, or does not answer.
        """
        if self.uri.startswith(_SQLITE) and not Path(self.uri.removeprefix(_SQLITE)).is_file():
            return
        client, _ = self._open()
        with _clear_errors(self.uri):
            version = _version(client, _revision(load_metadata(folder)))
            if version is None:
                return
            run_id = client.get_model_version(MODEL, version).run_id
            for path in (report / "report.json", *sorted(report.glob("*.png"))):
                client.log_artifact(run_id, str(path), f"report/{data}")
        _log.info("MLflow: the plots are with the run of version %s of %s", version, MODEL)

    def _open(self) -> "tuple[MlflowClient, str]":
        """The client, and the experiment's id."""
        if self._opened is None:
            os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # read when MLflow is imported
            with _clear_errors(self.uri):
                client = _client(self.uri)
                self._opened = client, _experiment_id(client, self.uri)
        return self._opened


class _MlflowRun:
    """One run in the store."""

    def __init__(self, client: "MlflowClient", run_id: str, uri: str) -> None:
        self._client = client
        self._id = run_id
        self._uri = uri
        self._lost = False

    def epoch(self, entry: Mapping[str, float]) -> None:
        """Note the figures of one epoch."""
        self._attempt(lambda: _log_epoch(self._client, self._id, entry))

    def finish(self, folder: Path) -> None:
        """Keep the folder and its scores, and register it as the next version of the model."""
        self._attempt(lambda: _log_folder(self._client, self._id, folder))

    def end(self, status: str) -> None:
        """Say how it ended."""
        self._attempt(lambda: self._client.set_terminated(self._id, status))

    def _attempt(self, function: Callable[[], object]) -> None:
        if self._lost:
            return
        try:
            with _clear_errors(self._uri):
                function()
        except SettingsError as error:
            self._lost = True
            _log.warning("The run is no longer tracked; training goes on. %s", error)


def _client(uri: str) -> "MlflowClient":
    from mlflow import MlflowClient  # noqa: PLC0415 - seconds that other commands do without

    logging.getLogger("mlflow").setLevel(logging.WARNING)  # the import sets another

    if uri.startswith(_SQLITE):
        Path(uri.removeprefix(_SQLITE)).resolve().parent.mkdir(parents=True, exist_ok=True)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _experiment_id(client: "MlflowClient", uri: str) -> str:
    """The experiment; files of its runs lie beside a SQLite store, and where a server says otherwise."""
    if (found := client.get_experiment_by_name(EXPERIMENT)) is not None:
        return str(found.experiment_id)
    files = Path(uri.removeprefix(_SQLITE)).resolve().parent / "mlflow" if uri.startswith(_SQLITE) else None
    return str(client.create_experiment(EXPERIMENT, artifact_location=None if files is None else str(files)))


def _run_id(client: "MlflowClient", experiment: str, inputs: RunInputs) -> str:
    """A new run, or the interrupted one that goes on."""
    if inputs.note is not None and inputs.note.is_file():
        run_id = inputs.note.read_text(encoding="utf-8").strip()
        client.update_run(run_id, status="RUNNING")
        return run_id
    run_id = _create_run(client, experiment, inputs)
    if inputs.note is not None:
        inputs.note.write_text(f"{run_id}\n", encoding="utf-8")
    return run_id


def _create_run(client: "MlflowClient", experiment: str, inputs: RunInputs) -> str:
    from mlflow.entities import Dataset, DatasetInput, Param  # noqa: PLC0415

    tags = {"mlflow.source.name": inputs.command, "mlflow.source.type": "LOCAL", "data.sha256": inputs.data_sha256}
    if (revision := git_revision()) is not None:
        tags["mlflow.source.git.commit"] = revision
    run = client.create_run(experiment, run_name=inputs.name, tags=tags)
    run_id = str(run.info.run_id)
    client.log_batch(run_id, params=[Param(name, value) for name, value in flatten(inputs.parameters).items()])
    source = f"{inputs.data}@{inputs.data_revision}" if inputs.data_revision else inputs.data
    data = Dataset(name=inputs.data, digest=inputs.data_sha256[:_DIGEST], source_type="data set", source=source)
    client.log_inputs(run_id, [DatasetInput(data)])
    return run_id


def _log_epoch(client: "MlflowClient", run_id: str, entry: Mapping[str, float]) -> None:
    figures = {_grouped(name): value for name, value in entry.items() if name != "epoch"}
    _log_metrics(client, run_id, figures, step=int(entry["epoch"]))


def _grouped(name: str) -> str:
    """MLflow draws what shares a prefix together."""
    if name == "seconds":
        return name
    return "train/loss" if name == "train_loss" else f"validation/{name}"


def _log_metrics(client: "MlflowClient", run_id: str, figures: Mapping[str, float], *, step: int) -> None:
    from mlflow.entities import Metric  # noqa: PLC0415

    now_ms = int(time.time() * 1000)
    client.log_batch(run_id, metrics=[Metric(name, value, now_ms, step) for name, value in figures.items()])


def _log_folder(client: "MlflowClient", run_id: str, folder: Path) -> str:
    """Keep a model folder with its run and register it; returns the version."""
    metadata = load_metadata(folder)
    _log_metrics(client, run_id, _final(metadata), step=0)
    client.log_artifacts(run_id, str(folder), _ARTIFACTS)
    client.set_tag(run_id, "model_revision", _revision(metadata))
    return _register(client, run_id, _revision(metadata))


def _final(metadata: Metadata) -> dict[str, float]:
    """The scores of the finished model on each split."""
    return {
        _UNUSABLE.sub("_", f"final/{split}_{name}"): float(value)
        for split, scores in metadata.metrics.items()
        for name, value in scores.items()
        if isinstance(value, int | float)
    }


def _register(client: "MlflowClient", run_id: str, revision: str) -> str:
    if not client.search_registered_models(f"name = '{MODEL}'"):
        client.create_registered_model(MODEL)
    source = f"{client.get_run(run_id).info.artifact_uri}/{_ARTIFACTS}"
    return str(client.create_model_version(MODEL, source, run_id, tags={"revision": revision}).version)


def _revision(metadata: Metadata) -> str:
    """As the app names a model that is in a folder."""
    return f"local-{metadata.sha256(WEIGHTS_FILE):.12}"


def _version(client: "MlflowClient", revision: str) -> str | None:
    """The newest version with these weights; None if there is none."""
    found = client.search_model_versions(f"name = '{MODEL}' and tag.revision = '{revision}'")
    return str(max(int(each.version) for each in found)) if found else None


def _record(client: "MlflowClient", experiment: str, folder: Path) -> str:
    """A finished run for a model folder that was made without tracking; returns the version."""
    metadata = load_metadata(folder)
    training: dict[str, Any] = metadata.training
    settings = {name: value for name, value in training.get("settings", {}).items() if name != "history"}
    data = training["data"]
    inputs = RunInputs(
        name=folder.resolve().name,
        command="recorded from the model folder",
        parameters={"init": training["init"]["name"], "recipe": training["recipe"], "seed": metadata.seed, **settings},
        data=data["name"],
        data_revision=data["revision"],
        data_sha256=data["sha256"],
    )
    run_id = _create_run(client, experiment, inputs)
    for entry in training.get("settings", {}).get("history", ()):
        _log_epoch(client, run_id, entry)
    version = _log_folder(client, run_id, folder)
    client.set_terminated(run_id, "FINISHED")
    return version


@contextmanager
def _clear_errors(uri: str) -> Iterator[None]:
    """Say in a sentence what is wrong with the store."""
    import requests  # noqa: PLC0415 - comes with MLflow
    from mlflow.exceptions import MlflowException  # noqa: PLC0415
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    try:
        yield
    except (MlflowException, SQLAlchemyError, requests.RequestException, OSError) as error:
        reason = str(error).strip().split("\n")[0].rstrip(".")
        raise SettingsError(
            f"MLflow's store {uri} cannot be used: {reason}. Set MLFLOW_TRACKING_URI to one that can, or train with "
            "--no-tracking."
        ) from None
