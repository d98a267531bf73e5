"""Distillation: a larger frozen network judges the very view of a picture that the student sees.

Hinton et al. 2015 (arXiv:1503.02531); the same view and a long schedule are from Beyer et al. 2022 (arXiv:2106.05237).
The teacher's pooled features are computed once for each of a few fixed views of every picture, in the background, and
kept in files, so that an interrupted run goes on with them. Its outputs are linear in these features.
"""

import train.network.torchvision_operators  # noqa: F401 - must come before timm and torchvision

# isort: split
import hashlib
import json
import logging
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import timm
import torch
from torch import nn
from torch.nn import functional
from tqdm import tqdm

from catdog.errors import DataError, SettingsError
from catdog.files import replacing
from catdog.model.metadata import WEIGHTS_FILE, Preprocessing, hash_file, load_metadata, verify_file
from train.network.augment import draw_views, resample
from train.network.create import classifier, create_network, output_count, preprocessing
from train.network.export import PIXELS, export_onnx
from train.network.inference import pooled_features, standardize
from train.network.probe import Linear, fit_linear
from train.options import Augmentation, Distillation

Features = npt.NDArray[np.float32]
_BATCH = 32
_STRENGTHS = (0.001,)
NO_LABEL = -1
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Lesson:
    """What one epoch learns from: one view of every training picture, and what the teacher says of it."""

    theta: torch.Tensor
    """Shape (pictures, 2, 3): the views, see `resample`."""
    features: npt.NDArray[np.float16]
    """Shape (pictures, width): the teacher's pooled features."""
    labels: Linear
    """From these to the labels' logits."""
    classes: nn.Linear | None
    """From these to the teacher's own classes; None if it has none but the labels."""
    trusted: torch.Tensor
    """Shape (pictures,), 0 or 1: whether the label counts."""
    share: float
    """The teacher's share of the target."""
    classes_weight: float
    """Of the loss on the teacher's own classes."""

    def loss(
        self, indices: torch.Tensor, logits: torch.Tensor, own: torch.Tensor | None, labels: torch.Tensor
    ) -> torch.Tensor:
        """Cross-entropy to the blend of the teacher's probabilities and the labels, and to the teacher's own classes.

        Args:
            indices: Shape (n,): positions among the training pictures.
            logits: Shape (n, labels), the student's.
            own: Shape (n, classes), the student's.
            labels: Shape (n,); `NO_LABEL` where there is none.
        """
        features = torch.from_numpy(self.features[indices.numpy()]).to(torch.float32)
        soft = torch.from_numpy(self.labels.logits(features.numpy())).softmax(dim=1)
        hard = functional.one_hot(labels.clamp(min=0), logits.shape[1]).to(torch.float32)
        share = 1 - (1 - self.share) * self.trusted[indices, None]
        loss = functional.cross_entropy(logits, share * soft + (1 - share) * hard)
        if own is None or self.classes is None:
            return loss
        with torch.no_grad():
            wanted = self.classes(features).softmax(dim=1)
        gap = functional.kl_div(own.log_softmax(dim=1), wanted, reduction="batchmean")
        return loss + self.classes_weight * gap


class Student(nn.Module):
    """A network with a second head for the teacher's own classes, which only training sees."""

    def __init__(self, network: nn.Module, own: nn.Linear | None) -> None:
        super().__init__()
        self.network = network
        self.own = own

    def get_classifier(self) -> nn.Linear:
        """The labels' head."""
        return classifier(self.network)

    def forward(self, pixels: torch.Tensor) -> Any:
        """Shape (n, labels); in training also (n, classes) or None."""
        features = pooled_features(self.network)(pixels)
        logits = classifier(self.network)(features)
        if not self.training:
            return logits
        return logits, None if self.own is None else self.own(features)


class Teacher:
    """The frozen network, run by ONNX Runtime on one thread at a time: much faster than torch on a CPU."""

    def __init__(self, how: Distillation, folder: Path) -> None:
        """Read the weights and export what comes before the last layer.

        Args:
            how: Which network.
            folder: For its ONNX file, and the features that are computed.

        Raises:
            SettingsError, ModelError, HubError: see `create_network`.
        """
        network = create_network(
            how.architecture, labels=output_count(how.teacher), init=how.teacher, option="--teacher"
        ).eval()
        classifier(network)  # says so if there is no last layer to replace
        self.how = how
        self.folder = folder
        self.spec: Preprocessing = preprocessing(network, input_size=how.side, crop_pct=1.0)
        self.classes = classifier(network).requires_grad_(False)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "teacher.onnx"
        export_onnx(_Body(network), path, shape=(3, how.side, how.side), outputs=("features",))
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    @property
    def identity(self) -> list[str | int]:
        """What its features depend on, beside the pictures."""
        weights = Path(self.how.teacher)
        digest = hash_file(weights) if weights.is_file() else self.how.teacher
        return [digest, self.how.architecture, self.how.side]

    def features(self, pixels: torch.Tensor) -> Features:
        """Shape (n, width), from (n, 3, side, side) in [0, 1]."""
        ready = standardize(pixels, self.spec).contiguous(memory_format=torch.contiguous_format)
        result: Features = self._session.run(["features"], {PIXELS: ready.numpy()})[0]
        return result


class _Body(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return pooled_features(self.network)(pixels)


@dataclass(frozen=True, slots=True)
class Pictures:
    """The training pictures, n of them."""

    squares: npt.NDArray[np.uint8]
    """Shape (all, 3, side, side)."""
    aspects: npt.NDArray[np.float32]
    """Shape (all,)."""
    labels: npt.NDArray[np.int64]
    """Shape (all,); `NO_LABEL` where there is none."""
    members: npt.NDArray[np.int64]
    """Shape (n,): which of all."""


class Lessons:
    """The teacher's features of every view, computed when first wanted; the next view's in the background."""

    def __init__(  # noqa: PLR0913, PLR0917 - each is one thing
        self, teacher: Teacher, pictures: Pictures, how: Augmentation, seed: int, epochs: int, key: str
    ) -> None:
        self._teacher = teacher
        self._pictures = pictures
        self._how = how
        self._seed = seed
        self._epochs = epochs
        self._wanted = min(epochs, teacher.how.views)
        self._key = json.dumps([key, seed, asdict(how), teacher.identity])
        self._background = ThreadPoolExecutor(1, thread_name_prefix="teacher")
        self._next: dict[int, Future[npt.NDArray[np.float16]]] = {}
        self._linear: Linear | None = None
        self._trusted = torch.ones(len(pictures.members))
        self._own = None if teacher.classes.out_features == int(pictures.labels.max()) + 1 else teacher.classes

    @property
    def distrusted(self) -> npt.NDArray[np.int64]:
        """Which of all pictures have a label that the teacher rules out."""
        self._start()
        members: npt.NDArray[np.int64] = self._pictures.members[(self._trusted == 0).numpy()]
        labelled: npt.NDArray[np.int64] = members[self._pictures.labels[members] != NO_LABEL]
        return labelled

    def lesson(self, epoch: int) -> Lesson:
        """What `epoch`, counted from 0, learns from; waits for the teacher."""
        self._start()
        view = epoch % self._wanted
        features = self._view(view)
        if view + 1 < self._wanted:
            self._prepare(view + 1)
        if self._linear is None:
            raise DataError("The teacher has no head.")
        how = self._teacher.how
        weight = how.classes_weight * (1 - epoch / self._epochs)
        return Lesson(self._theta(view), features, self._linear, self._own, self._trusted, how.share, weight)

    def close(self) -> None:
        """Stop the background work."""
        self._background.shutdown(wait=False, cancel_futures=True)

    def _start(self) -> None:
        """Fit the teacher's head on the first view, and find the labels that it rules out."""
        if self._linear is not None:
            return
        features = self._view(0).astype(np.float32)
        given = self._pictures.labels[self._pictures.members]
        labelled = np.flatnonzero(given != NO_LABEL)
        features, labels = features[labelled], given[labelled]
        self._linear = fit_linear((features, labels), (features, labels), strengths=_STRENGTHS)
        logits = torch.from_numpy(self._linear.logits(features))
        likely = logits.softmax(dim=1)[torch.arange(len(labels)), torch.from_numpy(labels)]
        self._trusted = torch.zeros(len(given))
        self._trusted[labelled] = (likely >= self._teacher.how.doubt).to(torch.float32)
        wrong = len(labelled) - int(self._trusted.sum())
        _log.info("teacher: right on %.4f of the training views, rules out %d labels",
                  float((logits.argmax(dim=1).numpy() == labels).mean()), wrong)  # fmt: skip

    def _theta(self, view: int) -> torch.Tensor:
        members = self._pictures.members
        generator = torch.Generator().manual_seed(7_919 * self._seed + 104_729 * view + 11)
        return draw_views(torch.from_numpy(self._pictures.aspects[members]), self._how, generator)

    def _path(self, view: int) -> Path:
        digest = hashlib.sha256(f"{self._key} {view}".encode()).hexdigest()[:16]
        return self._teacher.folder / f"view-{view}-{digest}.npy"

    def _view(self, view: int) -> npt.NDArray[np.float16]:
        if self._path(view).is_file():
            stored: npt.NDArray[np.float16] = np.load(self._path(view), allow_pickle=False)
            return stored
        if view in self._next:
            return self._next.pop(view).result()
        return self._compute(view, os.cpu_count() or 1)

    def _prepare(self, view: int) -> None:
        if view not in self._next and not self._path(view).is_file():
            self._next[view] = self._background.submit(self._compute, view, 1)

    def _compute(self, view: int, threads: int) -> npt.NDArray[np.float16]:
        theta = self._theta(view)
        with ThreadPoolExecutor(threads) as pool:
            parts = list(
                tqdm(
                    pool.map(lambda part: self._features(part, theta), self._parts()),
                    total=-(-len(theta) // _BATCH),
                    desc=f"teacher, view {view + 1}",
                    unit="batch",
                    disable=threads == 1,
                )
            )
        features = np.concatenate(parts)
        with replacing(self._path(view)) as draft, draft.open("wb") as file:
            np.save(file, features)
        _log.info("teacher: view %d of %d is ready", view + 1, self._wanted)
        return features

    def _parts(self) -> Iterator[slice]:
        return (slice(start, start + _BATCH) for start in range(0, len(self._pictures.members), _BATCH))

    def _features(self, part: slice, theta: torch.Tensor) -> npt.NDArray[np.float16]:
        squares = torch.from_numpy(self._pictures.squares[self._pictures.members[part]])
        with torch.inference_mode():
            pixels = resample(squares, theta[part], side=self._teacher.how.side)
            return self._teacher.features(pixels).astype(np.float16)


def create_student(network: nn.Module, init: str, teacher: Teacher, labels: int) -> Student:
    """The network with a head for the teacher's own classes: that of its own starting weights, where these have one.

    Raises:
        SettingsError, ModelError, HubError: see `create_network`.
    """
    count = teacher.classes.out_features
    if count == labels:
        return Student(network, None)
    own = nn.Linear(classifier(network).in_features, count)
    if output_count(init) == count:
        name = str(network.pretrained_cfg["architecture"])  # type: ignore[index]
        own.load_state_dict(classifier(create_network(name, labels=count, init=init)).state_dict())
    return Student(network, own)


def open_teacher(how: Distillation) -> Distillation:
    """Look at what can be seen before the pictures are read; a finished run becomes its weights and architecture.

    Raises:
        SettingsError: there is no such file, or timm has no such architecture.
        ModelError: the folder holds no model, or it is damaged.
    """
    path = Path(how.teacher)
    if path.is_dir():
        metadata = load_metadata(path)
        verify_file(path, metadata, WEIGHTS_FILE)
        return replace(how, teacher=str(path / WEIGHTS_FILE), architecture=metadata.architecture)
    if how.teacher.endswith(".safetensors"):
        if not path.is_file():
            raise SettingsError(f"--teacher {path}: there is no such file. Name its weights, a run, or timm/NAME.")
        if not timm.is_model(how.architecture):
            raise SettingsError(f"--teacher-arch {how.architecture}: timm has no such network. Name the teacher's own.")
    return how
