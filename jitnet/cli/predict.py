"""`jitnet predict`."""

import os
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jitnet.cli.command import PICTURES, Command, expect_model, model_at
from jitnet.cli.common import MODEL_HELP, Json, Quiet, print_json
from jitnet.cli.table_rows import predict_rows
from jitnet.errors import JitnetError, MissingExtra, ModelError, PictureError, UsageError

if TYPE_CHECKING:
    from jitnet.model import AnyModel
    from jitnet.pictures.recognition import Recognition

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """\b
Examples:
  jitnet predict runs/2026-03-14-mnist seven.png
  jitnet predict @latest seven.png
  jitnet predict model.safetensors scans/ --json
  curl -s https://example.org/seven.png | jitnet predict model.safetensors -
  jitnet predict runs/2026-03-14-houses rows.csv --out predictions.csv
"""


@app.command(cls=Command, epilog=EXAMPLES)
def predict(
    # Checked below, where the message can show the whole command in the right order.
    model: Annotated[Path, typer.Argument(metavar="MODEL-OR-RUN", show_default=False, help=MODEL_HELP)],
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE",
            show_default=False,
            help="For a model that was trained on a table, a file with rows of the same columns, in any order, with or "
            "without the target; - reads it from standard input. Else pictures of one thing each, of any size, dark on "
            "light or light on dark; folders, of which every picture is read in natural order; or - for the bytes of "
            "one file on standard input. PGM and .npy need nothing; PNG, JPEG, GIF, BMP, TIFF and WebP need Pillow: "
            "pip install pillow. A .npy of shape (n, height, width) is n pictures; only a last axis of 3 or 4 is "
            "colour. Of an animated picture the first frame is read.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            show_default=False,
            help="Where to write the predictions for a table: NAME.csv or NAME.tsv. [default: standard output, as CSV]",
        ),
    ] = None,
    top: Annotated[
        int,
        typer.Option(
            "--top",
            min=1,
            metavar="NUMBER",
            help="How many classes to show of a picture. A whole number of 1 or more.",
        ),
    ] = 3,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Predict what is in a picture, or the rows of a table.

    Of a picture: the most probable classes, and the picture as the network saw it. Of each row of a table: what
    identifies it, or its number from 1, and the prediction with the probability of each class, or each target or
    quantile. Columns that the model does not know are ignored with a notice; a missing one is an error that names it.

    Every picture gets a prediction. What cannot be read or recognised is reported after them, a line each, and the
    exit code is then 1. A notice says where the picture may not be one that can be recognised: several separate
    shapes, or ink that does not look like a stroke. With --json, one document holds predictions, errors and notices.
    """
    from jitnet import render
    from jitnet.model import load_model
    from jitnet.pictures import load_pictures
    from jitnet.pictures.recognition import check_takes_pictures, recognise

    screen = render.consoles(json, quiet)
    model = _model_of(model, files)
    network = load_model(model)
    if network.preparation is not None or _is_plain_rows(network, files[0]):
        if len(files) > 1:
            raise UsageError(f"{model} was trained on a table, and predicts the rows of one file; name one FILE")
        _check_is_table(model, files[0])
        predict_rows(network, files[0], out, screen, json)
        return
    if out is not None:
        raise UsageError(f"--out is for the rows of a table, and {model} was not trained on one; leave it out")
    try:
        check_takes_pictures(network)
    except ModelError as error:
        raise ModelError(f"{model}: {error}") from None
    predictions: list[Recognition] = []
    errors: list[tuple[str, JitnetError]] = []
    notices: list[str] = []

    def notice(text: str) -> None:
        notices.append(text)
        render.notice(render.make_console(sys.stderr), text)

    def refuse(name: str, error: JitnetError) -> None:
        errors.append((name, error))

    for source, name in _sources(files, notice, refuse):
        try:
            pictures = load_pictures(source, name)
        except (PictureError, MissingExtra) as error:
            refuse(name, error)
            continue
        for picture in pictures:
            try:
                with render.compiling(screen):
                    found = recognise(network, picture)
            except PictureError as error:
                refuse(picture.name, error)
                continue
            if not json:
                if predictions:
                    screen.out.print()
                render.prediction(screen.out, found, top)
            predictions.append(found)
            for sentence in found.notices:
                notice(f"{found.name}: {sentence}")
    if json:
        print_json(_document(predictions, errors, notices, top))
    for _, refused in errors:
        render.error(str(refused))
    if errors:
        raise typer.Exit(1)


def _is_plain_rows(network: "AnyModel", name: str) -> bool:
    """Whether a file is a table of numbers for a model that was trained on such, and takes no pictures."""
    from jitnet.pictures.recognition import check_takes_pictures

    try:
        check_takes_pictures(network)
    except ModelError:
        return name == "-" or Path(name).suffix.lower() in (".csv", ".tsv")
    return False


def _check_is_table(model: Path, name: str) -> None:
    """UsageError for a picture or a folder, where rows of a table are expected."""
    if Path(name).suffix.lower() in PICTURES or Path(name).is_dir():
        raise UsageError(f"{name} is no table: {model} was trained on a table; name a file with rows, rows.csv say")


def _sources(
    files: list[str], notice: Callable[[str], None], refuse: Callable[[str, JitnetError], None]
) -> Iterator[tuple[Path | bytes, str]]:
    """Each named file, each picture in a named folder, or the bytes of one; and its name in messages."""
    from jitnet.pictures import MAX_BYTES, pictures_in

    for name in files:
        if name == "-":
            try:
                yield sys.stdin.buffer.read(MAX_BYTES + 1), "standard input"
            except OSError as error:
                refuse("standard input", PictureError(f"standard input: cannot be read: {error.strerror or error}"))
        elif not os.path.isdir(name):
            yield Path(name), name
        else:
            try:
                found, others = pictures_in(name)
            except PictureError as error:
                refuse(name, error)
                continue
            if not found:
                refuse(
                    name, PictureError(f"{name}: the folder holds no picture; expected PNG, JPEG, PGM or .npy files")
                )
                continue
            if others:
                listed = ", ".join(path.name for path in others[:3]) + (", …" if len(others) > 3 else "")
                notice(f"{name}: skipped {len(others)} of {len(found) + len(others)} entries: not pictures ({listed})")
            for path in found:
                yield path, str(path)


def _model_of(model: Path, files: list[str]) -> Path:
    """The model's path; UsageError for a picture in its place, and for standard input that cannot be read as asked
    for."""
    models = [name for name in files if _is_model(Path(name))]
    if models and not _is_model(model) and (model.exists() or str(model) == "-"):
        pictures = [str(model), *(name for name in files if name not in models)]
        order = shlex.join(["jitnet", "predict", models[0], *pictures])
        raise UsageError(f"{model} is not a model, {models[0]} is; the model comes first: {order}")
    found = model_at(expect_model(model))
    if files.count("-") > 1:
        raise UsageError("-: standard input holds one file; name it once")
    if "-" in files and (sys.stdin is None or sys.stdin.isatty()):
        state = "closed" if sys.stdin is None else "a terminal"
        raise UsageError(f"-: standard input is {state}; pipe a picture into it, or name a file")
    return found


def _is_model(path: Path) -> bool:
    from jitnet.model.file import FILE_NAME

    return (path / FILE_NAME).is_file() or (path.suffix == ".safetensors" and path.is_file())


def _document(
    predictions: list["Recognition"], errors: list[tuple[str, JitnetError]], notices: list[str], top: int
) -> dict[str, Any]:
    return {
        "predictions": [
            {
                "file": one.path,
                "name": one.name,
                "guesses": [{"class": name, "probability": share} for name, share in one.guesses[:top]],
                "image": one.image,
                "notices": one.notices,
            }
            for one in predictions
        ],
        "errors": [{"name": name, "error": str(error)} for name, error in errors],
        "notices": notices,
    }
