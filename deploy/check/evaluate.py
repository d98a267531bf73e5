"""`python -m deploy evaluate`: how good the deployed model is, asked as its clients ask it."""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path

from httpx import codes

from catdog.errors import ImageError, ServiceError, SettingsError
from catdog.images.decode import ImageLimits, decode_image
from catdog.model.model import Model
from deploy.check.client import Reply, Service
from deploy.check.labelled import Labelled

_AT_ONCE = 4
_Z = 1.959964
_CHUNK = 64


@dataclass(frozen=True, slots=True)
class Result:
    """What the service said about one picture."""

    image: str
    true_label: str
    predicted_label: str
    confidence: float
    """The probability of the predicted label, in [0, 1]."""
    model_revision: str

    @property
    def is_right(self) -> bool:
        """Whether it said what the picture shows."""
        return self.predicted_label == self.true_label


@dataclass(frozen=True, slots=True)
class Offline:
    """The same pictures, classified here."""

    right: int
    differ: int
    """Pictures that got another label here."""
    compared: int
    """Pictures that the service answered with the same revision."""
    largest_difference: float
    """Of the confidence, where the labels are the same."""


@dataclass(slots=True)
class Evaluation:
    """All answers."""

    results: list[Result] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """Pictures that the service could not read, with its reason."""
    failed: list[str] = field(default_factory=list)
    """Pictures that got no answer although they should, with the reason: the service's fault."""
    offline: Offline | None = None

    @property
    def right(self) -> int:
        """How many answers were right."""
        return sum(result.is_right for result in self.results)

    def write(self, path: Path) -> None:
        """Write the answers as a JSON list.

        Raises:
            SettingsError: the file cannot be written.
        """
        try:
            path.write_text(json.dumps([asdict(result) for result in self.results], indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise SettingsError(f"--out {path} cannot be written: {error.strerror}.") from None


def evaluate(service: Service, pictures: Iterable[Labelled], *, model: Model | None) -> Evaluation:
    """Send labelled pictures to a service, a few at a time, and compare its answers with labels and with a model here.

    Args:
        service: The running service; it must be healthy.
        pictures: What to send.
        model: The same model on this machine, to see whether serving changes its answers; None compares nothing.

    Raises:
        ServiceError: nothing was answered.
    """
    done, comparison = Evaluation(), _Comparison(model) if model else None
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        for chunk in _chunks(pictures):
            for picture, reply in zip(chunk, threads.map(lambda each: _ask(service, each), chunk), strict=True):
                _note(done, picture, reply, comparison)
    if not done.results:
        reasons = [*done.failed, *done.refused][:3]
        raise ServiceError(f"{service.url} answered for no picture: {'; '.join(reasons) or 'there were none'}.")
    done.offline = comparison.result() if comparison and comparison.compared else None
    return done


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share (E. B. Wilson, J. Am. Stat. Assoc. 22, 1927)."""
    share, z2 = hits / n, _Z**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


class _Comparison:
    """Counts where a model on this machine says something else."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.compared = self._right = self._differ = 0
        self._largest = 0.0

    def add(self, picture: Labelled, result: Result) -> None:
        """Classify one picture here, if the service answered with the same revision."""
        if result.model_revision != self._model.revision:
            return
        try:
            here = self._model.predict(decode_image(picture.data, limits=ImageLimits()))
        except ImageError:
            return  # the service has other limits
        self.compared += 1
        self._right += here.label == picture.label
        if here.label != result.predicted_label:
            self._differ += 1
        else:
            self._largest = max(self._largest, abs(here.confidence - result.confidence))

    def result(self) -> Offline:
        """What was counted."""
        return Offline(self._right, self._differ, self.compared, self._largest)


def _ask(service: Service, picture: Labelled) -> Reply | ServiceError:
    try:
        return service.predict(picture.data, name=Path(picture.name).name)
    except ServiceError as error:
        return error


def _note(done: Evaluation, picture: Labelled, reply: Reply | ServiceError, comparison: _Comparison | None) -> None:
    if isinstance(reply, ServiceError):
        done.failed.append(f"{picture.name}: {reply}")
    elif reply.status == codes.OK:
        body = reply.body
        result = Result(picture.name, picture.label, body["label"], body["confidence"], body["model_revision"])
        done.results.append(result)
        if comparison:
            comparison.add(picture, result)
    else:
        ours = reply.status in (codes.UNPROCESSABLE_ENTITY, codes.REQUEST_ENTITY_TOO_LARGE)
        (done.refused if ours else done.failed).append(f"{picture.name}: {reply.said}")


def _chunks(pictures: Iterable[Labelled]) -> Iterator[Sequence[Labelled]]:
    iterator = iter(pictures)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk
