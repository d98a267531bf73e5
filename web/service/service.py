"""The service behind page and API: classify a picture, and store a person's correction."""

import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from tempfile import SpooledTemporaryFile

from PIL import Image

from catdog.errors import (
    BusyError,
    CatdogError,
    FeedbackError,
    ModelError,
    UnknownRequestError,
    UnreadableImageError,
    UrlNotImageError,
)
from catdog.hub.models import LoadedModel
from catdog.images.decode import DECODED_SIDE, decoded_side, to_jpeg
from catdog.model.drift import DriftMonitor
from catdog.model.metadata import UNSURE
from catdog.model.model import Model, Prediction, Seen
from feedback.hub.delivery import Delivery
from feedback.hub.sync import SyncState
from feedback.journal.journal import Journal, Pending
from feedback.row import AUDIT, RowStatus, Source, new_row
from feedback.stats import Stats
from web.metrics.gauges import Load
from web.metrics.metrics import Metrics
from web.service.cached import Cached
from web.service.fair_queue import FairQueue, FairWorkers
from web.service.fetch import ImageFetcher, not_a_picture
from web.service.heatmap import overlay
from web.service.lanes import Decoded, PictureLanes, Reader, whole
from web.service.predictions import RecentPredictions
from web.service.sample import RandomSample
from web.service.shadow import Shadow

log = logging.getLogger(__name__)

_FETCHED_IN_MEMORY_BYTES = 1_000_000  # what is larger waits on the disk, as uploads do
_STATS_KEPT_S = 60.0
_PENDING_KEPT_S = 1.0
_KEPT_QUALITY = 95  # a stored row compresses once more


@dataclass(frozen=True, slots=True)
class Answer:
    """The prediction for one picture."""

    request_id: str
    prediction: Prediction
    latency_ms: float
    """From the complete picture to the prediction, waiting included."""
    preview: bytes | None = None
    """The picture as an upright JPEG of at most 512 pixels, if requested."""
    audit_receipt: str | None = None
    """The secret that deletes the copy in the audit sample, if there is one."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """A prediction that may still be corrected."""

    prediction: Prediction
    picture: bytes
    source: Source


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why the model predicted this label."""

    label: str
    """The most probable label."""
    layer: Image.Image
    """A transparent picture of the photo's shape, brighter where it counts more; see `web.service.heatmap`."""


@dataclass(frozen=True, slots=True)
class Correction:
    """A stored correction."""

    id: str
    receipt: str | None
    """The secret that deletes it, handed out once."""
    created: bool
    """False if the same correction was already there."""
    request_id: str
    status: RowStatus
    """Whether it is saved, or received and on its way."""


class Service:
    """Classifies and corrects. Its methods never block the event loop."""

    def __init__(  # noqa: PLR0913 - the parts come in from outside
        self,
        live: LoadedModel | None,
        *,
        journal: Journal,
        delivery: Delivery,
        recent: RecentPredictions[Remembered],
        metrics: Metrics,
        fetcher: ImageFetcher,
        fetches: FairQueue,
        hash_client: Callable[[str], str],
        corrections_per_day: int,
        sample: RandomSample,
        pictures: PictureLanes,
        disk: FairWorkers,
        shadow: Shadow | None = None,
    ) -> None:
        """Put the parts together.

        Args:
            live: The first model; with None, every request fails with `no_model` until `swap` brings one.
            journal: Stores corrections.
            delivery: Sends them on.
            recent: Predictions that may still be corrected.
            metrics: Counts what happens.
            fetcher: Gets images by URL.
            fetches: How many of them at a time.
            hash_client: From a client's address to the hint that is stored.
            corrections_per_day: How many of one client are stored within 24 hours, so that nobody shapes the next
                model alone.
            sample: Chooses pictures to keep for measuring how often the model is right.
            pictures: Where they are decoded and classified.
            disk: Threads for the journal.
            shadow: Has a challenger score pictures, too; None has none.
        """
        self._live: LoadedModel | None = None
        self.live_since = datetime.now(UTC)
        self.drift: DriftMonitor | None = None
        """Compares incoming pictures with the live model's test set; frames of a camera, which are all alike, are left
        out."""
        self._journal = journal
        self._delivery = delivery
        self._recent = recent
        self._metrics = metrics
        self._fetcher = fetcher
        self._fetches = fetches
        self._hash_client = hash_client
        self._corrections_per_day = corrections_per_day
        self._sample = sample
        self._pictures = pictures
        self._disk = disk
        self._shadow = shadow
        self._stats = Cached(journal.stats, max_age_s=_STATS_KEPT_S)
        self._pending = Cached(journal.pending, max_age_s=_PENDING_KEPT_S)
        if live:
            self.swap(live)

    @property
    def live(self) -> LoadedModel:
        """The live model. Read it once per request: it may be another one a moment later.

        Raises:
            ModelError: there is none yet.
        """
        if self._live is None:
            raise ModelError("No model is ready yet. Try again in a minute.")
        return self._live

    def swap(self, loaded: LoadedModel) -> None:
        """Make another model live from the next request on; requests in flight finish on theirs."""
        model = loaded.model
        self.drift = DriftMonitor(model.metadata, model.revision)
        self._live, self.live_since = loaded, datetime.now(UTC)
        self._metrics.model_is_live(
            model_id=model.model_id, revision=model.revision, origin=loaded.origin, drift=self.drift
        )

    def prepare(self) -> None:
        """Begin to count what is there, so that nobody waits for it who asks later; called in the event loop."""
        for each in (self._pending, self._stats):
            each.warm_up()

    @property
    def audits(self) -> bool:
        """Whether a random sample of the pictures is kept, if their senders consent."""
        return self._sample.is_open

    async def classify(
        self, read: Reader, source: Source, *, client: str = "", preview: bool = False, consents: bool = False
    ) -> Answer:
        """Classify one picture and remember the prediction for a correction.

        With the sender's consent it may be kept for the random sample; see `feedback.review.audit`.
        Clients take turns; see `FairQueue`.

        Raises:
            ImageError: the picture cannot be read or is too large.
            ModelError: no model is live.
            BusyError: too much work is waiting.
        """
        model = self.live.model
        work = partial(self._classify, model, source, preview, time.perf_counter())
        answer = await self._pictures.run(client, read, _side(model), work)
        if consents and self._sample.chooses():
            return replace(answer, audit_receipt=await self._keep_for_audit(answer.request_id))
        return answer

    async def classify_frame(self, data: bytes, *, client: str = "") -> Prediction:
        """Classify one frame of a camera; nothing is stored.

        Raises:
            ImageError, ModelError, BusyError: see `classify`.
        """
        model = self.live.model
        return await self._pictures.run(
            client, lambda: data, _side(model), partial(self._glance, model, time.perf_counter())
        )

    async def explain(self, request_id: str, *, client: str = "") -> Explanation:
        """Draw which areas of a picture count towards the predicted label.

        Raises:
            UnknownRequestError: this server does not remember the prediction, or another model made it.
            ModelError: the model does not explain.
            BusyError: too much work is waiting.
        """
        remembered = self._recent.get(request_id)
        if remembered is None:
            raise UnknownRequestError("This photo is no longer here. Choose it again, then ask why.")
        model, prediction = self.live.model, remembered.prediction
        if prediction.model_revision != model.revision:
            raise UnknownRequestError("Another model is live now. Choose the photo again, then ask why.")
        work = partial(_explain, model, prediction.label)
        return await self._pictures.run(client, lambda: remembered.picture, DECODED_SIDE, work)

    async def classify_url(
        self, url: str, *, client: str = "", preview: bool = False, consents: bool = False
    ) -> Answer:
        """Fetch a picture and classify it.

        Raises:
            UrlError, ImageTooLargeError: nothing usable is at this address; see `ImageFetcher.fetch`.
            ModelError, BusyError: see `classify`.
        """
        async with self._fetches.place(client):
            with SpooledTemporaryFile(max_size=_FETCHED_IN_MEMORY_BYTES) as file:
                with self._metrics.stage("fetch"):
                    await self._fetcher.fetch(url, file)
                try:
                    return await self.classify(
                        whole(file), Source.URL, client=client, preview=preview, consents=consents
                    )
                except UnreadableImageError:
                    raise UrlNotImageError(not_a_picture(whole(file)(), url)) from None

    async def correct(self, request_id: str, label: str, *, client: str, key: str | None = None) -> Correction:
        """Store a person's correction of a prediction. Repeating it changes nothing; another label replaces it.

        Args:
            request_id: Of the prediction.
            label: A label of the model that made it, `neither` or `unsure`. The predicted one confirms.
            client: The client's address; only a hash of it is stored.
            key: An idempotency key: repeating one adds nothing.

        Raises:
            UnknownRequestError: this server does not remember the prediction.
            UnknownLabelError: it is none of these labels.
            RateLimitedError: the client has used up its allowance of the day.
            FeedbackError: it could not be stored.
        """
        remembered = self._recent.get(request_id)
        if remembered is None:
            raise UnknownRequestError("This prediction has expired. Send the picture again with its label.")
        try:
            return await self._disk.run(client, partial(self._keep, request_id, remembered, label, client, key))
        except CatdogError as error:
            self._metrics.not_kept(error.code)
            raise
        finally:
            self._pending.expire()

    async def correct_picture(
        self, read: Reader, label: str, *, source: Source, client: str, key: str | None = None
    ) -> Correction:
        """Store a person's label for a picture, which is classified first.

        Raises:
            CatdogError: see `classify` and `correct`.
        """
        answer = await self.classify(read, source, client=client)
        return await self.correct(answer.request_id, label, client=client, key=key)

    async def feedback_status(self, row_id: str) -> RowStatus | None:
        """Where a row is; None if there is none."""
        return await self._disk.run("", partial(self._delivery.status, row_id))

    async def stats(self) -> Stats:
        """Counts of corrections; read at most once a minute, since that reads every row."""
        return await self._stats.get()

    def loads(self) -> dict[str, Load]:
        """How busy each queue is."""
        return {**self._pictures.loads(), "disk": self._disk.load(), "fetches": self._fetches.load()}

    def save_problem(self) -> str | None:
        """Why corrections can't be saved; None if they can, as far as is known."""
        return self._journal.problem

    async def pending(self) -> Pending:
        """How much feedback only this machine has; at most a second old, and it waits for nothing."""
        return await self._pending.get()

    @property
    def confirms_late(self) -> bool:
        """Whether a correction is first received, and saved some seconds later."""
        return self._delivery.confirms_late

    def sync_state(self) -> SyncState | None:
        """The state of sending feedback to the Hub; None where none is sent."""
        return self._delivery.state()

    async def take_back(self, receipt: str) -> bool:
        """Delete a correction; False if there never was one with this receipt."""
        try:
            return await self._disk.run("", partial(self._journal.delete, receipt))
        finally:
            self._pending.expire()

    def _classify(self, model: Model, source: Source, preview: bool, asked_at: float, decoded: Decoded) -> Answer:
        image, as_sent = decoded.image, decoded.as_sent
        seen = self._look(model, image)
        prediction, seconds = seen.prediction, time.perf_counter() - asked_at
        jpeg = to_jpeg(image, quality=_KEPT_QUALITY) if preview or not as_sent else b""
        if self.drift:
            self.drift.observe(seen)
        request_id = uuid.uuid4().hex
        self._remember(request_id, Remembered(prediction, as_sent or jpeg, source))
        if self._shadow:
            self._shadow.offer(request_id, seen)
        self._metrics.predicted(prediction, source=source, seconds=seconds)
        _log_prediction(request_id, prediction, source, 1000 * seconds)
        return Answer(request_id, prediction, 1000 * seconds, jpeg if preview else None)

    def _look(self, model: Model, image: Image.Image) -> Seen:
        with self._metrics.stage("predict"):
            return model.look(image)

    def _glance(self, model: Model, asked_at: float, decoded: Decoded) -> Prediction:
        prediction = self._look(model, decoded.image).prediction
        self._metrics.predicted(prediction, source=Source.WEBCAM, seconds=time.perf_counter() - asked_at)
        return prediction

    def _remember(self, request_id: str, remembered: Remembered) -> None:
        self._recent.put(request_id, remembered, size=len(remembered.picture))

    def _keep(self, request_id: str, remembered: Remembered, label: str, client: str, key: str | None) -> Correction:
        with self._pictures.decoded(lambda: remembered.picture, side=DECODED_SIDE) as decoded:
            row = new_row(
                prediction=remembered.prediction,
                picture=decoded.image,
                corrected_label=label,
                request_id=request_id,
                source=remembered.source,
                client=self._hash_client(client),
                extra=self._shadow.facts(request_id) if self._shadow else None,
            )
        with self._metrics.stage("save"):
            saved = self._journal.append(row, idempotency_key=key, per_day=self._corrections_per_day)
        if saved.created:
            self._metrics.corrected(confirmation=row.is_confirmation)
            fields = {"request_id": request_id, "row_id": saved.id, "label": label}
            log.info("%s: %s is stored as row %s", request_id, label, saved.id, extra=fields)
        status = self._delivery.acknowledge(saved.id)
        return Correction(saved.id, saved.receipt, saved.created, request_id, status)

    async def _keep_for_audit(self, request_id: str) -> str | None:
        """Add a picture to the random sample; returns its receipt. The prediction must not fail because of it."""
        remembered = self._recent.get(request_id)
        if remembered is None:
            return None
        try:
            return await self._disk.run("", partial(self._audit_row, remembered))
        except (FeedbackError, BusyError) as error:
            log.warning("A picture of the random sample was not stored: %s", error)
            return None

    def _audit_row(self, remembered: Remembered) -> str | None:
        """A row without a client, with a request of its own: no person's correction takes its place."""
        with self._pictures.decoded(lambda: remembered.picture, side=DECODED_SIDE) as decoded:
            row = new_row(
                prediction=remembered.prediction,
                picture=decoded.image,
                corrected_label=UNSURE,
                request_id=uuid.uuid4().hex,
                source=remembered.source,
                client="",
                extra={AUDIT: True},
            )
        return self._journal.append(row).receipt


def _explain(model: Model, label: str, decoded: Decoded) -> Explanation:
    heat = model.explain(decoded.image)[model.labels.index(label)]
    return Explanation(label, overlay(heat, decoded.image.size, model.metadata.preprocessing))


def _side(model: Model) -> int:
    return decoded_side(model.metadata.preprocessing)


def _log_prediction(request_id: str, prediction: Prediction, source: Source, latency_ms: float) -> None:
    """Neither the picture nor who sent it."""
    fields = {
        "request_id": request_id,
        "label": prediction.label,
        "verdict": prediction.verdict,
        "confidence": round(prediction.confidence, 4),
        "latency_ms": round(latency_ms, 2),
        "source": source.value,
        "model_revision": prediction.model_revision,
    }
    log.info("%s: %s %.3f, %.1f ms", request_id, prediction.label, prediction.confidence, latency_ms, extra=fields)
