import os
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from catdog.errors import SettingsError
from devhub.server import Running
from tests.conftest import ROOT
from train.network.create import create_network

CREATE = """
import sys
from catdog.errors import HubError
from train.network.create import create_network
try:
    print(create_network("ignored", labels=5, init=sys.argv[1]).num_classes)
except HubError as error:
    print(error)
"""


@pytest.mark.parametrize(("init", "answer"), [("me/net", "5"), ("me/nothing", "The weights me/nothing could not be")])
def test_starting_weights_come_from_the_hub(
    init: str, answer: str, hub: Running, tmp_path: Path, trained: Path
) -> None:
    api = HfApi(endpoint=hub.url, token=hub.token)
    api.create_repo("me/net")
    api.upload_folder(repo_id="me/net", folder_path=trained)
    environment = os.environ | {"HF_HOME": str(tmp_path / "home"), "HF_ENDPOINT": hub.url, "HF_TOKEN": hub.token}
    result = subprocess.run(
        [sys.executable, "-c", CREATE, init], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(answer)


@pytest.mark.parametrize("init", ["nothing", "/no/where", "/nonexist", "-x/y", "x" * 300])
def test_starting_weights_that_are_neither_here_nor_a_name_are_a_wrong_setting(init: str) -> None:
    with pytest.raises(SettingsError, match=f"--init {init} is neither a file"):
        create_network("mobilenetv3_small_050", labels=2, init=init)
