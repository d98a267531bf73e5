"""Answers as a folder of Parquet files, one for each part of a collection, so that interrupted work can go on."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from catdog.batch.classify import Result
from catdog.batch.collection import Part
from catdog.errors import DataError, ImageError, SettingsError
from catdog.files import write_atomically
from catdog.model.model import Model

PLAN_FILE = "_plan.json"
"""The underscore lets `pandas.read_parquet` and others that read the whole folder pass it over."""
_OLD_PLAN_FILE = "plan.json"
_SCHEMA_VERSION = 1


class ResultsFolder:
    """`_plan.json` says what is asked and of which model; `part-00000.parquet` has the answers to the first part."""

    def __init__(self, folder: Path, parts: Sequence[Part]) -> None:
        self._folder = folder
        self.parts = parts

    @classmethod
    def open(cls, folder: Path, model: Model, parts: Sequence[Part]) -> "ResultsFolder":
        """Begin, or go on with, the answers to a collection.

        Raises:
            SettingsError: the folder holds answers of another model or to another collection, or cannot be written.
        """
        plan = _plan(model, parts)
        path = folder / PLAN_FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not path.exists() and (folder / _OLD_PLAN_FILE).is_file() and any(folder.glob("part-*.parquet")):
                (folder / _OLD_PLAN_FILE).rename(path)
            if not path.exists() and any(folder.glob("*.parquet")):
                raise SettingsError(f"{folder} holds Parquet files that are not of this command. Choose another --out.")
            if not path.exists():
                write_atomically(path, (json.dumps(plan, indent=2) + "\n").encode())
            _require_same(plan, json.loads(path.read_text(encoding="utf-8")), folder)
        except OSError as error:
            raise SettingsError(f"{folder} cannot be written: {error.strerror}. Choose another --out.") from None
        except ValueError:
            raise SettingsError(f"{path} is damaged. Delete {folder} to begin anew, or choose another --out.") from None
        return cls(folder, parts)

    def pending(self) -> list[int]:
        """The numbers of the parts that have no answers yet."""
        return [number for number in range(len(self.parts)) if not self._path(number).exists()]

    def write(self, number: int, answers: bytes) -> None:
        """Keep the answers to one part, as `encode` made them: all of them or, if this is interrupted, none.

        Raises:
            DataError: they cannot be written.
        """
        try:
            write_atomically(self._path(number), answers)
        except OSError as error:
            raise DataError(
                f"{self._path(number)} cannot be written: {error.strerror}. The same command goes on from here."
            ) from None

    def _path(self, number: int) -> Path:
        return self._folder / f"part-{number:05}.parquet"


def encode(results: Iterable[Result], model: Model) -> bytes:
    """A Parquet file with one row for each picture.

    Its columns are `path` and `row` (null for a file), `label`, `verdict`, `confidence` and `probabilities` (with a
    field for each label), or in their place `error` and `detail`, and `model_revision`.
    """
    table = pa.Table.from_pylist([_row(result, model.revision) for result in results], schema=_schema(model.labels))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    data: bytes = sink.getvalue().to_pybytes()
    return data


def count_answers(answers: bytes) -> tuple[int, int]:
    """How many pictures of an encoded part were classified, and how many not."""
    errors = pq.ParquetFile(pa.BufferReader(answers)).read(columns=["error"], use_threads=False).column(0)
    return errors.null_count, len(errors) - errors.null_count


def _schema(labels: tuple[str, ...]) -> pa.Schema:
    text = pa.string()
    return pa.schema(
        {
            "path": text,
            "row": pa.int64(),
            "label": text,
            "verdict": text,
            "confidence": pa.float64(),
            "probabilities": pa.struct([(label, pa.float64()) for label in labels]),
            "error": text,
            "detail": text,
            "model_revision": text,
        }
    )


def _row(result: Result, revision: str) -> dict[str, object]:
    about: dict[str, object] = {"path": result.path, "row": result.row, "model_revision": revision}
    match result.outcome:
        case ImageError() as error:
            return {**about, "error": error.code, "detail": str(error)}
        case prediction:
            return {
                **about,
                "label": prediction.label,
                "verdict": prediction.verdict,
                "confidence": prediction.confidence,
                "probabilities": dict(zip(prediction.labels, prediction.probabilities, strict=True)),
            }


def _plan(model: Model, parts: Sequence[Part]) -> dict[str, object]:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(json.dumps(asdict(part)).encode())
    return {
        "schema_version": _SCHEMA_VERSION,
        "model_id": model.model_id,
        "model_revision": model.revision,
        "parts": len(parts),
        "collection": digest.hexdigest(),
    }


def _require_same(plan: Mapping[str, object], found: Mapping[str, object], folder: Path) -> None:
    differing = [name for name in plan if plan[name] != found.get(name)]
    if differing:
        pairs = "; ".join(f"{name} is {plan[name]}, was {found.get(name)}" for name in differing)
        raise SettingsError(
            f"{folder} was begun with another model, collection or --part-size ({pairs}). Go on with the "
            "same (of the Hub name the commits: hf://datasets/USER/NAME@COMMIT, CATDOG_MODEL_REVISION), or choose "
            "another --out."
        )
