"""`python -m deploy static --space USER/NAME`: the built folder as a static Space."""

from pathlib import Path

from huggingface_hub import HfApi

from catdog.errors import SettingsError
from catdog.settings import Settings
from deploy.space.hub import SpaceHub

_SPACE = "space"


def publish_static(folder: Path, repo_id: str, settings: Settings, *, private: bool = False) -> str:
    """Make a Space hold just what a built folder holds, in one commit; unchanged files are not sent.

    Returns:
        The Space's address.

    Raises:
        SettingsError: there is no token, or the name is none of a Space.
        HubError: the Hub cannot be reached, or refuses.
    """
    if settings.hf_token is None:
        raise SettingsError("Publishing needs a token that may write: set HF_TOKEN.")
    api = HfApi(endpoint=settings.hf_endpoint, token=settings.hf_token.get_secret_value())
    hub = SpaceHub(api, repo_id)
    with hub.asking("create it"):
        api.create_repo(repo_id, repo_type=_SPACE, space_sdk="static", private=private, exist_ok=True)
    with hub.asking("send the files"):
        api.upload_folder(
            repo_id=repo_id,
            repo_type=_SPACE,
            folder_path=folder,
            delete_patterns="*",
            commit_message="Publish the static page",
        )
    return hub.page
