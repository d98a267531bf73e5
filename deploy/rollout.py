"""`python -m deploy rollout`: another image for the app of compose.yaml; one that does not work is taken back."""

import logging
import os
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from catdog.errors import ServiceError, SettingsError
from catdog.files import write_atomically

log = logging.getLogger(__name__)

IMAGE = "CATDOG_IMAGE"
_LINE = re.compile(rf"^{IMAGE}=(.*)$", re.MULTILINE)
_REFERENCE = re.compile(r"[a-z0-9][\w./:@-]*")

Check = Callable[[], object]
"""Raises `ServiceError` if the service does not do what it must."""


@dataclass(frozen=True, slots=True)
class Compose:
    """The services of one compose file, whose settings are in one file of `NAME=value` lines."""

    folder: Path
    """Where compose.yaml is."""
    env_file: Path
    deadline_s: float

    def image(self) -> str | None:
        """The image that runs by the settings; None if they name none."""
        found = _LINE.findall(self._settings())
        return found[-1].strip() if found else None

    def set_image(self, image: str | None) -> None:
        """Name another image in the settings; None names none. The file is replaced in one step."""
        text = _LINE.sub("", self._settings()).strip("\n")
        text = "\n".join(filter(None, (text, f"{IMAGE}={image}" if image else "")))
        try:
            write_atomically(self.env_file, f"{text}\n".encode(), mode=0o600)  # it may hold secrets
        except OSError as error:
            raise SettingsError(f"{self.env_file} cannot be written: {error.strerror}.") from None

    def up(self, *, pull: bool) -> None:
        """Start the app that the settings say, and wait until it is healthy: a dashboard says nothing about an image.

        Raises:
            ServiceError: it did not become healthy, or there is no engine.
        """
        if pull:
            self._run("pull", "--quiet", "app")
        self._run("up", "--detach", "--no-build", "--wait", "--wait-timeout", str(int(self.deadline_s)), "app")

    def _settings(self) -> str:
        try:
            return self.env_file.read_text(encoding="utf-8") if self.env_file.exists() else ""
        except OSError as error:
            raise SettingsError(f"{self.env_file} cannot be read: {error.strerror}.") from None

    def _run(self, *arguments: str) -> None:
        command = ["docker", "compose", "--env-file", os.fspath(self.env_file.resolve()), *arguments]
        try:
            env = {**os.environ, "CATDOG_ENV_FILE": command[3]}  # what compose.yaml gives to the app
            done = subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, check=False)
        except OSError as error:
            raise ServiceError(
                f"docker cannot be started: {error.strerror}. Install it with its compose plugin."
            ) from None
        if done.returncode:
            raise ServiceError(f"`{_shown(command)}` failed: {done.stderr.strip()[-500:]}")


def roll_out(compose: Compose, image: str, *, check: Check) -> str:
    """Run another image, or go on with the earlier one.

    Args:
        compose: The services.
        image: A reference; best one with a digest, which cannot change.
        check: What must hold once it is healthy.

    Returns:
        What was done, in a sentence.

    Raises:
        SettingsError: this is not an image reference.
        ServiceError: the new image does not work; the message tells whether the earlier one runs again.
    """
    if not _REFERENCE.fullmatch(image):
        raise SettingsError(f"{image!r} is not a reference of an image. Give one such as ghcr.io/USER/NAME@sha256:...")
    earlier = compose.image()
    compose.set_image(image)
    try:
        compose.up(pull=True)
        check()
    except ServiceError as error:
        raise ServiceError(f"{image} does not work: {error}\n{_bring_back(compose, earlier, check)}") from None
    return f"{image} runs" + (f" in place of {earlier}" if earlier and earlier != image else "")


def _bring_back(compose: Compose, earlier: str | None, check: Check) -> str:
    compose.set_image(earlier)
    if earlier is None:
        return "There is no earlier image to go back to."
    log.info("back to %s", earlier)
    try:
        compose.up(pull=False)  # it is here, and the registry may be what fails
        check()
    except ServiceError as error:
        return f"Rolling back to {earlier} failed too: {error}"
    return f"It was rolled back: {earlier} runs again."


def _shown(command: Sequence[str]) -> str:
    return " ".join(command)
