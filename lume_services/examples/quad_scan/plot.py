"""The picture of a scan: beam sizes with their fit, and three of the screen images."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray
    from PIL.Image import Image

COLORS = {"x": "tab:blue", "y": "tab:orange"}


def plot_scan(
    sizes: Mapping[str, Any],
    curves: Mapping[str, NDArray[np.float64]],
    images: NDArray[np.uint16],
    position: NDArray[np.float64],
    text: str,
) -> Image:
    """Draw a scan.

    Args:
        sizes: What `scan` measured.
        curves: The fit as `fitted_sizes` gives it.
        images: Screen images. Shape (n, pixels, pixels).
        position: Middle of each pixel in m. Shape (pixels,).
        text: Written beside the curves.
    """
    from matplotlib.figure import Figure
    from PIL import Image

    figure = Figure(figsize=(13, 8), dpi=110, layout="constrained")
    grid = figure.add_gridspec(2, 3, height_ratios=[1.2, 1])
    _draw_sizes(figure.add_subplot(grid[0, :2]), sizes, curves)
    words = figure.add_subplot(grid[0, 2])
    words.set_axis_off()
    words.text(0, 1, text, family="monospace", fontsize=8, va="top", in_layout=False)
    gradient = np.asarray(sizes["gradient"])
    for column, index in enumerate(np.linspace(0, len(gradient) - 1, 3).round().astype(int)):
        axes = figure.add_subplot(grid[1, column])
        _draw_image(axes, images[index], position)
        axes.set_title(f"{gradient[index]:.2f} T/m")
    file = BytesIO()
    figure.savefig(file, format="png")
    return Image.open(file)


def _draw_sizes(axes: Axes, sizes: Mapping[str, Any], curves: Mapping[str, NDArray[np.float64]]) -> None:
    for plane, color in COLORS.items():
        axes.plot(curves["gradient"], 1e6 * curves[f"size_{plane}"], color=color)
        axes.errorbar(
            sizes["gradient"],
            1e6 * np.array(sizes[f"size_{plane}"], dtype=float),
            1e6 * np.array(sizes[f"size_{plane}_error"], dtype=float),
            fmt="o",
            markersize=4,
            color=color,
            label=f"{plane}: measured, and fit",
        )
    axes.set_xlabel("quadrupole gradient (T/m)")
    axes.set_ylabel("RMS beam size on the screen (µm)")
    axes.set_ylim(bottom=0)
    axes.legend()


def _draw_image(axes: Axes, image: NDArray[np.uint16], position: NDArray[np.float64]) -> None:
    half_pixel = (position[1] - position[0]) / 2
    first, last = 1e3 * (position[0] - half_pixel), 1e3 * (position[-1] + half_pixel)
    axes.imshow(image, origin="lower", extent=(first, last, first, last), cmap="viridis")
    axes.set_xlabel("x (mm)")
    axes.set_ylabel("y (mm)")
