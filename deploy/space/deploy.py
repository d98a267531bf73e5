"""`python -m deploy space`: the Space that the Spacefile describes, from checks to smoke test."""

import hmac
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from huggingface_hub import get_token
from pydantic import SecretStr

from catdog.errors import HubError, ServiceError, SettingsError
from catdog.hub.client import HubClient
from catdog.settings import Settings, secret_variables, secrets_of
from deploy.check.client import Service
from deploy.check.smoke import Expected, smoke
from deploy.space.access import check_space_token, find_model_commit
from deploy.space.files import collect_files
from deploy.space.hub import SpaceHub, State, address_of
from deploy.space.plan import Found, Plan, Wanted, make_plan
from deploy.space.spacefile import Spacefile, in_namespace

log = logging.getLogger(__name__)

_FAILED = frozenset({"BUILD_ERROR", "RUNTIME_ERROR", "CONFIG_ERROR", "NO_APP_FILE", "DELETING"})
_ASLEEP = frozenset({"SLEEPING", "PAUSED", "STOPPED"})
_PAUSE_S = 5.0
_SETTLED = 4
"""A state that the Hub does not tie to our commit may be the earlier one's: it counts when seen so often in a row."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """What is to be deployed, and with what."""

    spacefile: Spacefile
    root: Path
    """The repository whose files are shipped."""
    settings: Settings
    space: SpaceHub
    client: HubClient
    sleep: Callable[[float], None] = time.sleep

    @classmethod
    def prepare(cls, spacefile: Spacefile, root: Path, settings: Settings, *, repo: str | None) -> "Deployment":
        """Find out which Space it is; nothing is sent yet.

        Raises:
            SettingsError: there is no token, or the Space is to get the very token that deploys.
            HubError: the Hub cannot be reached.
        """
        token = token_of(settings)
        if not token:
            raise SettingsError("Deploying needs a token with write access to the Space. Set HF_TOKEN to one.")
        _refuse_own_token(token, secrets_of(settings), spacefile)
        client = HubClient(settings.hf_endpoint, token)
        name = repo or spacefile.repo
        if "/" not in name:
            with client.errors("find out whose token HF_TOKEN is"):
                name = f"{client.api.whoami()['name']}/{name}"
        return cls(spacefile, root, settings, SpaceHub(client, name), client)

    @property
    def namespace(self) -> str:
        """Whose Space it is."""
        return self.space.repo_id.partition("/")[0]

    @property
    def model(self) -> str:
        """The model repository."""
        return in_namespace(self.spacefile.model, self.namespace)

    @property
    def feedback(self) -> str | None:
        """The data set that receives feedback."""
        return in_namespace(self.spacefile.feedback, self.namespace) if self.spacefile.feedback else None

    def wanted(self) -> Wanted:
        """The Space as the Spacefile describes it."""
        spacefile, known = self.spacefile, secrets_of(self.settings)
        storage = spacefile.storage
        return Wanted(
            repo_id=self.space.repo_id,
            private=spacefile.private,
            files=collect_files(self.root, spacefile, self.namespace),
            variables=self._variables(),
            secrets={key: known[name] for key, name in spacefile.secrets.items() if name in known},
            hardware=spacefile.hardware,
            sleep_time=spacefile.sleep_time,
            volumes=((in_namespace(storage.bucket, self.namespace), storage.mount_path),) if storage else (),
            unset_secrets=tuple(key for key, name in spacefile.secrets.items() if name not in known),
        )

    def _variables(self) -> dict[str, str]:
        return {
            "CATDOG_MODEL": self.model,
            "CATDOG_MODEL_REVISION": self.spacefile.model_revision,
            **({"CATDOG_FEEDBACK_REPO": self.feedback} if self.feedback else {}),
            "CATDOG_TRUSTED_PROXIES": str(self.spacefile.trusted_proxies),
            **({"HF_ENDPOINT": self.settings.hf_endpoint} if self.settings.has_own_hub else {}),
            **self.spacefile.variables,
        }


def token_of(settings: Settings) -> str | None:
    """The token that deploys: the settings', else the one that `hf auth login` stored."""
    return settings.hf_token.get_secret_value() if settings.hf_token else get_token()


def plan_offline(spacefile: Spacefile, root: Path, settings: Settings, *, repo: str | None) -> list[str]:
    """What `--dry-run` can say without a token: the Space as it should be, compared with nothing.

    Raises:
        SettingsError: the Spacefile or its secrets are wrong.
    """
    name = repo or spacefile.repo
    whole = name if "/" in name else f"OWNER/{name}"
    client = HubClient(settings.hf_endpoint)
    deployment = Deployment(spacefile, root, settings, SpaceHub(client, whole), client)
    _refuse_own_token("", secrets_of(settings), spacefile)
    return [
        *make_plan(deployment.wanted(), Found()).lines(),
        "not compared with the Space itself: set HF_TOKEN, and this shows only what would change",
        *(["OWNER stands for the owner of that token"] if whole != name else []),
    ]


def deploy_space(
    deployment: Deployment, *, dry_run: bool, wait: bool = True, roll_back: bool = False, deadline_s: float
) -> list[str]:
    """Create or update the Space, follow it until it runs, and smoke it.

    Args:
        deployment: What and with what.
        dry_run: Only say what would be changed.
        wait: Whether to follow and smoke it.
        roll_back: Whether to bring the earlier files and variables back if the new ones do not work.
        deadline_s: How long building and starting may take.

    Returns:
        What was done or would be, a line each.

    Raises:
        SettingsError: Spacefile or secrets are wrong; nothing was changed.
        HubError: the Hub cannot be reached or refuses.
        ServiceError: the new version does not run, or not as it must.
    """
    found = deployment.space.find()
    plan = make_plan(deployment.wanted(), found)
    if dry_run:
        return [*plan.lines(), *(["nothing to change"] if plan.is_empty else [])]
    commit = _bring(deployment, plan, found)
    if not wait:
        return [*plan.lines(), f"commit {commit}; not followed"]
    try:
        checked = _check(deployment, commit, deadline_s)
    except ServiceError as error:
        if not roll_back or plan.is_empty or found.commit is None:
            raise
        raise ServiceError(f"{error}\n{_bring_back(deployment, found, deadline_s)}") from None
    done = "nothing to change" if plan.is_empty else f"commit {commit}"
    return [*plan.lines(), done, *checked, deployment.space.page]


def _bring(deployment: Deployment, plan: Plan, found: Found) -> str:
    """Check what the Space will need, then apply the plan; returns the commit."""
    check_space_token(deployment.client, plan.wanted, model=deployment.model, feedback=deployment.feedback)
    for line in plan.lines():
        log.info("%s", line)
    return deployment.space.apply(plan, parent=found.commit, message="Deploy")


def _check(deployment: Deployment, commit: str, deadline_s: float) -> list[str]:
    """Follow the Space until it runs this commit, then smoke it: the model must be the Hub's, not the embedded one."""
    state = follow(deployment.space, commit, deadline_s=deadline_s, sleep=deployment.sleep)
    revision = find_model_commit(deployment.client, deployment.model, deployment.spacefile.model_revision)
    token = str(deployment.client.token) if deployment.spacefile.private else None
    with Service(address_of(state), token=token) as service:
        return smoke(service, Expected(deployment.model, revision), deadline_s=deadline_s)


def follow(space: SpaceHub, commit: str, *, deadline_s: float, sleep: Callable[[float], None] = time.sleep) -> State:
    """Wait until the Space runs a commit.

    Raises:
        ServiceError: it does not build or start, or not in time; the end of its log is in the message.
    """
    end = time.monotonic() + deadline_s
    stage, seen, restarted = "", 0, False
    while True:
        state = space.state()
        seen = seen + 1 if state.stage == stage else 1
        if state.stage != stage:
            log.info("%s: %s", space.repo_id, state.stage)
        stage = state.stage
        is_ours = state.commit == commit or (state.commit is None and seen >= _SETTLED)
        if stage == "RUNNING" and is_ours:
            return state
        if stage in _FAILED and is_ours:
            raise _failure(space, f"is in the state {stage}", stage)
        if stage in _ASLEEP and not restarted:
            space.restart()
            restarted = True
        if time.monotonic() >= end:
            raise _failure(space, f"did not run {commit:.12} within {deadline_s:.0f} s; its state is {stage}", stage)
        sleep(_PAUSE_S)


def _failure(space: SpaceHub, what: str, stage: str) -> ServiceError:
    tail = space.log_tail(build="BUILD" in stage)
    log_text = f" The end of its log:\n{tail}" if tail else ""
    return ServiceError(f"The Space {space.repo_id} {what}. See {space.page}?logs=build.{log_text}")


def _bring_back(deployment: Deployment, found: Found, deadline_s: float) -> str:
    """Bring back the files and variables of before, as a new commit; a secret's earlier value is not known."""
    assert found.commit is not None
    space = deployment.space
    now = space.find()
    wanted = replace(
        deployment.wanted(),
        files=space.files_at(found.commit),
        variables=found.variables,
        secrets={},
        hardware=found.hardware or deployment.spacefile.hardware,
        sleep_time=found.sleep_time,
        volumes=found.volumes,
    )
    try:
        commit = space.apply(make_plan(wanted, now), parent=now.commit, message=f"Roll back to {found.commit:.12}")
        follow(space, commit, deadline_s=deadline_s, sleep=deployment.sleep)
    except (HubError, ServiceError) as error:
        return f"Rolling back failed too: {error}"
    return f"It was rolled back: {found.commit:.12} is back as {commit:.12}, and runs."


def _refuse_own_token(token: str, secrets: Mapping[str, SecretStr], spacefile: Spacefile) -> None:
    """The deploying token may write everywhere; whoever breaks into the Space would have it."""
    for key, name in spacefile.secrets.items():
        if name == "HF_TOKEN" or (
            name in secrets and hmac.compare_digest(secrets[name].get_secret_value().encode(), token.encode())
        ):
            raise SettingsError(
                f"The Space's secret {key} would be the token that deploys. Make a fine-grained one that may read the "
                f"model and write to the feedback data set, and set CATDOG_SPACE_TOKEN to it."
            )
    unknown = [name for name in spacefile.secrets.values() if name not in secret_variables()]
    if unknown:
        raise SettingsError(f"The Spacefile's secrets name {', '.join(unknown)}, which is not a secret setting here.")
