"""A sheet of distorted samples in the terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from rich.console import Console

from jitnet.render.console import FAINT, facts, say
from jitnet.render.drawing import first_pictures

if TYPE_CHECKING:
    from jitnet.config import AugmentConfig

__all__ = ["distortions", "sheet"]


def distortions(console: Console, config: "AugmentConfig") -> None:
    """Which distortions are on, and how strong."""
    pairs = [
        ("shift", f"±{config.shift:g} pixels along each axis", config.shift),
        ("rotation", f"±{config.rotation:g} degrees", config.rotation),
        ("scaling", f"±{config.scaling:.3g} of the size along each axis", config.scaling),
        ("shear", f"±{config.shear:g} degrees", config.shear),
        ("elastic", f"{config.elastic:g} pixels, smoothed over {config.elastic_sigma:g}", config.elastic),
    ]
    facts(console, [(name, text) for name, text, strength in pairs if strength])


def sheet(console: Console, samples: npt.NDArray[np.uint8], captions: Sequence[str]) -> None:
    """Draw each sample in its own row: the original with its caption, then as many distortions as fit.

    samples: uint8 of (n, 1 + distortions, height, width), the original first, then what epochs 1, 2, … see.
    captions: one a sample.
    """
    for row, caption in zip(samples, captions, strict=True):
        console.print()
        first_pictures(console, list(row), [caption, *(f"epoch {number}" for number in range(1, len(row)))])
    if samples.shape[1] > 2:
        console.print()
        note = (
            f"each sample as {samples.shape[1] - 1} epochs would see it; a row shows as many as fit, cut at the sides"
        )
        say(console, note, FAINT)
