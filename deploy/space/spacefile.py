"""The Spacefile: what the Space is, as a file that is checked before anything is sent."""

import json
import re
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from catdog.errors import SettingsError

SCHEMA_FILE = Path(__file__).with_name("spacefile.schema.json")
"""What editors check a Spacefile with; made from the classes below."""

_NAME = r"^([\w.-]+/)?[\w.-]+$"
_Colour = Literal["red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class Storage(_Part):
    """A storage bucket that is mounted into the Space, and outlives its restarts."""

    bucket: str = Field(pattern=_NAME, description="USER/NAME; without USER, the Space's own namespace")
    mount_path: str = Field(pattern=r"^/[\w./-]+$", description="where the app finds it, for example /data")


class Spacefile(_Part):
    """Everything that makes the Space. Names without `USER/` are in the Space's own namespace."""

    repo: str = Field(pattern=_NAME, description="the Space; without USER/, that of the token's owner")
    title: str = Field(min_length=1)
    emoji: str = "🐾"
    color_from: _Colour = "yellow"
    color_to: _Colour = "blue"
    short_description: str = Field("", max_length=60, description="shown on the Space's thumbnail")
    license: str = "apache-2.0"
    private: bool = Field(default=False, description="whether only the owner sees the Space; counts when it is created")

    sdk: Literal["gradio"] = "gradio"
    sdk_version: str = Field(description="of Gradio; must be the pin in requirements.txt")
    python_version: str = Field(pattern=r"^3\.\d+(\.\d+)?$", description="in quotes, or YAML makes 3.10 a 3.1")
    app_file: str = Field(
        "app.py", description="what the Space starts; the modules that it imports are shipped with it"
    )
    files: tuple[str, ...] = Field(description="what is shipped besides: paths or patterns, from the repository's root")

    hardware: str = Field("cpu-basic", description="a flavour of the Hub, such as cpu-basic or cpu-upgrade")
    sleep_time: int | None = Field(
        None, gt=0, description="idle seconds after which paid hardware sleeps; null is never"
    )
    storage: Storage | None = Field(
        None, description="null where nothing outlives a restart; then feedback is on the Hub"
    )

    model: str = Field(pattern=_NAME, description="the model repository: CATDOG_MODEL there")
    model_revision: str = Field("main", min_length=1, description="branch, tag or commit: CATDOG_MODEL_REVISION there")
    feedback: str | None = Field(
        None, pattern=_NAME, description="the data set that receives feedback; null keeps it there"
    )
    trusted_proxies: int = Field(1, ge=0, description="forwarding hops to believe: CATDOG_TRUSTED_PROXIES there")
    variables: dict[str, str] = Field(default_factory=dict, description="further environment variables, for all to see")
    secrets: dict[str, str] = Field(
        default_factory=dict,
        description="from a secret's name there to the setting here that holds its value; no values",
    )


def load_spacefile(path: Path) -> Spacefile:
    """Read and check a Spacefile.

    Raises:
        SettingsError: it cannot be read, is not YAML, or does not fit the schema; the message names every problem.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not YAML: {' '.join(str(error).split())}.") from None
    try:
        return Spacefile.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'the file'}: {e['msg']}" for e in error.errors())
        raise SettingsError(
            f"{path} is not a Spacefile: {problems}. Correct it; the fields are in docs/deploy.md."
        ) from None


def schema_text() -> str:
    """The JSON schema of a Spacefile."""
    schema: dict[str, Any] = Spacefile.model_json_schema()
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def in_namespace(name: str, namespace: str) -> str:
    """A name with its namespace, by default the given one."""
    return name if "/" in name else f"{namespace}/{name}"


def check_gradio(spacefile: Spacefile, requirements: str) -> None:
    """Make sure that the Space's Gradio is the one that everything was tested with.

    Args:
        spacefile: Names a version.
        requirements: The text of requirements.txt.

    Raises:
        SettingsError: it is another one.
    """
    pins = re.findall(r"^gradio==(\S+)$", requirements, re.MULTILINE)
    if pins != [spacefile.sdk_version]:
        pinned = " and ".join(pins) or "none"
        raise SettingsError(
            f"The Spacefile's sdk_version is {spacefile.sdk_version}, requirements.txt pins {pinned}. "
            "The Space would run another Gradio than the tests: make them equal."
        )
