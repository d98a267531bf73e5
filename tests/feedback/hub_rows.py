"""What is on the Hub, read without the code that wrote it."""

import hashlib
import io
from typing import Any

import pyarrow.parquet as pq
from huggingface_hub import HfApi, get_session


def hub_records(api: HfApi, repo_id: str, folder: str = "data") -> list[dict[str, Any]]:
    """All records of all shards, in the order of the shards' names."""
    paths = api.list_repo_files(repo_id, repo_type="dataset")
    records: list[dict[str, Any]] = []
    for path in sorted(path for path in paths if path.startswith(f"{folder}/")):
        url = f"{api.endpoint}/datasets/{repo_id}/resolve/main/{path}"
        answer = get_session().get(url, headers={"Authorization": f"Bearer {api.token}"}).raise_for_status()
        records += pq.read_table(io.BytesIO(answer.content)).to_pylist()
    return records


def hub_hashes(api: HfApi, repo_id: str) -> list[tuple[str, str]]:
    """Id and hash of the picture of every row, sorted; a row that is there twice is here twice."""
    records = hub_records(api, repo_id)
    return sorted((record["id"], hashlib.sha256(record["image"]["bytes"]).hexdigest()) for record in records)
