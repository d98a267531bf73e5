"""Running a network over a source's pictures, preprocessed exactly as the model folder will say."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import nn

from catdog.model.metadata import Preprocessing
from catdog.model.preprocessing import preprocess
from train.data.examples import map_rows
from train.data.source import Row, Source

_BATCH = 64


def pixel_batches(
    source: Source,
    rows: Sequence[int],
    spec: Preprocessing,
    *,
    change: Callable[[Image.Image], Image.Image] | None = None,
) -> Iterator[torch.Tensor]:
    """Decode and crop pictures as serving does, each changed by `change` before.

    Yields:
        uint8 tensors of shape (up to 64, 3, side, side).
    """
    plain = spec.model_copy(update={"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)})

    def crop(_row: Row, image: Image.Image) -> npt.NDArray[np.uint8]:
        pixels: npt.NDArray[np.uint8] = np.rint(
            preprocess(image if change is None else change(image), plain) * 255.0
        ).astype(np.uint8)
        return pixels

    batch: list[npt.NDArray[np.uint8]] = []
    for pixels in map_rows(source, crop, rows):
        if isinstance(pixels, str):
            raise TypeError(f"a row that was readable no longer is: {pixels}")
        batch.append(pixels)
        if len(batch) == _BATCH:
            yield torch.from_numpy(np.stack(batch))
            batch = []
    if batch:
        yield torch.from_numpy(np.stack(batch))


def standardize(pixels: torch.Tensor, spec: Preprocessing) -> torch.Tensor:
    """From float (n, 3, side, side) in [0, 1] to the network's input, in the memory order that convolutions like."""
    mean = torch.tensor(spec.mean, device=pixels.device).view(1, 3, 1, 1)
    std = torch.tensor(spec.std, device=pixels.device).view(1, 3, 1, 1)
    return (pixels - mean).div_(std).contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def run(
    function: Callable[[torch.Tensor], torch.Tensor],
    batches: Iterable[torch.Tensor],
    spec: Preprocessing,
    *,
    device: torch.device,
) -> npt.NDArray[np.float32]:
    """Apply a network, or a part of it, to uint8 batches; returns its outputs, shape (n, outputs)."""
    outputs = (function(standardize(batch.to(device).to(torch.float32) / 255.0, spec)) for batch in batches)
    return np.concatenate([output.float().cpu().numpy() for output in outputs])


def pooled_features(network: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    """The network up to its last layer."""

    def features(pixels: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = network.forward_head(network.forward_features(pixels), pre_logits=True)  # type: ignore[operator]
        return result

    return features
