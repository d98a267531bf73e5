"""One Space on the Hub. Every method may raise `HubError` with a sentence that says what to do."""

import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, Volume
from huggingface_hub.errors import RepositoryNotFoundError
from huggingface_hub.hf_api import RepoFile

from catdog.errors import HubError, ServiceError
from catdog.hub.client import HubClient, StoredFile
from deploy.space.plan import Found, Plan, secret_mark, volumes_of

_SPACE = "space"
_ATTEMPTS = 3


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

    def __init__(self, client: HubClient, repo_id: str) -> None:
        self.repo_id = repo_id
        self._client = client
        self._api = client.api

    @property
    def page(self) -> str:
        """Its page on the Hub."""
        return f"{self._api.endpoint}/spaces/{self.repo_id}"

    def find(self) -> Found:
        """The Space as it is."""
        with self.errors("read"):
            try:
                commit = self._api.space_info(self.repo_id).sha
            except RepositoryNotFoundError as error:
                if error.response.status_code == HTTPStatus.NOT_FOUND:
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
        with self.errors("send files to"):
            return self._api.create_commit(
                self.repo_id, operations, repo_type=_SPACE, commit_message=message, parent_commit=parent
            ).oid

    def files_at(self, commit: str) -> dict[str, bytes]:
        """All files of a commit."""
        with self.errors("read an earlier commit of"):
            folder = Path(self._api.snapshot_download(self.repo_id, repo_type=_SPACE, revision=commit))
        return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}

    def restart(self) -> None:
        """Start a Space that sleeps, is paused or stopped."""
        with self.errors("restart"):
            self._api.restart_space(self.repo_id)

    def state(self) -> State:
        """What it does now. A Hub that fails for a moment is asked again: a deployment takes minutes.

        The address is asked for last, so that a Space that starts in between is not said to run without one.
        """
        for left in reversed(range(_ATTEMPTS)):
            try:
                with self.errors("read the state of"):
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
            with self.errors("read the log of"):
                return "\n".join(list(self._api.fetch_space_logs(self.repo_id, build=build))[-lines:])
        except HubError:
            return ""

    def _create(self, plan: Plan) -> None:
        wanted = plan.wanted
        secrets = [
            {"key": key, "value": value.get_secret_value(), "description": secret_mark(self.repo_id, key, value)}
            for key, value in wanted.secrets.items()
        ]
        with self.errors("create"):
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
        with self.errors("change the settings of"):
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

    def errors(self, action: str) -> AbstractContextManager[None]:
        """Turn what `huggingface_hub` raises in the block into "Could not {action} the Space USER/NAME: ..."."""
        return self._client.errors(f"{action} the Space {self.repo_id}")


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
