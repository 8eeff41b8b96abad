"""The screen: a camera that takes an image of the beam, and the beam sizes measured from the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SATURATION = np.iinfo(np.uint16).max
BOX = 5.0
"""Half the width of the measured part of an image, in RMS beam sizes; a Gaussian has 6e-7 outside."""


class Size(NamedTuple):
    """The RMS beam size in one plane.

    Attributes:
        rms: Size in m.
        error: Its standard uncertainty in m.
    """

    rms: float
    error: float


@dataclass(frozen=True)
class Camera:
    """A square camera whose pixels count photo-electrons, so that their noise is that of Poisson.

    Attributes:
        pixel_size: Width of one pixel on the screen in m.
        pixels: Pixels along one side.
        blur: RMS width of the image of a point, in pixels.
        light_yield: Photo-electrons per pC of beam.
        background: Mean photo-electrons in a pixel without beam.
    """

    pixel_size: float
    pixels: int = 480
    blur: float = 1.0
    light_yield: float = 4000.0
    background: float = 20.0

    @classmethod
    def seeing(cls, rms: float) -> Camera:
        """Return a camera zoomed to a beam of this RMS size in m, counted from the middle of the screen."""
        # One size more on each side than is measured leaves pixels without beam for the background.
        return cls(pixel_size=2 * (BOX + 1) * rms / cls.pixels)

    @property
    def position(self) -> NDArray[np.float64]:
        """Middle of each pixel on the screen in m. Shape (pixels,)."""
        half = (self.pixels - 1) / 2
        return self.pixel_size * np.linspace(-half, half, self.pixels)

    def expose(
        self,
        x: NDArray[np.float64],
        y: NDArray[np.float64],
        weight: NDArray[np.float64],
        rng: np.random.Generator,
    ) -> NDArray[np.uint16]:
        """Take one image.

        Args:
            x: Positions of the particles in m; 0 is the middle of the image. Shape (n,).
            y: The same in the vertical plane. Shape (n,).
            weight: Charge of each particle in C. Shape (n,).
            rng: The source of the noise.

        Returns:
            Photo-electrons in each pixel; rows are y, columns x. Shape (pixels, pixels).
        """
        from scipy.ndimage import gaussian_filter

        column = np.floor(x / self.pixel_size + self.pixels / 2).astype(np.intp)
        row = np.floor(y / self.pixel_size + self.pixels / 2).astype(np.intp)
        seen = (column >= 0) & (column < self.pixels) & (row >= 0) & (row < self.pixels)
        charge = np.bincount(
            row[seen] * self.pixels + column[seen], weight[seen], minlength=self.pixels**2
        ).reshape(self.pixels, self.pixels)
        light = gaussian_filter(charge * (1e12 * self.light_yield), self.blur, mode="constant")
        counts: NDArray[np.int64] = rng.poisson(light + self.background)
        return np.minimum(counts, SATURATION).astype(np.uint16)

    def measure(self, image: NDArray[np.uint16]) -> tuple[Size | None, Size | None]:
        """Measure the RMS beam sizes.

        The second moment is taken inside a box around the beam, without a threshold, after subtracting the
        mean of all pixels outside. Then the known shares of pixel width and blur are removed in quadrature.
        The uncertainty is propagated from the counting noise of each pixel and of the background.

        Args:
            image: Photo-electrons in each pixel. Shape (pixels, pixels).

        Returns:
            The sizes in x and in y, or None where the image does not show the whole beam.
        """
        box = self._box(image)
        if box is None or image.max() == SATURATION:
            return None, None
        inside = image[box].astype(np.float64)
        outside = image.size - inside.size
        background = (image.sum(dtype=np.float64) - inside.sum()) / outside
        return (
            self._size(inside, background, np.sqrt(background / outside)),
            self._size(inside.T, background, np.sqrt(background / outside)),
        )

    def _box(self, image: NDArray[np.uint16]) -> tuple[slice, slice] | None:
        """Find the rows and columns of the beam, or None where it is not wholly in the image."""
        level = np.median(image)
        light = np.where(image > level + 5 * np.sqrt(level), image - level, 0.0)
        box = None
        for _ in range(20):
            rows, columns = _around(light.sum(axis=1)), _around(light.sum(axis=0))
            if rows is None or columns is None:
                return None
            if box == (rows, columns):
                break
            box = rows, columns
            inside = image[box].sum(dtype=np.float64)
            outside = image.sum(dtype=np.float64) - inside
            light = np.zeros(image.shape)
            light[box] = image[box] - outside / (image.size - light[box].size)
        return box

    def _size(self, counts: NDArray[np.float64], background: float, background_error: float) -> Size | None:
        """Measure the size along the columns of the boxed counts; the background is that of one pixel."""
        rows, columns = counts.shape
        profile = counts.sum(axis=0)
        signal = profile - rows * background
        position = np.arange(columns)
        centre = np.average(position, weights=signal)
        variance = np.average((position - centre) ** 2, weights=signal)
        sensitivity = ((position - centre) ** 2 - variance) / signal.sum()
        error = np.hypot(
            np.sqrt(np.sum(profile * sensitivity**2)), background_error * rows * sensitivity.sum()
        )
        variance -= 1 / 12 + self.blur**2
        if variance <= 0:
            return None
        rms = float(np.sqrt(variance))
        return Size(self.pixel_size * rms, self.pixel_size * float(error) / (2 * rms))


def _around(profile: NDArray[np.float64]) -> slice | None:
    """Return the pixels within `BOX` RMS sizes of the profile's centre, or None if they reach the edge."""
    if profile.sum() <= 0:
        return None
    position = np.arange(profile.size)
    centre = np.average(position, weights=profile)
    variance = np.average((position - centre) ** 2, weights=profile)
    # A spot of one bright pixel has no width; half a pixel keeps its box open.
    half = BOX * np.sqrt(max(variance, 0.25))
    first, last = int(np.floor(centre - half)), int(np.ceil(centre + half))
    return slice(first, last + 1) if first > 0 and last < profile.size - 1 else None
