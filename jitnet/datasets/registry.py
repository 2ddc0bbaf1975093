"""Data sets known by name: where each is looked for, where it comes from, and what is used where MNIST is missing.

A name is looked for in `$JITNET_DATA`, then `./data`, then `$XDG_CACHE_HOME/jitnet` (`~/.cache/jitnet`); in each first
in a sub-folder of that name, then in the folder itself. MNIST and Fashion-MNIST have the same file names: in the folder
itself, labels that are Fashion-MNIST's are not taken for MNIST's, and only those are taken for Fashion-MNIST's.
`$JITNET_MIRROR`, an http(s) address with a folder for each data set, replaces the mirrors.
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jitnet.config import check_arguments
from jitnet.config.nearest import nearest
from jitnet.datasets import digits, idx
from jitnet.datasets.assemble import assemble
from jitnet.datasets.dataset import Dataset, Progress
from jitnet.datasets.download import Patience, RemoteFile, digest, download
from jitnet.datasets.files import reading
from jitnet.datasets.from_table import HELD_OUT, from_table
from jitnet.datasets.raw import RawData, TaskAdvice
from jitnet.datasets.read import read_path
from jitnet.errors import DataError, OutputError, UsageError
from jitnet.tables.outcome import Choice
from jitnet.tables.preparation import Preparation
from jitnet.tables.table import Kind, Table, table_from_frame

__all__ = ["DEFAULT", "Fetched", "Listing", "as_table", "fetch", "is_table", "listing", "load", "names"]

DEFAULT = "mnist"
WITH_A_BAR = 8_000_000
"""Bytes of a table's file from which reading it is shown."""


@dataclass(frozen=True)
class _Known:
    """A data set of four IDX files, in the order of `idx.ROLES`."""

    title: str
    licence: str
    files: tuple[RemoteFile, ...]
    mirrors: tuple[str, ...]
    class_names: tuple[str, ...]


def _files(algorithm: str, digests: Sequence[str], sizes: Sequence[int | None]) -> tuple[RemoteFile, ...]:
    files = [f"{role}-idx{3 if role.endswith('images') else 1}-ubyte.gz" for role in idx.ROLES]
    return tuple(
        RemoteFile(file, algorithm, *rest) for file, rest in zip(files, zip(digests, sizes, strict=True), strict=True)
    )


KNOWN = {
    "mnist": _Known(
        "MNIST: 70,000 handwritten digits, 28x28 (LeCun, Cortes, Burges)",
        "unclear; downloaded, never bundled",
        _files(
            "sha256",
            (
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            ),
            (9_912_422, 28_881, 1_648_877, 4_542),
        ),
        ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
        tuple("0123456789"),
    ),
    "fashion-mnist": _Known(
        "Fashion-MNIST: 70,000 pictures of clothes, 28x28 (Xiao, Rasul, Vollgraf)",
        "MIT",
        _files(
            "md5",
            (
                "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                "25c81989df183df01b3e8a0aad5dffbe",
                "bef4ecab320f06d8554ea6380940ec79",
                "bb300cfdad3c16e7a12a480ee83cd310",
            ),
            (None, None, None, None),
        ),
        ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
        ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
}


@dataclass(frozen=True)
class Listing:
    """A data set known by name, and where it is stored; `found` is None where it would have to be downloaded first."""

    name: str
    title: str
    licence: str
    found: Path | None
    searched: tuple[Path, ...]


@dataclass(frozen=True)
class Fetched:
    """Where a data set is stored, and whether it had to be downloaded."""

    name: str
    folder: Path
    downloaded: bool


def names() -> tuple[str, ...]:
    """The data sets known by name; the first is the default."""
    return (*KNOWN, "digits")


def listing() -> tuple[Listing, ...]:
    """Every data set known by name, with the place where it was found. Nothing is downloaded."""
    rows = [Listing(name, known.title, known.licence, _find(name), _places(name)) for name, known in KNOWN.items()]
    return (*rows, Listing("digits", digits.TITLE, digits.LICENCE, digits.where(), ()))


def fetch(
    name: str,
    *,
    folder: Path | None = None,
    mirrors: Sequence[str] | None = None,
    progress: Progress | None = None,
    patience: Patience | None = None,
) -> Fetched:
    """Download a data set unless it is stored already.

    folder: the target, and then the only place searched; by default NAME in `$JITNET_DATA`, else in the cache folder.
    mirrors: in place of the known ones. progress: called with (file name, bytes so far, bytes of that file).
    Raises DataError for an unknown name, DownloadError where no mirror delivers, OutputError where the folder cannot
    be written.
    """
    check_arguments("fetch(name)", name=(name, str))
    if name not in names():
        raise DataError(_unknown(name))
    if name == "digits":
        return Fetched(name, digits.where(), downloaded=False)
    found = _find(name) if folder is None else folder if _is_complete(folder) else None
    if found is not None:
        return Fetched(name, found, downloaded=False)
    known = KNOWN[name]
    mirror = os.environ.get("JITNET_MIRROR", "").rstrip("/")
    mirrors = mirrors if mirrors is not None else (f"{mirror}/{name}/",) if mirror else known.mirrors
    target = folder or (_data_folder() or _cache_folder()) / name
    for file in known.files:
        # Files that an earlier, interrupted call completed are not downloaded again.
        if not _holds(target / file.name, file):
            download(file, mirrors, target, progress=progress, patience=patience)
    return Fetched(name, target, downloaded=True)


def load(
    name_or_path: "str | Path | Any | None" = None,
    test_data: "str | Path | Any | None" = None,
    *,
    classes: Sequence[str] | None = None,
    task: str = "auto",
    advice: TaskAdvice | None = None,
    progress: Progress | None = None,
    download: bool = True,
    target: str | int | Sequence[str | int] | None = None,
    group: str | int | None = None,
    time: str | int | None = None,
    weight: str | int | None = None,
    ignore: Sequence[str | int] = (),
    preparation: Preparation | None = None,
    held_out: float = HELD_OUT,
) -> Dataset:
    """Load a data set by name (`names`) or from a path: a folder of IDX files, a .safetensors, .npz or .csv file, or a
    table: CSV, TSV or Parquet with columns of numbers, words, true and false, and dates. A DataFrame is a table too.

    None is MNIST, or the embedded digits with a `notice` where MNIST is neither stored nor can be downloaded.
    test_data: a path whose test split (its only split, where it has one) replaces the data set's test split.
    classes: the classes to assign labels to, a model's for example, where a file alone may not have them all.
    task: "classify" or "regress": whether labels are classes or numbers to predict; "label": each is yes or no, 1 or 0,
    and several of a sample may be yes; "auto": numbers where they are floats with fractions in a .npz or .safetensors
    file.
    advice: what messages say to do where labels look like those of the other task.
    progress: called during downloads; download: whether to download at all.

    The rest is for tables, and columns are named by name or number (from 1). target: the column to predict, or several;
    by default one that is called target, label, class or y, else the first. group: rows with the same value in it are
    held out together; time: the latest rows are held out; weight: how much each row counts. ignore: columns to leave
    out. preparation: what a model makes of the columns, in place of learning it. held_out: the share of rows that is
    held out to test on where there are no test data; 0 for none.
    Raises DataError for data that are missing, broken or do not fit together; DownloadError and OutputError as `fetch`.
    """
    check_arguments(
        "load(name_or_path, test_data)",
        name_or_path=(name_or_path, (str, Path, type(None), *_kind_of_table(name_or_path))),
        test_data=(test_data, (str, Path, type(None), *_kind_of_table(test_data))),
    )
    choice = Choice(target, group, time, weight, tuple(ignore))
    if is_table(name_or_path, choice, preparation):
        return _load_table(name_or_path, test_data, choice, classes, task, advice, progress, preparation, held_out)
    notice = ""
    if name_or_path is None:
        name_or_path = DEFAULT
        if _find(DEFAULT) is None:
            try:
                _fetch_or_raise(DEFAULT, progress, download)
            except (DataError, OutputError) as error:
                name_or_path = "digits"
                notice = (
                    f"MNIST is not on this machine and could not be loaded: {error}. The embedded UCI digits (8x8) are "
                    "used instead. To get MNIST, run `jitnet data fetch mnist` with a network, or set JITNET_DATA to "
                    "a folder that holds its four IDX files."
                )
    name, source, data = _read(name_or_path, progress, download)
    if test_data is not None:
        test_path = Path(test_data).expanduser()
        other = read_path(test_path)
        test = other.only(str(test_path))
        data = dataclasses.replace(data, test=test)
        source = f"{source}, tested on {test_path}"
    data = dataclasses.replace(data, advice=advice or TaskAdvice())
    dataset = assemble(data, name=name, source=source, classes=classes, task=task)
    return dataclasses.replace(dataset, notice=notice) if notice else dataset


def _kind_of_table(value: object) -> tuple[type, ...]:
    """The type of a table or a DataFrame, of whatever library; nothing for what is none."""
    return (type(value),) if hasattr(value, "columns") else ()


def is_table(source: Any, choice: Choice, preparation: Preparation | None = None) -> bool:
    """Whether a source is a table of named columns, or is to be read as one."""
    if source is None or (isinstance(source, str) and source in names()):
        if choice.named:
            raise UsageError(f"{source or DEFAULT} is not a table: it has no columns to name; leave their names out")
        return False
    if not isinstance(source, (str, Path)):
        return True
    path = Path(source).expanduser()
    with reading(path):
        is_folder = path.is_dir()
    if path.suffix.lower() in (".safetensors", ".npz") or is_folder:
        if choice.named:
            raise UsageError(f"{path} is not a table: it has no columns to name; leave their names out")
        return False
    from jitnet.tables.plain import looks_like_table  # it reads files with what is in this package

    return choice.named or preparation is not None or looks_like_table(path)


def _load_table(
    source: Any,
    test: Any,
    choice: Choice,
    classes: Sequence[str] | None,
    task: str,
    advice: TaskAdvice | None,
    progress: Progress | None,
    preparation: Preparation | None,
    held_out: float,
) -> Dataset:
    """A data set of a table's rows; what is no path is a table or a DataFrame."""
    kinds = None if preparation is None else preparation.kinds
    table = as_table(source, progress, kinds)
    is_path = isinstance(source, (str, Path))
    return from_table(
        table,
        None if test is None else lambda known: as_table(test, progress, known),
        name=Path(source).expanduser().name.split(".")[0] if is_path else "table",
        choice=choice,
        classes=classes,
        task=task,
        advice=advice,
        preparation=preparation,
        held_out=held_out,
    )


def as_table(
    source: Any, progress: Progress | None = None, kinds: Mapping[str, tuple[Kind, str]] | None = None
) -> Table:
    """The table in a file, or that a DataFrame holds; a table as it is.

    kinds: of columns whose kind is known, see `Preparation.kinds`.
    """
    if isinstance(source, Table):
        return source
    if not isinstance(source, (str, Path)):
        return table_from_frame(source)
    from jitnet.tables.reader import read_table  # it reads files with what is in this package

    path = Path(source).expanduser()
    is_large = path.is_file() and path.stat().st_size >= WITH_A_BAR
    return read_table(path, kinds=kinds, progress=progress if is_large else None)


def _read(name_or_path: str | Path, progress: Progress | None, may_download: bool) -> tuple[str, str, RawData]:
    """Name, source and raw splits of a data set by name or path."""
    if name_or_path == "digits":
        return "digits", "embedded in jitnet", digits.read()
    if isinstance(name_or_path, str) and name_or_path in KNOWN:
        folder = _find(name_or_path) or _fetch_or_raise(name_or_path, progress, may_download)
        data = idx.read_folder(folder)
        return name_or_path, str(folder), dataclasses.replace(data, class_names=KNOWN[name_or_path].class_names)
    path = Path(name_or_path).expanduser()
    with reading(path):
        if not path.exists() and path.name == str(name_or_path) and not path.suffix:
            raise DataError(_unknown(str(name_or_path)))
        name = path.resolve().name if path.is_dir() else path.stem
    return name, str(path), read_path(path)


def _fetch_or_raise(name: str, progress: Progress | None, may_download: bool) -> Path:
    if may_download:
        return fetch(name, progress=progress).folder
    looked = ", ".join(str(place) for place in _places(name))
    raise DataError(f"{name} was not found (looked in {looked}); get it with `jitnet data fetch {name}`")


def _unknown(name: str) -> str:
    near = nearest(name, names())
    hint = f"; did you mean {near}?" if near else ""
    return f"{name}: there is no data set and no file of that name; known names are {', '.join(names())}{hint}"


def _data_folder() -> Path | None:
    value = os.environ.get("JITNET_DATA")
    return Path(value).expanduser() if value else None


def _cache_folder() -> Path:
    value = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification requires that a relative path be ignored.
    return (Path(value) if os.path.isabs(value) else Path("~/.cache").expanduser()) / "jitnet"


def _places(name: str) -> tuple[Path, ...]:
    """The folders in which a data set is looked for, in order."""
    bases = [base for base in (_data_folder(), Path("data"), _cache_folder()) if base is not None]
    return tuple(place for base in bases for place in (base / name, base))


def _find(name: str) -> Path | None:
    """The first place that holds all four files of a data set."""
    for place in _places(name):
        if _is_complete(place) and (place.name == name or _is_fashion(place) == (name == "fashion-mnist")):
            return place
    return None


def _is_complete(folder: Path) -> bool:
    with reading(folder):
        return folder.is_dir() and set(idx.find(folder)) == set(idx.ROLES)


def _is_fashion(folder: Path) -> bool:
    """Whether training labels are Fashion-MNIST's: by checksum if gzipped, else by their exact balance."""
    path = idx.find(folder)["train-labels"]
    if _holds(path, KNOWN["fashion-mnist"].files[1]):
        return True
    try:
        labels = idx.read(path)
    except DataError:
        return False
    return len(labels) == 60_000 and all(int((labels == c).sum()) == 6_000 for c in range(10))


def _holds(path: Path, file: RemoteFile) -> bool:
    """Whether a path holds exactly the bytes of a known file."""
    if not path.is_file() or (file.n_bytes is not None and path.stat().st_size != file.n_bytes):
        return False
    return digest(path, file.algorithm) == file.digest
