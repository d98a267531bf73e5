"""What the Space's own token must be able to do, tried before anything is deployed."""

import logging

from huggingface_hub.errors import RepositoryNotFoundError

from catdog.errors import HubError, SettingsError
from catdog.hub.client import HubClient
from deploy.space.plan import Wanted

log = logging.getLogger(__name__)

TOKEN = "HF_TOKEN"  # noqa: S105 - the name of a secret, not one


def check_space_token(client: HubClient, wanted: Wanted, *, model: str, feedback: str | None) -> None:
    """Make sure that the app will be able to read the model and to write feedback; the data set is created if need be.

    A token for one data set alone cannot create it, so the deploying token does, as private.

    Raises:
        SettingsError: the Space's token cannot do what it is for.
        HubError: the Hub cannot be reached or refuses.
    """
    if feedback:
        with client.errors(f"create the data set {feedback}"):
            client.api.create_repo(feedback, repo_type="dataset", private=True, exist_ok=True)
    secret = wanted.secrets.get(TOKEN)
    if secret is None:
        if feedback and TOKEN in wanted.unset_secrets:
            log.warning(
                "No token for the Space is set here (CATDOG_SPACE_TOKEN); it keeps the one that it has, if any."
            )
        return
    theirs = HubClient(client.endpoint, secret.get_secret_value())
    with theirs.errors("find out what the Space's token may do"):
        role = theirs.api.whoami()["auth"]["accessToken"].get("role")
    if role == "write":
        log.warning("The Space's token may write to everything of its owner. Use a fine-grained one.")
    _require(theirs, model, "model", write=False)
    if feedback:
        _require(theirs, feedback, "dataset", write=True)


def find_model_commit(client: HubClient, model: str, revision: str) -> str:
    """The commit that the app must serve."""
    with client.errors(f"read the model {model}"):
        return str(client.api.model_info(model, revision=revision).sha)


def _require(theirs: HubClient, repo_id: str, repo_type: str, *, write: bool) -> None:
    try:
        with theirs.errors("try the Space's token", passes=(RepositoryNotFoundError,)):
            theirs.api.auth_check(repo_id, repo_type=repo_type, write=write)
    except (HubError, RepositoryNotFoundError) as error:
        reason = error if isinstance(error, HubError) else "it may not see it"
        raise SettingsError(
            f"The Space's token cannot {'write to' if write else 'read'} {repo_id}: {reason} "
            "Correct the rights of the token in CATDOG_SPACE_TOKEN."
        ) from None
