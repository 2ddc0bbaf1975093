"""A sheet of distorted samples in the terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.text import Text

from jitnet.render.console import FAINT, facts
from jitnet.render.drawing import GAP, PAGE, common_crop, draw, pictures

if TYPE_CHECKING:
    from jitnet.config import AugmentConfig

__all__ = ["distortions", "sheet"]


def distortions(console: Console, config: "AugmentConfig") -> None:
    """Which distortions are on, and how strong."""
    plus_minus = "+-" if console.options.ascii_only else "±"
    pairs = [
        ("shift", f"{plus_minus}{config.shift:g} pixels along each axis", config.shift),
        ("rotation", f"{plus_minus}{config.rotation:g} degrees", config.rotation),
        ("scaling", f"{plus_minus}{config.scaling:.3g} of the size along each axis", config.scaling),
        ("shear", f"{plus_minus}{config.shear:g} degrees", config.shear),
        ("elastic", f"{config.elastic:g} pixels, smoothed over {config.elastic_sigma:g}", config.elastic),
    ]
    facts(console, [(name, text) for name, text, strength in pairs if strength])


def sheet(console: Console, samples: npt.NDArray[np.uint8], captions: Sequence[str]) -> None:
    """Draw each sample in a row of its own: the original with its caption, then as many distortions as fit.

    samples: uint8 of (n, 1 + distortions, height, width), the original first, then what epochs 1, 2, … see.
    captions: one a sample.
    """
    room = min(console.width, PAGE)
    for row, caption in zip(samples, captions, strict=True):
        width = draw(console, common_crop(list(row))[0])[0].cell_len
        shown = list(row[: max(2, (room + GAP) // (width + GAP))])
        console.print()
        pictures(console, shown, [caption] + [f"epoch {number}" for number in range(1, len(shown))])
    if samples.shape[1] > 2:
        console.print()
        note = f"each sample as {samples.shape[1] - 1} epochs would see it; a row shows as many as fit"
        console.print(Text(note, style=FAINT))
