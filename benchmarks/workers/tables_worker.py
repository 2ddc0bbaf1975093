"""Fits one system to one split of a table, and scores it on the rows that were left out. `tables.py` has the lists.

A measurement is a whole fit, from raw rows to a model: preparation, training, and what the system holds out by itself.
Predicting is apart. Every system is imported only where a row asks for it.
"""

import os
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import protocol
from protocol import Row

PACKAGES = ("jitnet", "scikit-learn", "torch", "skorch", "pytabkit")
QUICK_ROWS = 2_000
WORDS, TOPICS, WORDS_A_ROW = 50_000, 20, 60


class Rows(NamedTuple):
    """x: (n, features), float64, uint8 or a CSR matrix. y: (n,) classes, or (n, targets) float64."""

    x: Any
    y: np.ndarray


class Table(NamedTuple):
    """is_image: values are grey levels up to `most`. spread: deviation of each target over all rows; None of
    classes."""

    train: Rows
    test: Rows
    spread: np.ndarray | None
    is_image: bool = False
    most: float = 1.0


def bundled(name: str) -> Rows:
    """A data set that comes with scikit-learn."""
    from sklearn import datasets

    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return (
        Rows(x.astype(np.uint8), y)
        if name == "digits"
        else Rows(x, y if y.dtype.kind == "i" else y.reshape(len(y), -1))
    )


def made(rows: int, features: int, kind: str, seed: int) -> Rows:
    """Numbers of several scales, of which half matter: through a small random network, with noise, to two classes or a
    number. seed: of the rows; the network is the same for all."""
    network, draw = np.random.default_rng(features), np.random.default_rng(seed)
    into = network.standard_normal((features, 16)) * (np.arange(features) % 2 == 0)[:, None] / np.sqrt(features / 2)
    out, scales = network.standard_normal(16), 10.0 ** network.uniform(-2, 2, features)
    x = draw.standard_normal((rows, features))
    score = np.tanh(2.0 * x @ into) @ out / 2.0 + 0.3 * draw.standard_normal(rows)
    y = (score > 0).astype(np.int64) if kind == "classes" else score[:, None]
    return Rows(x * scales, y)


def text(rows: int, seed: int) -> Rows:
    """Counts of words in short texts of several topics, as a CSR matrix: frequencies fall as Zipf's law says, and each
    topic prefers some words."""
    from scipy.sparse import csr_matrix

    draw = np.random.default_rng(seed)
    y = draw.integers(0, TOPICS, rows)
    common = np.minimum(WORDS - 1, draw.pareto(0.9, (rows, WORDS_A_ROW)) * 20).astype(np.int64)
    topical = (common * TOPICS + y[:, None]) % WORDS
    words = np.where(draw.random((rows, WORDS_A_ROW)) < 0.15, topical, common)
    index = np.repeat(np.arange(rows), WORDS_A_ROW)
    counts = csr_matrix((np.ones(index.size, np.float32), (index, words.ravel())), shape=(rows, WORDS))
    counts.sum_duplicates()
    return Rows(counts, y)


def load(row: Row) -> Table:
    """The row's split: four fifths to train on, of classes as many of each; MNIST and made data have test rows."""
    name, split, quick = row["set"], row["split"], row["quick"]
    if name == "MNIST":
        data = protocol.load({"data": row["data"], "samples": QUICK_ROWS if quick else 0})
        return Table(Rows(data.images, data.labels), Rows(data.test_images, data.test_labels), None, True, 255.0)
    if row["features"]:
        rows = min(row["rows"], QUICK_ROWS) if quick else row["rows"]

        def drawn(count: int, seed: int) -> Rows:
            if row["kind"] == "text":
                return text(count, seed)
            return made(count, row["features"], row["kind"], seed)

        train, test = drawn(rows, 2 * split), drawn(min(10_000, max(1_000, rows)), 2 * split + 1)
        return Table(train, test, None if train.y.ndim == 1 else train.y.std(axis=0))
    from sklearn.model_selection import train_test_split

    all_rows = bundled(name)
    x, test_x, y, test_y = train_test_split(
        all_rows.x,
        all_rows.y,
        test_size=0.2,
        random_state=split,
        stratify=all_rows.y if all_rows.y.ndim == 1 else None,
    )
    spread = None if y.ndim == 1 else all_rows.y.std(axis=0)
    return Table(Rows(x, y), Rows(test_x, test_y), spread, name == "digits", 16.0)


class System(Protocol):
    """What is measured. `fit` begins with raw rows; `predict` returns classes (n,) or numbers (n, targets)."""

    def fit(self, x: Any, y: np.ndarray) -> Any: ...

    def predict(self, x: Any) -> np.ndarray: ...


class Jitnet:
    """A network of jitnet through its library. tabular: by that recipe, else as `jitnet train` is without options.
    Columns are prepared as those of a table: (x - median) / IQR, smoothly limited."""

    def __init__(self, table: Table, seed: int, *, tabular: bool) -> None:
        self.table, self.seed, self.tabular = table, seed, tabular

    def fit(self, x: Any, y: np.ndarray) -> None:
        from jitnet.config import ModelConfig, TrainConfig, recipe
        from jitnet.datasets import from_arrays
        from jitnet.model import Model
        from jitnet.training.trainer import Trainer

        is_classes = y.ndim == 1
        fields = recipe("tabular", "classify" if is_classes else "regress") if self.tabular else {}
        self.classes = np.unique(y) if is_classes else None
        self.is_sparse = not isinstance(x, np.ndarray)
        data = from_arrays(x, y) if self.is_sparse else self._prepared(x, y)
        sizes = {"n_classes": data.n_classes} if is_classes else {"n_targets": data.n_targets}
        shape = ModelConfig(in_features=data.in_features, **sizes, **fields.get("model", {}))
        self.model = Model.create(shape, data, seed=self.seed)
        trainer = Trainer(self.model, data, TrainConfig(seed=self.seed, **fields.get("train", {})))
        trainer.prepare()
        trainer.clocked = False
        trainer.run()

    def _prepared(self, x: np.ndarray, y: np.ndarray) -> Any:
        """The data set of dense rows."""
        from jitnet.datasets import Dataset, Scaling, Split
        from jitnet.datasets.targets import default_names, scale_targets

        if not self.table.is_image:
            self._learn(x)
        inputs = self._inputs(x)
        if self.classes is not None:
            labels, names = np.searchsorted(self.classes, y), tuple(map(str, self.classes))
            kinds: dict[str, Any] = {"class_names": names}
            split = Split(inputs, labels.astype(np.int64))
        else:
            split = Split(inputs, np.zeros(0, np.int64), targets=y)
            kinds = {"class_names": (), "target_names": default_names(y.shape[1])}
            kinds["target_scaling"] = scale_targets(y, "standardised")
        scaling = Scaling(0.0, 1.0 / self.table.most) if self.table.is_image else Scaling()
        return Dataset("table", split, None, image_shape=None, scaling=scaling, source="benchmarks", **kinds)

    def predict(self, x: Any) -> np.ndarray:
        found = self.model.predict(self._inputs(x))
        return found if self.classes is None else self.classes[found.argmax(axis=1)]

    def _learn(self, x: np.ndarray) -> None:
        low, self.middle, high = np.quantile(x, (0.25, 0.5, 0.75), axis=0)
        spread = np.where(high > low, high - low, (x.max(axis=0) - x.min(axis=0)) / 2)
        self.factor = 1.0 / np.where(spread > 0, spread, np.inf)

    def _inputs(self, x: Any) -> Any:
        if self.is_sparse:
            return x
        if self.table.is_image:
            return np.require(x, requirements=["C", "W"])
        scaled = (x - self.middle) * self.factor
        return (scaled / np.sqrt(1.0 + (scaled / 3.0) ** 2)).astype(np.float32)


def jitnet_default(table: Table, seed: int) -> System:
    return Jitnet(table, seed, tabular=False)


def jitnet_tabular(table: Table, seed: int) -> System:
    return Jitnet(table, seed, tabular=True)


class Flat:
    """A system that wants one target as (n,)."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def fit(self, x: Any, y: np.ndarray) -> None:
        self.inner.fit(x, y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y)

    def predict(self, x: Any) -> np.ndarray:
        found = np.asarray(self.inner.predict(x))
        return found


def scaled(table: Table, network: Any) -> System:
    """A network of others behind a scaler, as its users put it."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MaxAbsScaler, StandardScaler

    plain = table.is_image or not isinstance(table.train.x, np.ndarray)
    return Flat(make_pipeline(MaxAbsScaler() if plain else StandardScaler(), network))


def sklearn_network(table: Table, seed: int) -> System:
    import warnings

    from sklearn.neural_network import MLPClassifier, MLPRegressor

    warnings.simplefilter("ignore")  # it may end before it has converged
    kind = MLPClassifier if table.spread is None else MLPRegressor
    return scaled(table, kind(random_state=seed))


def boosting(table: Table, seed: int) -> System:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.multioutput import MultiOutputRegressor

    if table.spread is None:
        return Flat(HistGradientBoostingClassifier(random_state=seed))
    one = HistGradientBoostingRegressor(random_state=seed)
    return Flat(one if len(table.spread) == 1 else MultiOutputRegressor(one))


def skorch_network(table: Table, seed: int) -> System:
    """scikit-learn's default network in PyTorch: 100 units, Adam, batches of 200, for as many epochs as that takes."""
    import torch
    from skorch import NeuralNetClassifier, NeuralNetRegressor
    from torch import nn

    if not isinstance(table.train.x, np.ndarray):
        raise TypeError("takes no sparse rows")
    torch.manual_seed(seed)
    targets = len(np.unique(table.train.y)) if table.spread is None else len(table.spread)
    module = nn.Sequential(nn.Linear(table.train.x.shape[1], 100), nn.ReLU(), nn.Linear(100, targets))
    common = {"max_epochs": 200, "lr": 1e-3, "batch_size": 200, "verbose": 0, "train_split": None}
    if table.spread is None:
        net = NeuralNetClassifier(
            module, criterion=nn.CrossEntropyLoss, optimizer=torch.optim.Adam, iterator_train__shuffle=True, **common
        )
    else:
        net = NeuralNetRegressor(module, optimizer=torch.optim.Adam, iterator_train__shuffle=True, **common)
    return AsFloat32(scaled(table, net))


class AsFloat32:
    """PyTorch's network takes no float64."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def fit(self, x: Any, y: np.ndarray) -> None:
        self.shape = y.shape
        pipeline = self.inner.inner
        scaler, net = pipeline[0], pipeline[-1]
        net.fit(scaler.fit_transform(x).astype(np.float32), y if y.ndim == 1 else y.astype(np.float32))

    def predict(self, x: Any) -> np.ndarray:
        pipeline = self.inner.inner
        return pipeline[-1].predict(pipeline[0].transform(x).astype(np.float32))


def realmlp(table: Table, seed: int) -> System:
    from pytabkit import RealMLP_TD_S_Classifier, RealMLP_TD_S_Regressor

    if not isinstance(table.train.x, np.ndarray):
        raise TypeError("takes no sparse rows")
    kind = RealMLP_TD_S_Classifier if table.spread is None else RealMLP_TD_S_Regressor
    return Flat(kind(device="cpu", random_state=seed, verbosity=0))


MEMBERS = 8
"""Networks of a committee, and of the ensemble beside it."""


class Averaged:
    """Several networks that differ in their seed: the mean of the classes' probabilities, or of the numbers."""

    def __init__(self, members: Sequence[Any]) -> None:
        self.members = members

    def fit(self, x: Any, y: np.ndarray) -> None:
        for member in self.members:
            member.fit(x, y)

    def predict(self, x: Any) -> np.ndarray:
        first = self.members[0].inner
        if not hasattr(first, "predict_proba"):
            return np.mean([member.predict(x) for member in self.members], axis=0)
        found = np.mean([member.inner.predict_proba(x) for member in self.members], axis=0)
        return np.asarray(first.classes_)[found.argmax(axis=1)]


class Committee(Averaged):
    """Networks of jitnet by the recipe `tabular`, one after another, as one model."""

    def predict(self, x: Any) -> np.ndarray:
        from jitnet.model import Committee as Model

        first = self.members[0]
        first.model = Model.from_models([member.model for member in self.members])
        return np.asarray(first.predict(x))


def committee(table: Table, seed: int) -> System:
    return Committee([jitnet_tabular(table, MEMBERS * seed + k) for k in range(MEMBERS)])


def realmlp_ensemble(table: Table, seed: int) -> System:
    return Averaged([realmlp(table, MEMBERS * seed + k) for k in range(MEMBERS)])


SYSTEMS = {
    "jitnet": jitnet_default,
    "tabular": jitnet_tabular,
    "sklearn": sklearn_network,
    "boosting": boosting,
    "skorch": skorch_network,
    "realmlp": realmlp,
    "committee": committee,
    "realmlp_ensemble": realmlp_ensemble,
}


class Fit:
    """One fit of a row's system; `measure` does it, `check` scores it."""

    def __init__(self, row: Row) -> None:
        self.table = load(row)
        self.system = SYSTEMS[row["system"]](self.table, row["split"])
        self.spent: dict[str, float] = {}

    def measure(self) -> float:
        before = resident_after_reset()
        cpu, start = cpu_seconds(), time.perf_counter()
        self.system.fit(*self.table.train)
        seconds = time.perf_counter() - start
        self.spent = {"cpu_seconds": cpu_seconds() - cpu, "bytes": max(0, protocol.peak_bytes() - before)}
        return seconds

    def check(self) -> dict[str, float]:
        """The score: accuracy, or of numbers 1 - the mean squared error over the variance of all rows, mean over
        targets; and what the fit has spent."""
        start = time.perf_counter()
        found, truth = self.system.predict(self.table.test.x), self.table.test.y
        seconds = time.perf_counter() - start
        if self.table.spread is None:
            score = float((np.asarray(found) == truth).mean())
        else:
            error = (np.asarray(found, np.float64).reshape(truth.shape) - truth) / self.table.spread
            score = float(1.0 - (error**2).mean())
        return {"score": score, "predict_seconds": seconds, **self.spent}


def cpu_seconds() -> float:
    """Of all threads of this process, and of processes that it has started and that have ended."""
    return sum(os.times()[:4])


def resident_after_reset() -> int:
    """Bytes of memory that this process has now; from here on its peak is counted again, where the system can."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    protocol.serve(versions(), {"fit": Fit})
