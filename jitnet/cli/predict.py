"""`jitnet predict`."""

from pathlib import Path
from typing import Annotated

import typer

from jitnet.cli.command import Command
from jitnet.cli.common import Json, ModelPath, print_json

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """\b
Examples:
  jitnet predict runs/2026-03-14-mnist seven.png
  jitnet predict model.safetensors *.pgm --json
"""


@app.command(cls=Command, epilog=EXAMPLES)
def predict(
    model: ModelPath,
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE",
            show_default=False,
            help="Pictures of one thing each, of any size, dark on light or light on dark. PGM and .npy are read as "
            "they are; PNG, JPEG and others need pillow: pip install pillow.",
        ),
    ],
    top: Annotated[
        int, typer.Option("--top", min=1, metavar="NUMBER", help="How many classes to show, 1 or more.")
    ] = 3,
    json: Json = False,
) -> None:
    """Tell what is in a picture: the most probable classes, and the picture as the network saw it."""
    from jitnet import render
    from jitnet.model import Model
    from jitnet.pictures.recognition import recognise

    screen = render.consoles(json)
    network = Model.load(model)
    with render.compiling(screen):
        found = [recognise(network, path) for path in files]
    if json:
        print_json(
            [
                {
                    "file": one.path,
                    "guesses": [{"class": name, "probability": share} for name, share in one.guesses[:top]],
                    "image": one.image,
                }
                for one in found
            ]
        )
        return
    for number, one in enumerate(found):
        if number:
            screen.out.print()
        render.prediction(screen.out, one, top)
