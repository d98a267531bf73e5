"""One Space on the Hub. Every method may raise `HubError` with a sentence that says what to do."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, Volume
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError
from huggingface_hub.hf_api import RepoFile

from catdog.errors import HubError, ServiceError, SettingsError
from catdog.hub.client import StoredFile
from deploy.space.plan import Found, Plan, secret_mark, volumes_of

_SPACE = "space"
_ATTEMPTS = 3
_ADVICE = {
    401: "The Hub does not know the token: set HF_TOKEN to a valid one.",
    402: "A Space that runs code needs a paid plan or credit; `python -m deploy static` makes one that is free.",
    403: "The token may not do that: set HF_TOKEN to one that may write to the Space.",
    404: "There is none of that name that this token may see: check both.",
    409: "Somebody else changed it at the same time: run this again.",
    412: "Somebody else changed it at the same time: run this again.",
    429: "The Hub asks to wait: run this again in some minutes.",
}


@dataclass(frozen=True, slots=True)
class State:
    """What the Space does now."""

    stage: str
    commit: str | None
    """The commit that runs or is being built; None where the Hub does not tell."""
    host: str | None
    """The address that visitors see."""


class SpaceHub:
    """One Space."""

    def __init__(self, api: HfApi, repo_id: str) -> None:
        self.repo_id = repo_id
        self._api = api

    @property
    def page(self) -> str:
        """Its page on the Hub."""
        return f"{self._api.endpoint}/spaces/{self.repo_id}"

    def find(self) -> Found:
        """The Space as it is."""
        with self.asking("look at the Space"):
            try:
                commit = self._api.space_info(self.repo_id).sha
            except RepositoryNotFoundError as error:
                if error.response.status_code == httpx2.codes.NOT_FOUND:
                    return Found()
                raise
            tree = self._api.list_repo_tree(self.repo_id, recursive=True, revision=commit, repo_type=_SPACE)
            files = {item.path: item for item in tree if isinstance(item, RepoFile)}
            runtime = self._api.get_space_runtime(self.repo_id)
            variables = self._api.get_space_variables(self.repo_id)
            secrets = self._api.get_space_secrets(self.repo_id)
        return Found(
            commit=commit,
            files={path: StoredFile(i.lfs.sha256 if i.lfs else None, i.blob_id) for path, i in files.items()},
            variables={key: variable.value for key, variable in variables.items()},
            secret_marks={key: secret.description or "" for key, secret in secrets.items()},
            hardware=runtime.requested_hardware or runtime.hardware,
            sleep_time=runtime.sleep_time,
            volumes=volumes_of(runtime.volumes),
        )

    def apply(self, plan: Plan, *, parent: str | None, message: str) -> str:
        """Make the Space what the plan wants: settings first, then all files in one commit. Returns the commit."""
        if plan.create:
            self._create(plan)
        else:
            self._change_settings(plan)
        if not plan.add and not plan.delete:
            assert parent is not None  # a new Space has files to get
            return parent
        operations: list[CommitOperationAdd | CommitOperationDelete] = [
            *(CommitOperationAdd(path, plan.wanted.files[path]) for path in plan.add),
            *(CommitOperationDelete(path) for path in plan.delete),
        ]
        with self.asking("send the files"):
            return self._api.create_commit(
                self.repo_id, operations, repo_type=_SPACE, commit_message=message, parent_commit=parent
            ).oid

    def files_at(self, commit: str) -> dict[str, bytes]:
        """All files of a commit."""
        with self.asking("read an earlier commit"):
            folder = Path(self._api.snapshot_download(self.repo_id, repo_type=_SPACE, revision=commit))
        return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}

    def restart(self) -> None:
        """Start a Space that sleeps, is paused or stopped."""
        with self.asking("restart it"):
            self._api.restart_space(self.repo_id)

    def state(self) -> State:
        """What it does now. A Hub that fails for a moment is asked again: a deployment takes minutes.

        The address is asked for last, so that a Space that starts in between is not said to run without one.
        """
        for left in reversed(range(_ATTEMPTS)):
            try:
                with self.asking("ask for its state"):
                    runtime = self._api.get_space_runtime(self.repo_id)
                    host = self._api.space_info(self.repo_id).host
                    return State(str(getattr(runtime.stage, "value", runtime.stage)), runtime.raw.get("sha"), host)
            except HubError:
                if not left:
                    raise
                time.sleep(1)
        raise AssertionError

    def log_tail(self, *, build: bool, lines: int = 20) -> str:
        """The end of its log, or nothing where the Hub gives none."""
        try:
            with self.asking("read its log"):
                return "\n".join(list(self._api.fetch_space_logs(self.repo_id, build=build))[-lines:])
        except HubError:
            return ""

    def _create(self, plan: Plan) -> None:
        wanted = plan.wanted
        secrets = [
            {"key": key, "value": value.get_secret_value(), "description": secret_mark(self.repo_id, key, value)}
            for key, value in wanted.secrets.items()
        ]
        with self.asking("create it"):
            self._api.create_repo(
                self.repo_id,
                repo_type=_SPACE,
                private=wanted.private,
                space_sdk="gradio",
                space_hardware=wanted.hardware,  # type: ignore[arg-type]  # the Hub has flavours that the client lacks
                space_sleep_time=wanted.sleep_time,
                space_secrets=secrets,
                space_variables=[{"key": key, "value": value} for key, value in wanted.variables.items()],
                space_volumes=[_volume(*volume) for volume in wanted.volumes] or None,
            )

    def _change_settings(self, plan: Plan) -> None:
        wanted, api, repo = plan.wanted, self._api, self.repo_id
        with self.asking("change its settings"):
            if plan.change_hardware:
                api.request_space_hardware(repo, wanted.hardware, sleep_time=wanted.sleep_time)  # type: ignore[arg-type]
            if plan.change_volumes and wanted.volumes:
                api.set_space_volumes(repo, [_volume(*volume) for volume in wanted.volumes])
            elif plan.change_volumes:
                api.delete_space_volumes(repo)
            for key in plan.set_variables:
                api.add_space_variable(repo, key, wanted.variables[key])
            for key in plan.delete_variables:
                api.delete_space_variable(repo, key)
            for key in plan.set_secrets:
                value = wanted.secrets[key]
                api.add_space_secret(repo, key, value.get_secret_value(), description=secret_mark(repo, key, value))

    @contextmanager
    def asking(self, what: str, *, passes: type[Exception] | tuple[()] = ()) -> Iterator[None]:
        """Turn what `huggingface_hub` raises into one sentence; exceptions in `passes` are left alone."""
        try:
            yield
        except passes:
            raise
        except HfHubHTTPError as error:
            status = error.response.status_code
            said = "" if status in _ADVICE else f" ({error.server_message or 'no reason given'})"
            advice = _ADVICE.get(status, "Try again.")
            raise HubError(f"{self.repo_id}: could not {what}: the Hub answered {status}{said}. {advice}") from None
        except HFValidationError:
            raise SettingsError(f"{self.repo_id!r} cannot be the name of a Space. Name it as USER/NAME.") from None
        except (httpx2.HTTPError, OSError) as error:
            raise HubError(
                f"{self.repo_id}: could not {what}: {self._api.endpoint} cannot be reached ({type(error).__name__}). "
                "Check the network and HF_ENDPOINT, and try again."
            ) from None


def _volume(bucket: str, mount_path: str) -> Volume:
    return Volume(type="bucket", source=bucket, mount_path=mount_path)


def address_of(state: State) -> str:
    """Where the app answers.

    Raises:
        ServiceError: the Hub does not tell.
    """
    if not state.host:
        raise ServiceError("The Hub does not tell where the Space answers. Look at its page.")
    return state.host.rstrip("/")
