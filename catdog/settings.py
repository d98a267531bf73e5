"""Settings: the one place that reads the environment."""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from catdog.errors import SettingsError
from catdog.images.decode import ImageLimits

_RESOURCES = Path(__file__).resolve().parent / "resources"
PROJECT_ROOT = _RESOURCES if _RESOURCES.is_dir() else Path(__file__).resolve().parent.parent
"""The repository; where the package is installed, the folder that stands in for it (setup.py)."""
EMBEDDED_MODEL = PROJECT_ROOT / "model"
_SHORTEST_TOKEN = 12
_YEAR_S, _CENTURY_DAYS = 366 * 86_400, 36_525  # far more would be beyond what clocks and waiting threads can count
_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]+)?")
HUB = "https://huggingface.co"


class Settings(BaseSettings):
    """Everything that can be configured, from `CATDOG_*` variables; `HF_TOKEN` and `HF_ENDPOINT` keep their names."""

    model_config = SettingsConfigDict(
        env_prefix="CATDOG_", frozen=True, extra="ignore", populate_by_name=True, protected_namespaces=()
    )

    host: str = Field("0.0.0.0", description="address to listen on")  # noqa: S104 - a Space and a container need it
    port: int = Field(7860, ge=0, le=65535, description="port to listen on")

    model: str = Field("model", min_length=1, description="a model folder if it exists, else a Hub repository")
    model_revision: str = Field("main", min_length=1, description="branch, tag or commit of the Hub repository")
    reload_seconds: float = Field(
        60, ge=0, le=_YEAR_S, description="how often a newer revision is looked for; 0 is never"
    )
    allow_model_change: bool = Field(
        False, description="whether a newer revision may have other labels, another input or a worse test score"
    )
    challenger: str = Field(
        "",
        pattern=r"^([\w.-]+/[\w.-]+(@[\w./-]+)?)?$",
        description="USER/NAME@REVISION of a model that scores some pictures, too, and shows visitors nothing",
    )
    challenger_share: float = Field(0.1, ge=0, le=1, description="share of pictures that it scores")

    data_dir: Path = Field(Path("data"), description="the journal's folder")
    feedback_repo: str = Field(
        "",
        pattern=r"^([\w.-]+/[\w.-]+)?$",
        description="Hub data set that receives feedback (created private); empty keeps it local",
    )
    sync_seconds: float = Field(300, gt=0, le=_YEAR_S, description="how often pending feedback is committed to it")
    commits_per_hour: int = Field(
        12, ge=2, description="how many commits an hour feedback may take at most; one is kept for the app's end"
    )
    retain_days: float = Field(
        30, ge=0, le=_CENTURY_DAYS, description="when pictures that the Hub has leave the journal"
    )
    ack: Literal["auto", "local", "remote"] = Field(
        "auto",
        description="local: `saved` means on this disk; remote: only once the Hub has it; "
        "auto: remote on a Space whose data folder is not a mounted volume, else local",
    )

    max_bytes: int = Field(20_000_000, gt=0, description="largest image, in bytes as sent")
    max_pixels: int = Field(64_000_000, gt=0, description="largest image, in pixels as its header declares")
    max_decoded_pixels: int = Field(
        16_000_000,
        gt=0,
        description="largest image, in pixels after reduced-scale JPEG decoding "
        "(HEIC: 50 million; WebP and AVIF: fewer)",
    )
    rate_limit: str = Field("600/minute", description="predictions per client")
    feedback_limit: str = Field("30/minute", description="corrections per client")
    feedback_per_day: int = Field(200, gt=0, description="corrections per client within 24 hours, restarts included")
    audit_share: float = Field(
        0,
        ge=0,
        le=1,
        description="share of pictures kept for review, of those whose senders agreed to it; 0 asks nobody",
    )
    trusted_proxies: int = Field(0, ge=0, description="how many forwarding hops to believe")
    cors_origins: str = Field(
        "", description="origins whose pages may send corrections, such as the static page's; separated by commas"
    )
    secret: SecretStr | None = Field(None, description="key for client hashes; made in the data folder if unset")

    admin_token: SecretStr = Field(
        SecretStr(""), description="opens the maintainer's page /admin to whoever knows it; empty disables the page"
    )

    mcp: bool = Field(
        default=False, description="offer `classify` and `wrong_label` to agents over MCP; needs the extra `mcp`"
    )
    public_url: str = Field(
        "",
        pattern=r"^(https?://[!-~]+)?$",
        description="address that visitors use, behind a proxy or below a path (`https://HOST/PATH`): it decides "
        "links, cookies and the check of origins; also named to servers that pictures are fetched from",
    )

    project_url: str = Field(
        "",
        pattern=r"^(https?://[!-~]+)?$",
        description="who asks, for servers that pictures are fetched from; empty: the public address, the Space or the "
        "model's page, whichever there is",
    )

    test_allow_private_urls: bool = Field(
        default=False, description="tests only: fetch image URLs from private addresses; shouted about at start"
    )

    hf_token: SecretStr | None = Field(None, validation_alias="HF_TOKEN", description="token for the Hub")
    hf_endpoint: str = Field(
        HUB, validation_alias="HF_ENDPOINT", description="the Hub, or a server that speaks its API"
    )
    space_token: SecretStr | None = Field(
        None, description="for `python -m deploy space`: the token that the Space gets as its HF_TOKEN"
    )
    mlflow_tracking_uri: str = Field(
        "sqlite:///runs/mlflow.db",
        min_length=1,
        validation_alias="MLFLOW_TRACKING_URI",
        description="where training keeps its record: a SQLite file, or an MLflow server",
    )
    space_id: str = Field("", validation_alias="SPACE_ID", description="set by Spaces: the Space this runs on")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="how much to log")
    log_format: Literal["text", "json"] = Field(
        "text", description="text: lines for people; json: an object a line, for machines"
    )

    @property
    def remote_ack(self) -> bool:
        """Whether a correction counts as saved only once the Hub has it."""
        if self.ack == "auto":
            return bool(self.feedback_repo and self.space_id) and not _is_on_volume(self.data_dir)
        return self.ack == "remote"

    @property
    def loses_feedback(self) -> bool:
        """Whether feedback is only where it does not outlive the process: on a Space, with neither volume nor Hub."""
        return bool(self.space_id) and not self.feedback_repo and not _is_on_volume(self.data_dir)

    @property
    def has_own_hub(self) -> bool:
        """Whether the hub is another one than Hugging Face's."""
        return self.hf_endpoint.rstrip("/") != HUB

    @field_validator("data_dir")
    @classmethod
    def _with_home(cls, folder: Path) -> Path:
        """`~` is the home folder, also where no shell has replaced it."""
        return folder.expanduser()

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, text: str) -> str:
        for origin in _listed(text):
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin} is not an origin; one looks like https://user-name.static.hf.space")
        return text

    @property
    def allowed_origins(self) -> tuple[str, ...]:
        """The origins in `cors_origins`."""
        return _listed(self.cors_origins)

    @property
    def about_us(self) -> str:
        """Address that tells operators of servers that pictures are fetched from who asks; empty if there is none."""
        if self.project_url or self.public_url:
            return self.project_url or self.public_url
        if self.space_id:
            return f"{HUB}/spaces/{self.space_id}"
        is_published = re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", self.model) and not Path(self.model).is_dir()
        return f"{self.hf_endpoint}/{self.model}" if is_published else ""

    @field_validator("admin_token")
    @classmethod
    def _hard_to_guess(cls, token: SecretStr) -> SecretStr:
        if 0 < len(token.get_secret_value()) < _SHORTEST_TOKEN:
            raise ValueError(f"must have at least {_SHORTEST_TOKEN} characters, so that nobody guesses it")
        return token

    @property
    def image_limits(self) -> ImageLimits:
        """The limits of one image."""
        return ImageLimits(
            max_bytes=self.max_bytes, max_pixels=self.max_pixels, max_decoded_pixels=self.max_decoded_pixels
        )


def _is_on_volume(folder: Path) -> bool:
    """Whether a folder is on a mounted volume, which outlives a container's own file system."""
    path = folder.resolve()
    return any(each.is_mount() for each in (path, *path.parents[:-1]))


def _listed(text: str) -> tuple[str, ...]:
    """What commas separate."""
    return tuple(item.strip() for item in text.split(",") if item.strip())


def variable(field: str) -> str:
    """The environment variable behind a settings field."""
    info = Settings.model_fields.get(field)
    alias = info.validation_alias if info else None
    return alias if isinstance(alias, str) else f"CATDOG_{field.upper()}"


def secret_variables() -> frozenset[str]:
    """The environment variables that hold secrets."""
    return frozenset(variable(name) for name, info in Settings.model_fields.items() if _is_secret(info.annotation))


def secrets_of(settings: Settings) -> dict[str, SecretStr]:
    """The secrets that are set, by environment variable."""
    values = {variable(name): getattr(settings, name) for name in Settings.model_fields}
    return {name: value for name, value in values.items() if isinstance(value, SecretStr) and value.get_secret_value()}


def _is_secret(annotation: object) -> bool:
    return SecretStr in (annotation, *get_args(annotation))


def load_settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        SettingsError: a variable has a value that does not fit; the message names each.
    """
    try:
        settings = Settings()
    except ValidationError as error:
        problems = "; ".join(f"{variable(str(e['loc'][0]))}: {e['msg']}" for e in error.errors())
        raise SettingsError(f"Wrong settings: {problems}. Correct the environment variables and start again.") from None
    if settings.ack == "remote" and not settings.feedback_repo:
        raise SettingsError("CATDOG_ACK is remote, which needs a data set. Set CATDOG_FEEDBACK_REPO to USER/NAME.")
    if settings.mcp and find_spec("mcp") is None:
        raise SettingsError('CATDOG_MCP needs the package mcp. Install it with pip install "gradio[mcp]", or unset it.')
    return settings
