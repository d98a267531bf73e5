"""Old training pictures in the style of a reported one: its light, its colours and its sharpness, and a label to trust.

People report what is wrong, and seldom what is right. Of a new kind of picture, such as photos at night, one knows
therefore whom the model confuses, and not whom it still tells apart. Old pictures that look as if they were of that
kind fill the gap. Brightness is matched by quantiles and sharpness by the spectrum (Yang and Soatto 2020,
arXiv:2004.05498), colours by their means and deviations (Reinhard et al. 2001, "Color Transfer between Images").
"""

import numpy as np
import numpy.typing as npt
from PIL import Image

SIDE = 256
_MOST_GAIN = 4.0
"""A spectrum is not raised further: noise would drown the picture."""
_TINY = 1e-3

Plane = npt.NDArray[np.float32]


class Style:
    """How one picture looks, whatever it shows."""

    def __init__(self, image: Image.Image) -> None:
        luma, chroma = _planes(image)
        self._quantiles = np.sort(luma, axis=None)
        self._spectrum = _by_radius(np.abs(np.fft.rfft2(luma - luma.mean())))
        self._colours = chroma.mean(axis=(0, 1)), chroma.std(axis=(0, 1))

    def of(self, image: Image.Image) -> Image.Image:
        """Another picture in this style, as a square of `SIDE` pixels."""
        luma, chroma = _planes(image)
        luma = self._sharpened(self._lit(luma))
        mean, deviation = self._colours
        chroma = (chroma - chroma.mean(axis=(0, 1))) / (chroma.std(axis=(0, 1)) + _TINY) * deviation + mean
        levels = np.clip(np.dstack([luma, chroma]), 0, 255).astype(np.uint8)
        return Image.fromarray(levels, "YCbCr").convert("RGB")

    def _lit(self, luma: Plane) -> Plane:
        """Each pixel keeps its rank and takes the level that this rank has in the style."""
        lit = np.empty(luma.size, dtype=np.float32)
        lit[np.argsort(luma, axis=None, kind="stable")] = self._quantiles
        return lit.reshape(luma.shape)

    def _sharpened(self, luma: Plane) -> Plane:
        mean = luma.mean()
        waves = np.fft.rfft2(luma - mean)
        gain = self._spectrum / np.maximum(_by_radius(np.abs(waves)), _TINY)
        sharpened: Plane = np.fft.irfft2(waves * np.clip(gain, 0, _MOST_GAIN)[_RADIUS], s=luma.shape) + mean
        return sharpened


def _planes(image: Image.Image) -> tuple[Plane, Plane]:
    """Luma (side, side) and chroma (side, side, 2), from 0 to 255."""
    square = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR).convert("YCbCr")
    planes = np.asarray(square).astype(np.float32)
    return planes[..., 0], planes[..., 1:]


def _radii() -> npt.NDArray[np.int64]:
    """Shape (side, side // 2 + 1): the frequency at each place of a real Fourier transform, in waves per picture."""
    radius = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None])
    whole: npt.NDArray[np.int64] = np.minimum((radius * SIDE).astype(np.int64), SIDE // 2)
    return whole


_RADIUS = _radii()
_COUNTS = np.bincount(_RADIUS.ravel())


def _by_radius(amplitudes: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """The mean amplitude at each frequency."""
    means: npt.NDArray[np.float64] = np.bincount(_RADIUS.ravel(), weights=amplitudes.ravel()) / _COUNTS
    return means
