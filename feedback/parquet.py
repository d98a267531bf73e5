"""Feedback rows as Parquet, in the form that `datasets`, the Hub's viewer and pandas open by themselves."""

import itertools
import json
import os
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from catdog.errors import FeedbackError
from feedback.row import FeedbackRow

EXPORT_FILE = "feedback.parquet"
_GROUP = 100
"""Rows in a row group, and in memory; few, so that the viewer can show one page without reading the file."""

_STRINGS = pa.list_(pa.string())
_ARROW_TYPES = {
    "created_at": pa.timestamp("us", tz="UTC"),
    "image": pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
    "labels": _STRINGS,
    "probabilities": pa.list_(pa.float32()),
    "schema_version": pa.int32(),
}
# What `datasets` makes of each type. Lists as [feature], the one spelling that all its versions read.
_FEATURES = {
    "created_at": {"dtype": "timestamp[us, tz=UTC]", "_type": "Value"},
    "image": {"_type": "Image"},
    "labels": [{"dtype": "string", "_type": "Value"}],
    "probabilities": [{"dtype": "float32", "_type": "Value"}],
    "schema_version": {"dtype": "int32", "_type": "Value"},
}
_STRING_FEATURE = {"dtype": "string", "_type": "Value"}


def _schema(columns: Iterable[str]) -> pa.Schema:
    columns = tuple(columns)
    features = {column: _FEATURES.get(column, _STRING_FEATURE) for column in columns}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.schema([(column, _ARROW_TYPES.get(column, pa.string())) for column in columns], metadata=metadata)


ROW_SCHEMA = _schema(column.name for column in fields(FeedbackRow))
"""The columns of a feedback row, schema 1."""
EXPORT_SCHEMA = _schema([*ROW_SCHEMA.names, "status"])
"""The same with what the maintainer decided: pending, accepted or rejected."""
