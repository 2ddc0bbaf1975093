"""What both estimators have in common: from X and y to a trained network, on from one, and to its outputs."""

import copy
import json
import time
import warnings
from abc import abstractmethod
from collections.abc import Mapping
from numbers import Integral
from pathlib import Path
from typing import Any, NamedTuple, Self, cast

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils.validation import (
    _check_feature_names,
    _check_n_features,
    _check_sample_weight,
    _check_y,
    check_is_fitted,
    validate_data,
)

from jitnet.config import LOSSES, TASKS, TrainConfig
from jitnet.config.checking import quoted
from jitnet.datasets import CompressedRows, Dataset, Scaling, Split
from jitnet.datasets.dataset import held_out_rows
from jitnet.errors import ModelError, UsageError
from jitnet.model import Model
from jitnet.model.encoding import encode
from jitnet.sklearn.inputs import Columns, Inputs, Rows, inputs_of_model, learn_inputs, n_rows, named, notes, table_of
from jitnet.sklearn.settings import check_number, loss_of, model_config, train_config, value_errors
from jitnet.sklearn.threads import all_cores_after, threads_for
from jitnet.tables import Table
from jitnet.training.checkpoint import TrainingState
from jitnet.training.trainer import Trainer

__all__ = ["NetworkEstimator", "Outcome"]

Numbers = npt.NDArray[np.float64]

PREDICTED_VALUES = 1 << 22
"""Values of X that are turned into inputs at a time in a prediction."""

ABOUT = "estimator"
"""What a saved model has in its metadata of the estimator."""


class Outcome(NamedTuple):
    """What y says of each row: labels (n,) int64, or no labels and targets (n, n_targets), float64, or bool where they
    are yes or no. weights: (n,), None where all rows count alike."""

    labels: npt.NDArray[np.int64]
    targets: npt.NDArray[Any] | None
    weights: Numbers | None = None

    def take(self, rows: Rows) -> "Outcome":
        """The same of some rows."""
        if rows is None:
            return self
        labels = self.labels[rows] if self.targets is None else self.labels
        return Outcome(labels, *(each if each is None else each[rows] for each in self[1:]))

    def split(self, images: npt.NDArray[Any] | CompressedRows) -> Split:
        """With the inputs of these rows, as a network is trained on them."""
        return Split(images, self.labels, targets=self.targets, weights=self.weights)


FEW_ROWS = 50
"""With fewer rows early_stopping="best" holds none out: a handful shows little of which epoch is the best."""


class _Trained(NamedTuple):
    """Where a training ended; of each epoch its loss, and the score on held-out rows where there are any."""

    state: TrainingState
    losses: list[float]
    scores: list[float]


class NetworkEstimator(BaseEstimator):  # type: ignore[misc]
    """A network behind scikit-learn's interface. Subclasses say what y is."""

    _task: str

    @abstractmethod
    def _checked_y(self, y: Any) -> npt.NDArray[Any]:
        """y in one form, with a ValueError for what it cannot be."""

    @abstractmethod
    def _learned(self, y: npt.NDArray[Any], classes: Any) -> dict[str, Any]:
        """Attributes that the first y shows."""

    @abstractmethod
    def _outcome(self, y: npt.NDArray[Any], learned: Mapping[str, Any]) -> Outcome:
        """What y says; ValueError where that is not what was learned first."""

    @abstractmethod
    def _names(self, learned: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
        """The names of a data set's classes or targets."""

    def _class_weights(self, y: npt.NDArray[Any]) -> Numbers | None:
        """(n,): the weight of each row's class; None where there are none."""
        return None

    def _fit(
        self, X: Any, y: Any, sample_weight: Any, *, goes_on: bool, once: bool = False, classes: Any = None
    ) -> Self:
        """Train from the beginning, or on from where the last one ended. once: for one epoch at a constant rate."""
        begun = time.perf_counter()
        with value_errors(), all_cores_after():
            x, y = self._checked(X, y, goes_on)
            learned = (
                {name: getattr(self, name) for name in self._learned_names} if goes_on else self._learned(y, classes)
            )
            outcome = self._outcome(y, learned)._replace(weights=self._weights(sample_weight, x, y))
            seed = self._seed if goes_on else _seed(self.random_state)
            rows, held_rows = self._divide(outcome, n_rows(x), seed, once)
            training = outcome.take(rows)
            if not once:
                self._check_training(training, learned)
            inputs = self._inputs if goes_on else self._learn_inputs(x, rows, training.weights)
            held_out = None
            if self.eval_set is not None and not once:
                held_out = self._eval_split(inputs, learned)
            elif held_rows is not None:
                held_out = outcome.take(held_rows).split(inputs(x, held_rows))
            config = train_config(
                self._task,
                self.get_params(deep=False),
                samples=n_rows(x) if rows is None else len(rows),
                seed=seed,
                threads=threads_for(self.n_threads),
                **self._special_fields(held_out is not None, once),
            )
            split = training.split(inputs(x, rows))
            loss = loss_of(self.get_params(deep=False), split.target)
            dataset = self._dataset(split, inputs, learned, loss)
            model = self._same_model(loss) if goes_on else self._new_model(dataset, loss, seed)
            state = self._state if goes_on else None
            if state is not None:
                self._check_optimizer(config)
            trained = self._train(Trainer(model, dataset, config, state=state, held_out=held_out), begun)
        self._note(
            (self.loss_curve_ if goes_on else []) + trained.losses,
            ((self.validation_scores_ if goes_on else None) or []) + trained.scores,
        )
        self._keep(model, inputs, learned, seed, trained.state.with_new_schedule())
        self._optimizer = config.optimizer, config.ema
        return self

    def _note(self, losses: list[float], scores: list[float] | None) -> None:
        """Note the loss of each epoch so far, and the score on held-out rows where there were any."""
        self.loss_curve_, self.validation_scores_, self.n_iter_ = losses, scores or None, len(losses)

    def _keep(
        self, model: Model, inputs: Inputs, learned: Mapping[str, Any], seed: int, state: TrainingState | None
    ) -> None:
        """Keep what a training ends with, or a file holds."""
        for name, value in learned.items():
            setattr(self, name, value)
        self._learned_names = tuple(learned)
        self._inputs, self.model_, self._seed, self._state = inputs, model, seed, state
        self.coefs_ = [weights.T for weights in model.weights]
        self.intercepts_ = list(model.biases)

    def _checked(self, X: Any, y: Any, goes_on: bool) -> tuple[Any, npt.NDArray[Any]]:
        """X as an array, a CSR matrix or a table, and y in one form."""
        numeric = self._task == "regress"
        if numeric:
            _refuse_words(y)
        table = self._as_table(X, self._inputs if goes_on else None)
        if table is None:
            X, y = validate_data(
                self, X, y, reset=not goes_on, accept_sparse="csr", multi_output=True, y_numeric=numeric
            )
            return X, self._checked_y(y)
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        y = _check_y(y, multi_output=True, y_numeric=numeric, estimator=self)
        check_consistent_length(X, y)
        return table, self._checked_y(y)

    def _checked_x(self, X: Any, inputs: Inputs) -> Any:
        table = self._as_table(X, inputs)
        return validate_data(self, X, reset=False, accept_sparse="csr") if table is None else table

    def _as_table(self, X: Any, inputs: Inputs | None) -> Table | None:
        """X as a table, with its names compared, or noted where there are no inputs yet; None where it is to be an
        array."""
        if inputs is not None and not isinstance(inputs, Columns):
            return None
        names = () if inputs is None else inputs.names
        if not hasattr(X, "columns") and hasattr(X, "toarray"):
            X = X.toarray() if inputs is not None else X
        table = (
            None
            if hasattr(X, "toarray")
            else table_of(X, self.categorical_features, always=inputs is not None, names=names)
        )
        if table is not None:
            _check_feature_names(self, X, reset=inputs is None)
            _check_n_features(self, X, reset=inputs is None)
        return table

    def _learn_inputs(self, x: Any, rows: Rows, weights: Numbers | None) -> Inputs:
        if isinstance(x, Table):
            inputs = learn_inputs(x, rows, categorical=named(self.categorical_features, x.names))
            for note in notes(x, inputs):
                warnings.warn(f"X: {note}", UserWarning, stacklevel=4)
            return inputs
        if self.categorical_features is not None:
            raise ValueError("categorical_features: X is sparse; expected a DataFrame or a dense array")
        return learn_inputs(x, rows, weights, names=getattr(self, "feature_names_in_", None))

    def _check_partial(self) -> None:
        if self.early_stopping not in (False, "best"):
            raise ValueError("partial_fit: early_stopping is True; expected False, as one epoch has nothing to stop")

    def _weights(self, sample_weight: Any, x: Any, y: npt.NDArray[Any]) -> Numbers | None:
        """What each row counts, by its weight and that of its class; None where all count alike."""
        of_classes = self._class_weights(y)
        if sample_weight is None:
            return of_classes
        weights: Numbers = _check_sample_weight(
            sample_weight, x, dtype=np.float64, ensure_non_negative=True, allow_all_zero_weights=True
        )
        if not weights.any():
            raise ValueError("sample_weight: the weights of all samples are zero; expected some above zero")
        return weights if of_classes is None else weights * of_classes

    def _divide(self, outcome: Outcome, count: int, seed: int, once: bool) -> tuple[Rows, Rows]:
        """The rows that are trained on, None for all, and those that `early_stopping` holds out. Rows of weight zero
        are neither: they leave no trace in what is learned of the others."""
        weights = outcome.weights
        rows = None if weights is None or weights.all() else np.flatnonzero(weights)
        if isinstance(self.early_stopping, str) and self.early_stopping != "best":
            raise ValueError(f'early_stopping: expected True, False or "best", found {quoted(self.early_stopping)}')
        few = self.early_stopping == "best" and (self.warm_start or (count if rows is None else len(rows)) < FEW_ROWS)
        if once or few or not self.early_stopping or self.eval_set is not None:
            return rows, None
        rows = np.arange(count) if rows is None else rows
        share = check_number("validation_fraction", self.validation_fraction, 0.0, 1.0, strictly=True)
        held = held_out_rows(outcome.take(rows).split(np.empty((0, 0))), share, seed)
        return rows[~held], rows[held]

    def _check_training(self, training: Outcome, learned: Mapping[str, Any]) -> None:
        """ValueError where nothing can be learned from the rows that are left to train on."""

    def _special_fields(self, has_held_out: bool, once: bool) -> dict[str, Any]:
        """Fields of a training's config that follow from how it is called."""
        if once:
            return {"epochs": 1, "schedule": "constant"}
        if not has_held_out or not self.early_stopping:
            return {}
        ends = {"keep": "latest-best"} if self.early_stopping == "best" else {"patience": self.n_iter_no_change}
        return {"val_split": self.validation_fraction, **ends}

    def _eval_split(self, inputs: Inputs, learned: Mapping[str, Any]) -> Split:
        try:
            x, y = self.eval_set
        except (TypeError, ValueError):
            raise ValueError(f"eval_set: expected a pair (X, y), found {quoted(self.eval_set)}") from None
        x, y = (
            self._checked_x(x, inputs),
            self._checked_y(_check_y(y, multi_output=True, y_numeric=self._task == "regress")),
        )
        check_consistent_length(x, y)
        return self._outcome(y, learned).split(inputs(x))

    def _dataset(self, split: Split, inputs: Inputs, learned: Mapping[str, Any], loss: str) -> Dataset:
        return Dataset(
            type(self).__name__,
            split,
            None,
            image_shape=None,
            scaling=inputs.scaling,
            source="X",
            target_scaling=_scale(split, LOSSES[loss].scaling) if loss in LOSSES else None,
            preparation=inputs.preparation,
            **{"class_names": (), **self._names(learned)},  # type: ignore[arg-type]
        )

    def _new_model(self, dataset: Dataset, loss: str, seed: int) -> Model:
        kind = "n_classes" if dataset.n_targets is None else "n_targets"
        sizes = {"in_features": dataset.in_features, kind: getattr(dataset, kind)}
        config = model_config(self._task, self.get_params(deep=False), loss, **sizes)
        first = Model.create(config, seed=seed)
        return Model(
            config,
            first.weights,
            first.biases,
            class_names=dataset.class_names,
            scaling=dataset.scaling,
            metadata=first.metadata | {"data": dataset.name},
            target_names=dataset.target_names,
            target_scaling=dataset.target_scaling,
            preparation=dataset.preparation,
        )

    def _same_model(self, loss: str) -> Model:
        """A copy of the network, to train on: it stays what it is where that fails. UsageError where the parameters
        describe another one now."""
        config = self.model_.config
        sizes = {"in_features": config.in_features, "n_classes": config.n_classes, "n_targets": config.n_targets}
        wanted = model_config(
            self._task, self.get_params(deep=False), loss, **{name: size for name, size in sizes.items() if size}
        )
        for field in ("hidden", "activation", "loss", *LOSSES[config.loss].fields):
            now, then = getattr(wanted, field), getattr(config, field)
            if now != then:
                raise UsageError.of_fields(
                    f"<{field}> is {now}, and the network that the training goes on with has {then}; set that, or fit "
                    "a new estimator"
                )
        return copy.copy(self.model_)

    def _check_optimizer(self, config: TrainConfig) -> None:
        """UsageError where a training cannot go on with the state that the last one ended with."""
        solver, ema = self._optimizer
        for field, now, then, differs in (
            ("optimizer", config.optimizer, solver, config.optimizer != solver),
            ("ema", f"{config.ema:g}", f"{ema:g}", bool(config.ema) != bool(ema)),
        ):
            if differs:
                raise UsageError.of_fields(
                    f"<{field}> is {now}, and the training that this one goes on with had {then}; set that, or fit a "
                    "new estimator"
                )

    def _train(self, trainer: Trainer, begun: float) -> _Trained:
        limit = None if self.time_limit is None else check_number("time_limit", self.time_limit, 0.0, strictly=True)

        def is_over(report: object) -> bool:
            return time.perf_counter() - begun > cast(float, limit)

        trainer.prepare()
        trainer.clocked = False
        losses: list[float] = []
        scores: list[float] = []
        for report in trainer.epochs(None if limit is None else is_over):
            losses.append(report.train_loss)
            if report.val_loss is not None:
                scores.append(-report.val_loss if report.val_accuracy is None else report.val_accuracy)
            if self.verbose:
                watched = f", validation score = {scores[-1]:.6f}" if scores else ""
                print(f"Iteration {report.epoch}, loss = {losses[-1]:.8f}{watched}")
        if self.verbose:
            print(f"{trainer.history.outcome[:1].upper()}{trainer.history.outcome[1:]}.")
        return _Trained(trainer.state(), losses, scores)

    def _outputs(self, X: Any) -> npt.NDArray[np.float32]:
        """What the network computes for each row: probabilities, or standardised targets."""
        check_is_fitted(self)
        with value_errors(), all_cores_after():
            x = self._checked_x(X, self._inputs)
            threads, count = threads_for(self.n_threads), n_rows(x)
            out = np.empty((count, self.model_.config.out_features), np.float32)
            size = max(1024, PREDICTED_VALUES // self._inputs.n_inputs)
            for start in range(0, count, size):
                rows = None if count <= size else np.arange(start, min(count, start + size))
                images, features = encode(self._inputs(x, rows), self.model_.scaling)
                out[start : start + size] = self.model_.outputs_of_inputs(images, features, threads=threads)
        return out

    def save(self, path: str | Path) -> None:
        """Write the network and what else predictions need to a file of safetensors, which `load` reads, and PyTorch.

        The state of the optimizer is not in it: a pickle has that too. Raises OutputError where it cannot be written.
        """
        check_is_fitted(self)
        learned = {name: _as_record(getattr(self, name)) for name in self._learned_names}
        if hasattr(self, "feature_names_in_"):
            learned["feature_names_in_"] = _as_record(self.feature_names_in_)
        about = {
            "name": type(self).__name__,
            "parameters": {name: _as_record(value) for name, value in self.get_params().items() if _is_plain(value)},
            "learned": learned,
            "inputs": self._inputs.kind,
            "loss_curve": self.loss_curve_,
            "validation_scores": self.validation_scores_,
            "seed": self._seed,
        }
        self.model_.metadata[ABOUT] = json.dumps(about)
        self.model_.save(path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read an estimator that `save` wrote, or the network of a run folder; ModelError names what was found and
        expected. A training that goes on begins with a new state of the optimizer."""
        model = Model.load(path)
        if model.config.task != cls._task:
            other = "MLPRegressor" if model.config.task == "regress" else "MLPClassifier"
            raise ModelError(f"{path}: its network predicts {TASKS[model.config.task]}; load it with {other}.load")
        about = _about(model, path)
        try:
            return cls._of(model, about)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"{path}: its metadata have an {ABOUT} that was not written by it ({error}); save the estimator again"
            ) from None

    @classmethod
    def _of(cls, model: Model, about: Mapping[str, Any]) -> Self:
        """An estimator of a network and of what `save` wrote beside it."""
        made = cls(**{name: _from_record(value) for name, value in about.get("parameters", {}).items()})
        return cls._fitted_as(made, model, about)

    def _fitted_as(self, model: Model, about: Mapping[str, Any]) -> Self:
        """Take a network and what a file says of its training; nothing where the command line wrote it."""
        if not about:
            config = model.config
            self.set_params(hidden_layer_sizes=config.hidden, activation=config.activation, loss=config.loss)
            self._keep(model, inputs_of_model(model), self._learned_of_model(model), 0, None)
            if model.preparation is not None:
                self.feature_names_in_ = np.array([one.name for one in model.preparation.treatments], object)
            self._note([], None)
        else:
            learned = {name: _from_record(value) for name, value in about["learned"].items()}
            names = learned.pop("feature_names_in_", None)
            if names is not None:
                self.feature_names_in_ = names
            self._keep(model, inputs_of_model(model, about["inputs"]), learned, about["seed"], None)
            self._note(about["loss_curve"], about["validation_scores"])
        self.n_features_in_ = self._inputs.n_features
        return self

    @abstractmethod
    def _learned_of_model(self, model: Model) -> dict[str, Any]:
        """The attributes that a network shows by itself."""

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _refuse_words(y: Any) -> None:
    """ValueError for targets that cannot be converted to numbers; others are checked later."""
    values = np.asarray(y)
    if values.ndim == 0 or values.dtype.kind not in "USO":
        return
    for value in values.flat:
        try:
            float(value)
        except (TypeError, ValueError):
            raise ValueError(
                f"y: holds {quoted(str(value))}; expected numbers, or MLPClassifier where these are classes"
            ) from None


def _scale(split: Split, scaling: str) -> Scaling | None:
    """What a loss makes of targets, see `Loss.scaling`, with weighted means; one that never changes has scale 1."""
    if split.targets is None:
        return None
    if not scaling:
        return Scaling()
    # In units of a power of two near the largest: squares of huge and tiny targets are numbers too, to the same bits.
    exponents = np.frexp(np.abs(split.targets).max(axis=0))[1]
    targets, weights = np.ldexp(split.targets, -exponents), split.weights
    mean = np.average(targets, axis=0, weights=weights)
    if scaling == "by mean":
        offset, size = np.zeros(len(mean)), mean
    else:
        offset, size = mean, np.sqrt(np.average((targets - mean) ** 2, axis=0, weights=weights))
        size[targets.min(axis=0) == targets.max(axis=0)] = 0.0
    scale = np.ldexp(1.0 / np.where(size > 0.0, size, 1.0), np.where(size > 0.0, -exponents, 0))
    return Scaling(np.ldexp(offset, exponents), scale)


def _seed(random_state: Any) -> int:
    """A whole number is the seed; None and generators are asked for one."""
    if isinstance(random_state, Integral):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31))


def _about(model: Model, path: str | Path) -> dict[str, Any]:
    """What `save` wrote beside the network; nothing in another file."""
    try:
        about: dict[str, Any] = json.loads(model.metadata.get(ABOUT, "{}"))
    except ValueError:
        raise ModelError(f"{path}: its metadata have an {ABOUT} that is not JSON; save the estimator again") from None
    return about


def _is_plain(value: Any) -> bool:
    """Whether a parameter can be written to a file: no arrays to evaluate on, no generators."""
    if isinstance(value, Mapping):
        return all(_is_plain(each) for pair in value.items() for each in pair)
    if isinstance(value, (tuple, list, np.ndarray)):
        return all(_is_plain(each) for each in value)
    return value is None or isinstance(value, (bool, int, float, str, np.generic))


def _as_record(value: Any) -> Any:
    """A value in JSON's types, from which `_from_record` makes the same."""
    if isinstance(value, Mapping):
        return {"pairs": [[_as_record(each) for each in pair] for pair in value.items()]}
    if isinstance(value, np.ndarray):
        return {"array": value.tolist(), "dtype": "O" if value.dtype == object else value.dtype.str}
    if isinstance(value, tuple):
        return {"tuple": [_as_record(each) for each in value]}
    return value.item() if isinstance(value, np.generic) else value


def _from_record(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if "pairs" in value:
        return {_from_record(key): _from_record(each) for key, each in value["pairs"]}
    if "tuple" in value:
        return tuple(_from_record(each) for each in value["tuple"])
    return np.array(value["array"], dtype=value["dtype"])
