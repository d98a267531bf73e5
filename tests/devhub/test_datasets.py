"""`datasets` reads and writes through a hub, with the environment that a user would set and nothing else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from devhub.server import Running
from tests.conftest import ROOT

SHARDS = """
import io, json, sys
import pyarrow as pa, pyarrow.parquet as pq
from datasets import load_dataset
from huggingface_hub import CommitOperationAdd, HfApi
from PIL import Image as Pillow

def shard(colours):
    info = {"info": {"features": {"image": {"_type": "Image"}, "label": {"dtype": "string", "_type": "Value"}}}}
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    schema = pa.schema([("image", kind), ("label", pa.string())]).with_metadata({b"huggingface": json.dumps(info)})
    rows = []
    for colour in colours:
        picture = io.BytesIO()
        Pillow.new("RGB", (8, 8), colour).save(picture, "PNG")
        rows.append({"image": {"bytes": picture.getvalue(), "path": None}, "label": colour})
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), out)
    return out.getvalue()

api = HfApi()
api.create_repo("me/rows", repo_type="dataset", private=True)
add = [CommitOperationAdd(f"data/{i}.parquet", shard(c)) for i, c in enumerate([["red", "blue"], ["green"]])]
first = api.create_commit("me/rows", add, commit_message="rows", repo_type="dataset").oid
api.create_commit("me/rows", [CommitOperationAdd("data/2.parquet", shard(["white"]))], commit_message="more", repo_type="dataset")
rows = load_dataset("me/rows", split="train")
assert sorted(rows["label"]) == ["blue", "green", "red", "white"], rows["label"]
assert rows[0]["image"].size == (8, 8)
assert len(load_dataset("me/rows", split="train", revision=first)) == 3
streamed = load_dataset("me/rows", split="train", streaming=True)
assert {row["label"]: row["image"].getpixel((0, 0)) for row in streamed}["green"] == (0, 128, 0)
print("done")
"""

PUSH = """
from datasets import Dataset, load_dataset
for count in (100, 50):
    Dataset.from_dict({"n": list(range(count))}).push_to_hub("me/numbers")
    assert load_dataset("me/numbers", split="train")["n"] == list(range(count))
print("done")
"""


@pytest.fixture
def environment(hub: Running, tmp_path: Path) -> dict[str, str]:
    return os.environ | {"HF_HOME": str(tmp_path / "home"), "HF_ENDPOINT": hub.url, "HF_TOKEN": hub.token}


def run(script: str, environment: dict[str, str]) -> None:
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stdout.strip().endswith("done"), done.stderr


@pytest.mark.slow
def test_datasets_loads_and_streams_shards_of_any_commit(environment: dict[str, str]) -> None:
    run(SHARDS, environment)


@pytest.mark.slow
def test_push_to_hub_works_without_xet(environment: dict[str, str]) -> None:
    run(PUSH, environment | {"HF_HUB_DISABLE_XET": "1"})
