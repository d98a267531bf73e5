"""What deploying would change: the Space as it is to be, compared with the Space as it is."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from huggingface_hub import Volume
from pydantic import SecretStr

from catdog.hub.client import StoredFile

KEPT_FILES = frozenset({".gitattributes"})
"""Files of the repository that the Hub made."""
OURS = "CATDOG_"
"""Variables of these names are set by deploying alone; others are left as they are."""

_MARK = "set by deploy, mark "


@dataclass(frozen=True, slots=True)
class Wanted:
    """The Space as it is to be."""

    repo_id: str
    private: bool
    files: Mapping[str, bytes]
    variables: Mapping[str, str]
    secrets: Mapping[str, SecretStr]
    hardware: str
    sleep_time: int | None
    volumes: tuple[tuple[str, str], ...]
    """Storage buckets and where they are mounted."""
    unset_secrets: tuple[str, ...] = ()
    """Secrets that the Spacefile names, and for which there is no value here."""


@dataclass(frozen=True, slots=True)
class Found:
    """The Space as it is; without a commit there is none."""

    commit: str | None = None
    files: Mapping[str, StoredFile] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    secret_marks: Mapping[str, str] = field(default_factory=dict)
    """From a secret's name to its description; the Hub tells no values."""
    hardware: str | None = None
    sleep_time: int | None = None
    volumes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """The difference."""

    wanted: Wanted
    create: bool
    add: tuple[str, ...]
    delete: tuple[str, ...]
    set_variables: tuple[str, ...]
    delete_variables: tuple[str, ...]
    set_secrets: tuple[str, ...]
    change_hardware: bool
    change_volumes: bool

    @property
    def is_empty(self) -> bool:
        """Whether the Space is as it is to be."""
        return not any(True for _ in self._changes())

    def lines(self) -> list[str]:
        """The plan in words; secrets by name alone."""
        wanted = self.wanted
        left = [f"secret {key}: not set here, left as it is" for key in wanted.unset_secrets]
        return [f"Space {wanted.repo_id}", *(self._changes() or ()), *left]

    def _changes(self) -> Iterator[str]:
        wanted = self.wanted
        if self.create:
            yield f"create it, {'private' if wanted.private else 'public'}, on {wanted.hardware}"
        elif self.change_hardware:
            yield f"hardware: {wanted.hardware}, sleep after {wanted.sleep_time or 'the default'} s"
        if self.change_volumes:
            mounts = ", ".join(f"{bucket} at {path}" for bucket, path in wanted.volumes)
            yield f"storage: {mounts or 'none'}"
        yield from (f"set the variable {key} to {wanted.variables[key]}" for key in self.set_variables)
        yield from (f"delete the variable {key}" for key in self.delete_variables)
        yield from (f"set the secret {key}" for key in self.set_secrets)
        yield from (f"send {path} ({len(wanted.files[path])} bytes)" for path in self.add)
        yield from (f"delete {path}" for path in self.delete)


def make_plan(wanted: Wanted, found: Found) -> Plan:
    """Compare the two."""
    return Plan(
        wanted=wanted,
        create=found.commit is None,
        add=tuple(
            path
            for path, content in wanted.files.items()
            if path not in found.files or not found.files[path].holds(content)
        ),
        delete=tuple(sorted(found.files.keys() - wanted.files.keys() - KEPT_FILES)),
        set_variables=tuple(key for key, value in wanted.variables.items() if found.variables.get(key) != value),
        delete_variables=tuple(
            sorted(key for key in found.variables.keys() - wanted.variables.keys() if key.startswith(OURS))
        ),
        set_secrets=tuple(
            key
            for key, value in wanted.secrets.items()
            if found.secret_marks.get(key) != secret_mark(wanted.repo_id, key, value)
        ),
        change_hardware=(wanted.hardware, wanted.sleep_time) != (found.hardware, found.sleep_time),
        change_volumes=wanted.volumes != found.volumes,
    )


def secret_mark(repo_id: str, key: str, value: SecretStr) -> str:
    """What a secret's description says, so that the same value is not set again, which would restart the Space.

    32 bits of a slow hash: they tell nothing that helps to guess a token.
    """
    salt = f"{repo_id}/{key}".encode()
    return _MARK + hashlib.scrypt(value.get_secret_value().encode(), salt=salt, n=2**14, r=8, p=1, dklen=4).hex()


def volumes_of(found: list[Volume] | None) -> tuple[tuple[str, str], ...]:
    """Buckets and where they are mounted."""
    return tuple((volume.source, volume.mount_path) for volume in found or () if volume.type == "bucket")
