"""Many pictures on many machines, by Ray Data: each of its actors holds the model and answers part after part."""

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from catdog.batch.classify import classify_pictures
from catdog.batch.collection import Collection, Part
from catdog.batch.results_folder import encode
from catdog.errors import CatdogError, DataError, SettingsError
from catdog.hub.files import HubFiles
from catdog.hub.models import LoadedModel, load_commit
from catdog.model.model import Model
from catdog.settings import load_settings

_Batch = dict[str, list[Any]]


@dataclass(frozen=True, slots=True)
class _Job:
    """What an actor must know; secrets are not among it, each machine has its own environment."""

    model_id: str
    revision: str
    folder: Path | None
    """None: the model comes from the Hub."""
    working_folder: Path


def score_with_ray(parts: Sequence[tuple[int, Part]], loaded: LoadedModel) -> Iterator[tuple[int, bytes]]:
    """Answer parts on all cores of the cluster that `RAY_ADDRESS` names, or else of this machine.

    Every machine must see collection and model under the same paths, and have the same settings in its environment.

    Args:
        parts: With their numbers.
        loaded: The model.

    Yields:
        A part's number and its encoded answers, as they become ready.

    Raises:
        SettingsError: Ray is not installed.
        CatdogError: a part could not be answered; see `Collection.read`.
        DataError: Ray failed, or its cluster cannot be reached.
    """
    ray = _import_ray()
    model = loaded.model
    folder = None if loaded.origin == "hub" or model.folder is None else model.folder.resolve()
    job = _Job(model.model_id, model.revision, folder, Path.cwd())
    try:
        # Without an address Ray would also take a cluster that somebody else started here, or one that is long gone.
        address = None if "RAY_ADDRESS" in os.environ else "local"
        ray.init(address, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        for row in _dataset(ray, parts, job).iter_rows():
            if row["error"] is not None:
                raise row["error"]
            yield int(row["number"]), row["answers"]
    except ConnectionError as error:
        raise DataError(
            f"{error}. Check RAY_ADDRESS, and RAY_AUTH_MODE=token if the cluster asks for a token."
        ) from None
    except ray.exceptions.RayError as error:
        raise DataError(f"Ray failed: {error}. The same command goes on with what is missing.") from None
    finally:
        ray.shutdown()


def _import_ray() -> Any:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # read when Ray starts; it would tell its makers
    try:
        import ray  # noqa: PLC0415 - large, and optional
        import ray.data  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"--engine ray needs the package {error.name}, which is not installed: `pip install 'ray[data]'` brings it."
        ) from None
    logging.getLogger("ray.data").setLevel(logging.ERROR)  # it tells of every step
    ray.data.DataContext.get_current().enable_progress_bars = False
    return ray


def _dataset(ray: Any, parts: Sequence[tuple[int, Part]], job: _Job) -> Any:
    """One block, and so one task, for each part: what is slow does not hold up the rest, what fails is tried again."""
    rows = [{"number": number, "part": asdict(part)} for number, part in parts]
    actors = max(1, min(len(rows), int(ray.cluster_resources().get("CPU", 1))))
    return ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
        _Scorer,
        fn_constructor_args=(job,),
        batch_size=1,
        num_cpus=1,
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=actors, initial_size=actors),
    )


class _Scorer:
    """One process of the cluster, with the model."""

    def __init__(self, job: _Job) -> None:
        if job.working_folder.is_dir():
            os.chdir(job.working_folder)
        settings = load_settings()
        self._limits = settings.image_limits
        self._collection = Collection(HubFiles(settings))
        if job.folder is None:
            settings = settings.model_copy(update={"model": job.model_id})
            self._model = load_commit(settings, job.revision)
        else:
            self._model = Model.load(job.folder, model_id=job.model_id, revision=job.revision)

    def __call__(self, batch: _Batch) -> _Batch:
        number, part = int(batch["number"][0]), _part(batch["part"][0])
        try:
            pictures = self._collection.read(part)
            # One thread: Ray gives each core an actor of its own.
            results = classify_pictures(self._model, pictures, limits=self._limits, workers=1)
            return {"number": [number], "answers": [encode(results, self._model)], "error": [None]}
        except CatdogError as error:
            return {"number": [number], "answers": [b""], "error": [error]}


def _part(row: dict[str, Any]) -> Part:
    groups = tuple(int(group) for group in row["groups"])
    return Part(tuple(row["paths"]), row["table"], groups, int(row["first_row"]), found=bool(row["found"]))
