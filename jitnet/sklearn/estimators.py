"""The two estimators: of classes, and of numbers."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels
from sklearn.utils.validation import check_is_fitted, column_or_1d

from jitnet.config import LOSSES
from jitnet.config.checking import quoted
from jitnet.datasets.labels import check_names
from jitnet.datasets.targets import default_names
from jitnet.errors import DataError
from jitnet.model import Model
from jitnet.model.encoding import decode_targets
from jitnet.sklearn.fitting import NetworkEstimator, Outcome
from jitnet.sklearn.parameters import describe_parameters
from jitnet.sklearn.settings import check_number

__all__ = ["MLPClassifier", "MLPRegressor"]

_NO_LABELS = np.zeros(0, np.int64)


class MLPClassifier(ClassifierMixin, NetworkEstimator):  # type: ignore[misc]
    """A network for classes, one a row; or for several yes/no labels at once.

    X is an array of numbers, a CSR matrix, or a DataFrame with categories, dates and missing values as they are. It
    need not be scaled. Fitted attributes: classes_, coefs_ and intercepts_ (arrays a layer, of the prepared inputs),
    loss_curve_ (a mean loss an epoch), validation_scores_ (an accuracy an epoch, or None), n_iter_ (epochs),
    n_features_in_, feature_names_in_, and model_, the `jitnet.Model`.
    """

    _task = "classify"

    def __init__(
        self,
        hidden_layer_sizes: Any = (256, 256, 256),
        activation: Any = "selu",
        *,
        solver: Any = "adam",
        alpha: Any = 0.0,
        batch_size: Any = "auto",
        learning_rate_init: Any = "auto",
        schedule: Any = "coslog4",
        max_iter: Any = 256,
        loss: Any = "auto",
        dropout: Any = 0.0,
        label_smoothing: Any = 0.1,
        ema: Any = 0.0,
        class_weight: Any = None,
        early_stopping: Any = "best",
        validation_fraction: Any = 0.2,
        n_iter_no_change: Any = 10,
        eval_set: Any = None,
        time_limit: Any = None,
        categorical_features: Any = None,
        random_state: Any = None,
        warm_start: Any = False,
        n_threads: Any = None,
        verbose: Any = False,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.schedule = schedule
        self.max_iter = max_iter
        self.loss = loss
        self.dropout = dropout
        self.label_smoothing = label_smoothing
        self.ema = ema
        self.class_weight = class_weight
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.eval_set = eval_set
        self.time_limit = time_limit
        self.categorical_features = categorical_features
        self.random_state = random_state
        self.warm_start = warm_start
        self.n_threads = n_threads
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on X (n, features) and y, (n,) classes of any type or (n, labels) of 0 and 1; return the estimator.

        sample_weight: (n,), how much each row counts; rows of weight zero are left out. Raises ValueError for what
        cannot be trained on, DivergedError where the loss becomes NaN or infinite.
        """
        return self._fit(X, y, sample_weight, goes_on=self.warm_start and self.__sklearn_is_fitted__())

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """Train on for one epoch over X and y at the rate `learning_rate_init`; return the estimator.

        classes: all that later calls may bring, needed in the first call where its y lacks some.
        """
        self._check_partial()
        if classes is not None and self.__sklearn_is_fitted__():
            found = unique_labels(classes)
            if not np.array_equal(found, self.classes_):
                raise ValueError(f"classes: found {found}; expected those of the first call, {self.classes_}, or None")
        return self._fit(X, y, sample_weight, goes_on=self.__sklearn_is_fitted__(), once=True, classes=classes)

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Return the probability of each class, (n, n_classes), or of each label, (n, n_labels)."""
        found = self._outputs(X).astype(np.float64)
        return found if self._has_labels else found / found.sum(axis=1, keepdims=True)

    def predict_log_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Return the logarithms of `predict_proba`."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Return the most probable class of each row, (n,); or 1 for each label that is more probable than not, else
        0, (n, n_labels)."""
        found = self._outputs(X)
        if self._has_labels:
            return (found > 0.5).astype(np.int64)
        return self.classes_[found.argmax(axis=1)]

    def _checked_y(self, y: Any) -> npt.NDArray[Any]:
        try:
            check_classification_targets(y)
        except TypeError:  # they cannot be sorted
            raise ValueError("y: holds values of several types; expected classes of one, and none missing") from None
        if type_of_target(y, input_name="y") == "multilabel-indicator":
            labels = np.asarray(y.toarray() if hasattr(y, "toarray") else y)
            if not np.isin(labels, (0, 1)).all():
                raise ValueError(f"y: holds {np.unique(labels)}; expected 0 and 1, where rows have several labels each")
            return labels
        return column_or_1d(y, warn=True)

    def _learned(self, y: npt.NDArray[Any], classes: Any) -> dict[str, Any]:
        if y.ndim == 2:
            return {"classes_": np.arange(y.shape[1]), "_has_labels": True}
        found = unique_labels(y if classes is None else classes)
        if len(found) < 2:
            raise ValueError(f"y: holds one class, {quoted(found.tolist()[0])}; expected two classes or more")
        return {"classes_": found, "_has_labels": False}

    def _outcome(self, y: npt.NDArray[Any], learned: Mapping[str, Any]) -> Outcome:
        classes, has_labels = learned["classes_"], learned["_has_labels"]
        if has_labels != (y.ndim == 2) or (has_labels and y.shape[1] != len(classes)):
            first = f"{len(classes)} labels" if has_labels else "one class"
            raise ValueError(f"y: has the shape {y.shape}; expected {first} for each row, as in the first call")
        if has_labels:
            return Outcome(_NO_LABELS, y.astype(bool))
        unknown = np.setdiff1d(y, classes)
        if len(unknown):
            raise ValueError(
                f"y: holds the class {quoted(unknown.tolist()[0])}; expected the classes of the first call, {classes}"
            )
        return Outcome(np.searchsorted(classes, y).astype(np.int64), None)

    def _check_training(self, training: Outcome, learned: Mapping[str, Any]) -> None:
        left = np.unique(training.labels)
        if len(left) == 1 and not learned["_has_labels"]:
            only = quoted(learned["classes_"].tolist()[left[0]])
            raise ValueError(f"y: all rows that are trained on have the class {only}; expected two classes or more")

    def _names(self, learned: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
        names = tuple(str(name) for name in learned["classes_"])
        if learned["_has_labels"]:
            return {"target_names": names}
        try:
            return {"class_names": check_names(names, "y")}
        except DataError:  # a name that is empty or not text that a terminal can show
            return {"class_names": tuple(map(str, range(len(names))))}

    def _class_weights(self, y: npt.NDArray[Any]) -> npt.NDArray[np.float64] | None:
        if self.class_weight is None:
            return None
        if y.ndim == 2:
            raise ValueError("class_weight: rows have several labels each; expected None, or one class a row")
        if isinstance(self.class_weight, Mapping):
            for weight in self.class_weight.values():
                check_number("class_weight", weight, 0.0)
        elif not (isinstance(self.class_weight, str) and self.class_weight == "balanced"):
            raise ValueError(
                'class_weight: expected None, "balanced" or a dict of weights by class, found '
                f"{quoted(self.class_weight)}"
            )
        try:
            weights: npt.NDArray[np.float64] = compute_sample_weight(self.class_weight, y)
        except ValueError:  # neither all classes of y nor only some of them have a weight
            found = ", ".join(map(repr, self.class_weight))
            raise ValueError(
                f"class_weight: has weights of {found}; expected classes of y, {np.unique(y).tolist()}"
            ) from None
        return weights

    def _learned_of_model(self, model: Model) -> dict[str, Any]:
        names, has_labels = model.class_names, model.config.target == "label"
        if has_labels:
            return {"classes_": np.arange(len(model.target_names)), "_has_labels": True}
        plain = all(name.isdecimal() for name in names)
        return {"classes_": np.array([int(name) for name in names] if plain else names), "_has_labels": False}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class MLPRegressor(RegressorMixin, NetworkEstimator):  # type: ignore[misc]
    """A network for numbers, one or several a row, each standardised for training and predicted in its unit.

    X is an array of numbers, a CSR matrix, or a DataFrame with categories, dates and missing values as they are. It
    need not be scaled. Fitted attributes: coefs_ and intercepts_ (arrays a layer, of the prepared inputs), loss_curve_
    (a mean loss an epoch, of the standardised targets), validation_scores_ (minus the loss of held-out rows an epoch,
    or None), n_iter_ (epochs), n_outputs_, n_features_in_, feature_names_in_, and model_, the `jitnet.Model`.
    """

    _task = "regress"

    def __init__(
        self,
        hidden_layer_sizes: Any = (256, 256, 256),
        activation: Any = "mish",
        *,
        solver: Any = "adam",
        alpha: Any = 0.0,
        batch_size: Any = "auto",
        learning_rate_init: Any = "auto",
        schedule: Any = "coslog4",
        max_iter: Any = 256,
        loss: Any = "squared_error",
        huber_delta: Any = 1.0,
        quantiles: Any = (0.1, 0.5, 0.9),
        dropout: Any = 0.0,
        ema: Any = 0.0,
        early_stopping: Any = "best",
        validation_fraction: Any = 0.2,
        n_iter_no_change: Any = 10,
        eval_set: Any = None,
        time_limit: Any = None,
        categorical_features: Any = None,
        random_state: Any = None,
        warm_start: Any = False,
        n_threads: Any = None,
        verbose: Any = False,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.schedule = schedule
        self.max_iter = max_iter
        self.loss = loss
        self.huber_delta = huber_delta
        self.quantiles = quantiles
        self.dropout = dropout
        self.ema = ema
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.eval_set = eval_set
        self.time_limit = time_limit
        self.categorical_features = categorical_features
        self.random_state = random_state
        self.warm_start = warm_start
        self.n_threads = n_threads
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on X (n, features) and y, (n,) or (n, targets) numbers; return the estimator.

        sample_weight: (n,), how much each row counts; rows of weight zero are left out. Raises ValueError for what
        cannot be trained on, DivergedError where the loss becomes NaN or infinite.
        """
        return self._fit(X, y, sample_weight, goes_on=self.warm_start and self.__sklearn_is_fitted__())

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on for one epoch over X and y at the rate `learning_rate_init`; return the estimator."""
        self._check_partial()
        return self._fit(X, y, sample_weight, goes_on=self.__sklearn_is_fitted__(), once=True)

    def predict(self, X: Any) -> npt.NDArray[np.float64]:
        """Return the numbers of each row in their unit: (n,), or (n, targets) where there are several. With the loss
        quantile they are the quantile nearest to the median."""
        found = self._quantiles(X)
        levels = np.asarray(self.model_.config.quantiles)
        middle = found[:, :, int(np.abs(levels - 0.5).argmin()) if found.shape[2] > 1 else 0]
        return middle[:, 0] if self._is_flat else middle

    def predict_quantiles(self, X: Any) -> npt.NDArray[np.float64]:
        """Return all `quantiles` of each row, ascending: (n, quantiles), or (n, targets, quantiles) where there are
        several targets. ValueError with another loss than quantile."""
        check_is_fitted(self)
        if self.model_.config.loss != "quantile":
            raise ValueError(f"predict_quantiles: the loss is {self.model_.config.loss}; fit with loss='quantile'")
        found = self._quantiles(X)
        return found[:, 0] if self._is_flat else found

    def _quantiles(self, X: Any) -> npt.NDArray[np.float64]:
        """(n, targets, outputs of each)."""
        outputs = self._outputs(X)
        count = self.model_.config.outputs_per_target
        return decode_targets(outputs, self.model_.target_scaling, count).reshape(len(outputs), -1, count)

    def _checked_y(self, y: Any) -> npt.NDArray[Any]:
        return np.asarray(y, np.float64)

    def _learned(self, y: npt.NDArray[Any], classes: Any) -> dict[str, Any]:
        return {"_is_flat": y.ndim == 1, "n_outputs_": 1 if y.ndim == 1 else y.shape[1]}

    def _outcome(self, y: npt.NDArray[Any], learned: Mapping[str, Any]) -> Outcome:
        targets = y.reshape(len(y), -1)
        if targets.shape[1] != learned["n_outputs_"]:
            count = learned["n_outputs_"]
            raise ValueError(f"y: has the shape {y.shape}; expected {count} numbers a row, as in the first call")
        counts = isinstance(self.loss, str) and self.loss in LOSSES and LOSSES[self.loss].nonnegative
        if counts and (targets < 0.0).any():
            row = int((targets < 0.0).any(axis=1).argmax())
            raise ValueError(
                f"y: row {row} (from 0) holds {targets[row].min():g}; expected numbers of 0 or more with the loss "
                f"{self.loss}"
            )
        return Outcome(_NO_LABELS, targets)

    def _names(self, learned: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
        return {"target_names": default_names(learned["n_outputs_"])}

    def _learned_of_model(self, model: Model) -> dict[str, Any]:
        return {"_is_flat": model.config.n_targets == 1, "n_outputs_": model.config.n_targets}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


for _estimator in (MLPClassifier, MLPRegressor):
    _listed = f"    Parameters, with their defaults:\n\n{describe_parameters(_estimator)}"
    _estimator.__doc__ = f"{_estimator.__doc__}\n{_listed}\n    "
