"""Routes of Spaces. No Space runs here; what was asked for is recorded in `space.json`, where it can be checked.

A Space is `BUILDING` until something outside, such as a test, runs its files and tells so: `POST .../runner` with
`commit`, `stage` and `host`, a route that the Hub does not have.

A secret's value is kept only as a salted hash: `holds_secret` answers whether a value is the one that was set.
"""

import hashlib
import hmac
import secrets
from typing import Any

from fastapi import APIRouter, Depends

from devhub.refusal import RefusedError, bad_request
from devhub.routes.access import REPO_API, AskedName, Body, Readable, Writable
from devhub.storage.files import read_json, write_json
from devhub.storage.repository import Repository, now

_ITERATIONS = 100_000
_NEW_SPACE: dict[str, Any] = {
    "stage": "BUILDING",
    "commit": None,
    "host": None,
    "hardware": "cpu-basic",
    "sleep_time": None,
    "volumes": [],
    "variables": {},
    "secrets": {},
    "events": [],
}


def only_spaces(name: AskedName) -> None:
    """Models and data sets have no such routes."""
    if name.kind != "spaces":
        raise RefusedError(404, "Only Spaces have this.")


router = APIRouter(prefix=REPO_API, dependencies=[Depends(only_spaces)])


class SpaceRecord:
    """The `space.json` of one Space."""

    def __init__(self, repository: Repository) -> None:
        self._path = repository.folder / "space.json"
        self._lock = repository.lock

    def read(self) -> dict[str, Any]:
        """What has been asked for so far."""
        return {**_NEW_SPACE, **(read_json(self._path) if self._path.exists() else {})}

    def change(self, event: str, **changes: object) -> dict[str, Any]:
        """Change some fields and note what happened."""
        with self._lock:
            record = {**self.read(), **changes}
            record["events"] = [*record["events"], {"at": now(), "what": event}]
            write_json(self._path, record)
            return record

    def set_variables(self, items: list[dict[str, Any]]) -> None:
        """Add or replace variables, given as key, value and description."""
        with self._lock:
            variables = {**self.read()["variables"], **{_key(item): _variable(item) for item in items}}
            self.change("variables", variables=variables)

    def set_secrets(self, items: list[dict[str, Any]]) -> None:
        """Add or replace secrets, given as key, value and description."""
        with self._lock:
            hidden = {**self.read()["secrets"], **{_key(item): _hidden(item) for item in items}}
            self.change("secrets", secrets=hidden)

    def remove(self, kind: str, key: str) -> None:
        """Remove a variable or a secret."""
        with self._lock:
            record = self.read()
            record[kind].pop(key, None)
            self.change(kind, **{kind: record[kind]})

    def holds_secret(self, key: str, value: str) -> bool:
        """Whether `value` is what the secret was set to."""
        stored = self.read()["secrets"].get(key)
        return stored is not None and hmac.compare_digest(stored["hash"], _hash(value, stored["salt"]))


def address_of_space(repository: Repository) -> dict[str, Any]:
    """Where a Space answers; nothing for other repositories."""
    return {"host": SpaceRecord(repository).read()["host"]} if repository.name.kind == "spaces" else {}


def fill_space(repository: Repository, body: dict[str, Any]) -> None:
    """Record what a new Space was created with."""
    record = SpaceRecord(repository)
    record.set_variables(body.get("variables") or [])
    record.set_secrets(body.get("secrets") or [])
    record.change(
        "created",
        hardware=body.get("hardware") or "cpu-basic",
        sleep_time=body.get("sleepTimeSeconds"),
        volumes=body.get("volumes") or [],
    )


@router.get("/secrets")
def list_secrets(repository: Writable) -> dict[str, Any]:
    """The secrets' names; never their values."""
    shown = ("description", "updatedAt")
    return {
        key: {name: item[name] for name in shown} for key, item in SpaceRecord(repository).read()["secrets"].items()
    }


@router.post("/secrets")
def set_secret(body: Body, repository: Writable) -> dict[str, Any]:
    """Set one secret."""
    SpaceRecord(repository).set_secrets([body])
    return {}


@router.delete("/secrets")
def delete_secret(body: Body, repository: Writable) -> dict[str, Any]:
    """Remove one secret."""
    SpaceRecord(repository).remove("secrets", _key(body))
    return {}


@router.get("/variables")
def list_variables(repository: Readable) -> Any:
    """The variables."""
    return SpaceRecord(repository).read()["variables"]


@router.post("/variables")
def set_variable(body: Body, repository: Writable) -> Any:
    """Set one variable; answers all."""
    SpaceRecord(repository).set_variables([body])
    return list_variables(repository)


@router.delete("/variables")
def delete_variable(body: Body, repository: Writable) -> Any:
    """Remove one variable; answers all."""
    SpaceRecord(repository).remove("variables", _key(body))
    return list_variables(repository)


@router.get("/runtime")
def runtime(repository: Readable) -> dict[str, Any]:
    """What the Space does, and what it would run on."""
    return _runtime(repository, SpaceRecord(repository).read())


@router.post("/runner")
def run_elsewhere(body: Body, repository: Writable) -> dict[str, Any]:
    """Note what became of a commit outside: its stage, and the address where it answers."""
    told = {key: str(body[key]) if body.get(key) else None for key in ("commit", "host")}
    stage = str(body.get("stage") or "RUNNING")
    return _runtime(repository, SpaceRecord(repository).change("runner", stage=stage, **told))


@router.post("/hardware")
def request_hardware(body: Body, repository: Writable) -> dict[str, Any]:
    """Choose the hardware."""
    changes = {"hardware": str(body.get("flavor") or "cpu-basic")}
    if "sleepTimeSeconds" in body:
        changes["sleep_time"] = body["sleepTimeSeconds"]
    return _runtime(repository, SpaceRecord(repository).change("hardware", **changes))


@router.post("/sleeptime")
def set_sleep_time(body: Body, repository: Writable) -> dict[str, Any]:
    """Choose after how many idle seconds it sleeps."""
    return _runtime(repository, SpaceRecord(repository).change("sleep_time", sleep_time=body.get("seconds")))


@router.put("/volumes")
def set_volumes(body: Body, repository: Writable) -> dict[str, Any]:
    """Attach volumes."""
    return _runtime(repository, SpaceRecord(repository).change("volumes", volumes=body.get("volumes") or []))


@router.delete("/volumes")
def delete_volumes(repository: Writable) -> dict[str, Any]:
    """Detach all volumes."""
    return _runtime(repository, SpaceRecord(repository).change("volumes", volumes=[]))


@router.post("/pause")
def pause(repository: Writable) -> dict[str, Any]:
    """Pause the Space."""
    return _runtime(repository, SpaceRecord(repository).change("paused", stage="PAUSED", commit=None, host=None))


@router.post("/restart")
def restart(repository: Writable, factory: bool = False) -> dict[str, Any]:
    """Restart the Space."""
    event = "restarted from scratch" if factory else "restarted"
    return _runtime(repository, SpaceRecord(repository).change(event, stage="BUILDING", commit=None, host=None))


def _stage(repository: Repository, record: dict[str, Any]) -> str:
    """What was told last, unless a newer commit waits."""
    stage = str(record["stage"])
    if stage == "PAUSED" or record["commit"] == repository.resolve("main"):
        return stage
    return "RUNNING_BUILDING" if stage == "RUNNING" else "BUILDING"


def _runtime(repository: Repository, record: dict[str, Any]) -> dict[str, Any]:
    return {
        "stage": _stage(repository, record),
        "sha": record["commit"],
        "hardware": {"current": record["hardware"], "requested": record["hardware"]},
        "gcTimeout": record["sleep_time"],
        "storage": None,
        "volumes": record["volumes"],
    }


def _key(item: dict[str, Any]) -> str:
    key = item.get("key")
    if not isinstance(key, str) or not key.isidentifier():
        raise bad_request("A variable or secret needs a key of letters, digits and underscores.")
    return key


def _variable(item: dict[str, Any]) -> dict[str, Any]:
    return {"value": str(item.get("value", "")), "description": item.get("description"), "updatedAt": now()}


def _hidden(item: dict[str, Any]) -> dict[str, Any]:
    salt = secrets.token_hex(16)
    hashed = _hash(str(item.get("value", "")), salt)
    return {"salt": salt, "hash": hashed, "description": item.get("description"), "updatedAt": now()}


def _hash(value: str, salt: str) -> str:
    return hashlib.pbkdf2_hmac("sha256", value.encode(), bytes.fromhex(salt), _ITERATIONS).hex()
