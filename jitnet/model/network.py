"""A network and what it needs to be used: weights, activation, names of classes or targets, image shape, scaling."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from jitnet.config import (
    LAYERS,
    LOSSES,
    MAX_THREADS,
    TARGETS,
    Layer,
    ModelConfig,
    check_arguments,
    check_whole_number,
    layers_in_words,
    losses_for,
)
from jitnet.config.checking import quoted
from jitnet.datasets import Dataset, Scaling, Split
from jitnet.datasets.assemble import prepared
from jitnet.datasets.columns import as_numbers
from jitnet.datasets.compressed import CompressedRows, compress, is_sparse
from jitnet.datasets.dataset import is_shape
from jitnet.datasets.kind import MOST_APART, peak, unlike
from jitnet.datasets.labels import check_names
from jitnet.datasets.registry import as_table
from jitnet.datasets.targets import default_names, scale_targets
from jitnet.errors import DataError, ModelError, OutputError
from jitnet.model.any_model import AnyModel
from jitnet.model.encoding import Features, Rows, Samples, decode_targets, encode
from jitnet.model.file import StoredModel, read, write
from jitnet.tables.preparation import Preparation
from jitnet.tables.table import Table
from jitnet.version import __version__

if TYPE_CHECKING:
    from jitnet.engine.prediction import Predictor

__all__ = ["Model"]

Floats = npt.NDArray[np.float32]

NO_TABLE = "the model was not trained on a table, so it has no names of columns; give it an array"
DENSE_VALUES = 1 << 20
"""Values of a sparse matrix that are made dense at a time."""

UNTRAINED = "untrained"
"""In the metadata of a network on which no training has begun."""
OWN_SCALING = "own_scaling"
"""In the metadata of a network whose data had a scaling of the caller's choice, which does not show their form."""


class _Text(str):
    """Text that a prompt shows as it is printed."""

    __repr__ = str.__str__


class Model(AnyModel):
    """A fully connected network.

    config: its shape. weights: a (out_features, in_features) float32 array a layer, biases: (out_features,) float32;
    both read-only, replaced whole by `set_parameters`. class_names: one a class; empty where targets are numbers or
    yes/no labels.
    image_shape: (height, width) of a sample or None. scaling: how stored values become inputs. metadata: where it came
    from, text by name. target_names: one a target, where targets are numbers or labels. target_scaling: how numbers
    become what the network is trained on, (target - offset) * scale; it predicts in the targets' unit. preparation:
    what the columns of a table become; None where samples are no rows of a table.
    """

    def __init__(
        self,
        config: ModelConfig,
        weights: Sequence[Floats],
        biases: Sequence[Floats],
        *,
        class_names: Sequence[str] = (),
        image_shape: tuple[int, int] | None = None,
        scaling: Scaling | None = None,
        metadata: dict[str, str] | None = None,
        target_names: Sequence[str] = (),
        target_scaling: Scaling | None = None,
        preparation: Preparation | None = None,
    ) -> None:
        check_arguments("Model(config, weights, biases)", config=(config, ModelConfig))
        self.config = config
        self.class_names = _names(config, class_names, "class")
        self.target_names = _names(config, target_names, "target")
        self.target_scaling = target_scaling or Scaling()
        _check_target_scaling(config, self.target_scaling)
        if image_shape is not None and not is_shape(image_shape, config.in_features):
            raise ModelError(
                f"image_shape: {quoted(image_shape)} is not (height, width) of {config.in_features} pixels"
            )
        self.image_shape = image_shape and (int(image_shape[0]), int(image_shape[1]))
        self.scaling = scaling if scaling is not None else Scaling(0.0, 1.0 / 255.0)
        for name, part in (("offset", self.scaling.offset), ("scale", self.scaling.scale)):
            if np.shape(part) not in ((), (config.in_features,)) or not np.isfinite(part).all():
                raise ModelError(f"scaling: {name} is {quoted(part)}; expected a finite number, or one a feature")
        self.preparation = preparation
        _check_preparation(config, preparation)
        self.metadata = dict(metadata or {})
        self._learned: Scaling | None = None
        self._learned_preparation: Preparation | None = None
        self._assigned = _first_parameters(config)
        self._compute: Callable[[], Mapping[str, Floats]] | None = None
        self._learned_targets: Scaling | None = None
        self.set_parameters(weights, biases)

    @classmethod
    def create(cls, config: ModelConfig, dataset: Dataset | None = None, *, seed: int = 0) -> Self:
        """A network before training; names, image shape and scalings are the data set's.

        Weights and biases are drawn as `config.init` says, the same for a seed everywhere. seed: a whole number from 0
        to below 2^63, or UsageError. Raises ModelError where the data set has other features or classes than the
        config.
        """
        check_arguments(
            "Model.create(config, dataset)",
            config=(config, ModelConfig),
            dataset=(dataset, (Dataset, type(None))),
        )
        seed = check_whole_number("seed", seed, 0, 2**63 - 1)
        from jitnet.kernels.random import fill_normal

        weights, biases = [], []
        widths = config.widths
        for layer, (before, after) in enumerate(itertools.pairwise(widths)):
            weight, bias = np.zeros((after, before), np.float32), np.zeros((1, after), np.float32)
            is_hidden = layer < len(config.hidden)
            deviation = {"he": math.sqrt(2.0 / before), "normal": 1.0, "ntk": math.sqrt(1.0 / before) * is_hidden}
            if deviation[config.init] > 0.0:
                fill_normal(weight, deviation[config.init], np.uint64(seed), 2 * layer)
            if config.init != "he" and is_hidden:
                fill_normal(bias, 1.0, np.uint64(seed), 2 * layer + 1)
            weights.append(weight)
            biases.append(bias[0])
        metadata = {"jitnet": __version__, "seed": str(seed), UNTRAINED: "yes"}
        if dataset is None:
            return cls(config, weights, biases, metadata=metadata)
        _check_sizes(config, dataset)
        metadata |= {"data": dataset.name, "data_source": dataset.source, "data_checksum": dataset.checksum}
        if dataset.fold:
            metadata["fold"] = dataset.fold
        if dataset.given is None and unlike(dataset.scaling, dataset.train.images):
            metadata[OWN_SCALING] = "yes"
        scaling = _scaling_of_targets(config, dataset) or dataset.target_scaling
        return cls(
            config,
            weights,
            biases,
            class_names=dataset.class_names,
            image_shape=dataset.image_shape,
            scaling=dataset.scaling,
            metadata=metadata,
            target_names=dataset.target_names,
            target_scaling=scaling,
            preparation=dataset.preparation,
        )

    def __getstate__(self) -> dict[str, Any]:
        """What a copy or a pickle of it holds: not the memory that predictions are computed in."""
        self._compute_parameters()
        return {name: value for name, value in self.__dict__.items() if name != "_predictor"}

    def __repr__(self) -> str:
        """The network in a line: its widths, its activation and other layers, and how many parameters it has."""
        widths, parameters = " → ".join(map(str, self.config.widths)), self.config.n_parameters
        return f"Model({widths}, {layers_in_words(self.config.model_dump())}, {parameters:,} parameters)"

    def summary(self) -> str:
        """Return the network as a table, a line a layer, and what it was made for; a prompt shows it as it prints."""
        rows = [("layer", "followed by", "parameters")]
        for before, after, follows, parameters in self.config.summary_rows:
            rows.append((f"{before:,} → {after:,}", follows, f"{parameters:,}"))
        rows.append(("network", "", f"{self.config.n_parameters:,}"))
        left, middle, right = (max(len(row[k]) for row in rows) for k in range(3))
        lines = [f"{layer:<{left}}  {follows:<{middle}}  {count:>{right}}" for layer, follows, count in rows]
        lines.insert(1, "─" * len(lines[0]))
        names = list(self.class_names or self.target_names)
        shown = names if len(names) <= 12 else [*names[:10], "…", names[-1]]
        kinds = {"class": "classes", "label": "labels", "number": "targets"}
        lines.append(f"{kinds[self.config.target]}: {', '.join(shown)}")
        if self.image_shape is not None:
            lines.append(f"samples: images of {self.image_shape[0]}×{self.image_shape[1]}")
        if "data" in self.metadata:
            lines.append(f"made for: {self.metadata['data']}")
        return _Text("\n".join(lines))

    @property
    def members(self) -> "tuple[Model, ...]":
        """The model itself: a committee has several."""
        return (self,)

    @property
    def trained(self) -> bool:
        """Whether a training has begun. Before, its scaling is found again by the rows that are trained on."""
        return UNTRAINED not in self.metadata

    def learns_scaling(self, dataset: Dataset) -> bool:
        """Whether a training on a data set finds the scaling and the preparation again: none has begun, and the caller
        chose no other."""
        same = self.scaling == dataset.scaling or self.scaling is self._learned
        prepares = self.preparation == dataset.preparation
        prepares |= self.preparation is not None and self.preparation is self._learned_preparation
        return not self.trained and same and prepares

    def learn_scaling(
        self, scaling: Scaling, image_shape: tuple[int, int] | None, preparation: Preparation | None = None
    ) -> None:
        """Take the scaling, the image shape and the preparation that the rows to train on show."""
        self.scaling = self._learned = scaling
        self.image_shape = image_shape
        self.preparation = self._learned_preparation = preparation

    def learns_targets(self, dataset: Dataset) -> bool:
        """The same of the scaling of targets that are numbers."""
        found = _scaling_of_targets(self.config, dataset)
        if self.trained or found is None:
            return False
        return self.target_scaling == found or self.target_scaling is self._learned_targets

    def learn_targets(self, scaling: Scaling) -> None:
        """Take the scaling of targets that the rows to train on show."""
        self.target_scaling = self._learned_targets = scaling

    def learn_again(self, *, new: bool, scaling: bool, targets: bool) -> None:
        """Be as untrained as it was when a training began that goes on with it, and learn from the data what it did
        then: the scaling of samples, and that of targets."""
        if new:
            self.metadata[UNTRAINED] = "yes"
        if scaling:
            self.learn_scaling(self.scaling, self.image_shape, self.preparation)
        if targets:
            self.learn_targets(self.target_scaling)

    def begin_training(self) -> None:
        """Note that a training has begun: from now on the scaling belongs to the parameters."""
        self.metadata.pop(UNTRAINED, None)

    @property
    def is_named(self) -> bool:
        """Whether its classes have names: the data's or the caller's, not the mere numbers of an unknown data set."""
        return "data" in self.metadata or self.class_names != _numbered(len(self.class_names))

    @property
    def judges_values(self) -> bool:
        """Whether its scaling shows which values it can have been trained on."""
        if OWN_SCALING in self.metadata or self.preparation is not None:
            return False
        return "data" in self.metadata or peak(self.scaling) > 0

    @property
    def weights(self) -> tuple[Floats, ...]:
        """Each layer's weights, (out_features, in_features) float32, read-only."""
        return tuple(self._parameters[layer.key("weight")] for layer in self._linear)

    @property
    def biases(self) -> tuple[Floats, ...]:
        """Each layer's biases, (out_features,) float32, read-only."""
        return tuple(self._parameters[layer.key("bias")] for layer in self._linear)

    @property
    def parameters(self) -> Mapping[str, Floats]:
        """All parameters by their names in PyTorch, as "0.weight" and "0.bias": float32, read-only."""
        return MappingProxyType(self._parameters)

    @property
    def _linear(self) -> list[Layer]:
        return [layer for layer in self.config.layers if layer.kind == "linear"]

    def set_parameters(self, weights: Sequence[Floats], biases: Sequence[Floats]) -> None:
        """Replace all weights and biases of linear layers; ModelError where their number or a shape is not the
        config's, or a number is not finite. Those of other layers stay."""
        weights, biases = _numbers(weights, "weights"), _numbers(biases, "biases")
        widths, n_layers = self.config.widths, len(self._linear)
        if not len(weights) == len(biases) == n_layers:
            raise ModelError(
                f"found {len(weights)} array{'s' * (len(weights) != 1)} of weights and {len(biases)} of biases; "
                f"expected {n_layers} of each, one a layer"
            )
        for layer, (before, after) in enumerate(itertools.pairwise(widths)):
            for name, array, shape in (("weight", weights[layer], (after, before)), ("bias", biases[layer], (after,))):
                if array.shape != shape:
                    raise ModelError(f"layer {layer}: {name} has shape {array.shape}; expected {shape}")
        arrays = [{"weight": weight, "bias": bias} for weight, bias in zip(weights, biases, strict=True)]
        named = {
            layer.key(name): array[name] for layer, array in zip(self._linear, arrays, strict=True) for name in array
        }
        self.replace_parameters({**self._parameters, **named})

    def replace_parameters(self, parameters: Mapping[str, Floats]) -> None:
        """Replace all parameters, named as in `parameters`; ModelError where a name or a shape is not the config's, or
        a number is not finite."""
        shapes = self.config.parameter_shapes
        if not isinstance(parameters, Mapping):
            raise ModelError(f"parameters: expected a dict of arrays by name, found {quoted(parameters)}")
        if set(parameters) != set(shapes):
            found = ", ".join(map(str, parameters)) or "nothing"
            raise ModelError(f"found the parameters {found}; expected {', '.join(shapes)}")
        arrays = {name: _array(parameters[name], name) for name in shapes}
        for name, shape in shapes.items():
            if arrays[name].shape != shape:
                raise ModelError(f"{name} has shape {arrays[name].shape}; expected {shape}")
        frozen = {name: _frozen(array) for name, array in arrays.items()}
        for name, array in frozen.items():
            if not np.isfinite(array).all():
                raise ModelError(f"{name} holds NaN, or infinite numbers as float32; expected finite ones")
        self._assigned, self._compute = frozen, None
        self.__dict__.pop("_predictor", None)

    def replace_parameters_when_read(self, compute: Callable[[], Mapping[str, Floats]]) -> None:
        """Replace all parameters by those that `compute` returns, which is called when they are first read, or never
        where they are replaced before. They must be what `replace_parameters` takes."""
        self._compute = compute
        self.__dict__.pop("_predictor", None)

    def _compute_parameters(self) -> None:
        compute = self._compute
        if compute is not None:
            self.replace_parameters(compute())

    @property
    def _parameters(self) -> dict[str, Floats]:
        self._compute_parameters()
        return self._assigned

    def check_features(self, dataset: Dataset) -> None:
        """ModelError where samples have more or fewer values than the network takes."""
        if self.preparation is not None and dataset.table is not None:
            return  # its columns become what the network takes, or are named
        if None not in (self.preparation, dataset.preparation) and self.preparation != dataset.preparation:
            raise ModelError(
                f"{dataset.name}: its samples are rows of a table that were prepared in another way than the model "
                "prepares them; name the table itself"
            )
        if dataset.in_features != self.config.in_features:
            values = f"{dataset.in_features} value{'s' * (dataset.in_features != 1)}"
            raise ModelError(
                f"{dataset.name}: samples have {values}, the model expects {self.config.in_features}; use the kind of "
                "data that it was trained on"
            )

    def inputs(self, images: Samples) -> tuple[npt.NDArray[np.uint8], Features]:
        """Samples as the loops take them: (n, in_features) bytes and no floats, or no bytes and scaled floats.

        images: (n, in_features), (in_features,) or (n, height, width), as stored in a data set: not scaled. Those of a
        sparse matrix are `CompressedRows` in place of the floats. Raises ModelError where shape or type does not fit,
        DataError for values that are not finite.
        """
        return encode(self._rows(images), self.scaling)

    def _rows(self, images: Any) -> Rows:
        """Samples, (n, in_features); ModelError where their shape does not fit."""
        if is_sparse(images):
            sparse = compress(images, "samples")
            if sparse.width != self.config.in_features:
                raise ModelError(
                    f"samples of shape {sparse.shape} do not fit; the model expects (n, {self.config.in_features})"
                )
            return sparse
        if isinstance(images, (Table, str, Path)) or (self.preparation is not None and hasattr(images, "columns")):
            return self._prepared(images)
        plain = type(images) is np.ndarray and images.dtype.kind != "O"
        raw: npt.NDArray[Any] = images if plain else as_numbers(images, "samples")
        features = self.config.in_features
        if raw.ndim == 1 or (raw.ndim == 2 and self.image_shape is not None and raw.shape == self.image_shape):
            raw = raw.reshape(1, -1)
        elif raw.ndim > 2:
            raw = raw.reshape(len(raw), math.prod(raw.shape[1:]))
        if raw.ndim != 2 or raw.shape[1] != features:
            raise ModelError(f"samples of shape {np.shape(images)} do not fit; the model expects (n, {features})")
        return raw

    def _prepared(self, rows: Any) -> Floats:
        """What the columns of a table, a DataFrame or a file become."""
        if self.preparation is None:
            raise ModelError(NO_TABLE)
        return self.preparation.features(as_table(rows, kinds=self.preparation.kinds_needed))

    def _check_values(self, rows: Rows) -> None:
        """DataError where rows, as stored, cannot be of the kind that the model was trained on.

        For a model whose file does not describe its data, only what cannot be grey levels is refused, unless another
        scaling was assigned to it.
        """
        scale = self.scaling.scale
        # Any byte may be one of 64 grey levels or more. One image is predicted in little more time than a check takes.
        any_byte = isinstance(scale, float) and scale * 255 <= MOST_APART
        if (any_byte and rows.dtype == np.uint8) or not self.judges_values or rows.dtype.kind not in "fiub":
            return
        if reason := unlike(self.scaling, rows):
            hint = "give values as they are in the data set, not scaled"
            if "data" not in self.metadata:
                hint = "the model does not say how it scales values: set its `scaling` where that is wrong"
            raise DataError(f"{reason}; {hint}")

    def predict(self, images: Samples, *, threads: int = 0) -> Floats:
        """Predictions for samples as stored in a data set: not scaled. Probabilities (n, n_classes), or of yes
        (n, n_labels), or where targets are numbers these, (n, n_targets) in their unit, of a network of quantiles each
        of them one after another; float32. `output_names` names the columns.

        images: (n, in_features), (in_features,) or (n, height, width); uint8 or numbers, or a table of numbers, or a
        sparse matrix of SciPy, whose zeros are skipped.
        Where the model has a preparation, as one that was trained on a table or saved by an estimator: raw rows as a
        DataFrame, a `Table` or the path of a file, whose columns are found by name. An array, which has no names, is
        taken for what the preparation makes of raw rows, one feature for each of `preparation.feature_names`: raw
        values in an array would be predicted wrongly. The columns of an estimator's array are called x0, x1 and so on.
        threads: how many at most; 0 chooses by the work. Raises ModelError where the samples' shape or type does not
        fit, DataError where a value of a table is not a number, is not finite, or cannot be of the kind that the model
        was trained on, as images / 255 where it was trained on bytes.
        """
        return self._in_unit(self.outputs(images, threads=threads))

    def outputs(self, images: Samples, *, threads: int = 0) -> Floats:
        """What the network computes for the same samples: probabilities, or targets still standardised, which float32
        holds precisely wherever they are in their unit."""
        rows = self._rows(images)
        if isinstance(rows, CompressedRows) and not self.scaling.keeps_zeros:
            # Its zeros are no zeros to the network, so they are made dense, some rows at a time.
            size = max(1, DENSE_VALUES // rows.width)
            blocks = (rows[first : first + size].toarray() for first in range(0, max(1, len(rows)), size))
            return np.concatenate([self.outputs(block, threads=threads) for block in blocks])
        self._check_values(rows)
        return self.outputs_of_inputs(*encode(rows, self.scaling), threads=threads)

    def outputs_of_split(self, split: Split) -> Floats:
        """The same of the samples of a split; of the rows of a table those of what they become."""
        return self.outputs((split if self.preparation is None else prepared(split, self.preparation)).images)

    def row_predictor(self, table: Table) -> Callable[[npt.NDArray[np.int64]], Floats]:
        """A function that predicts some rows of a table, by their numbers from 0. Raises DataError as `predict`."""
        if self.preparation is None:
            raise ModelError(NO_TABLE)
        encoder = self.preparation.encoder(table)
        return lambda rows: self.predict(encoder(rows))

    def outputs_of_inputs(self, images: npt.NDArray[np.uint8], features: Features, *, threads: int = 0) -> Floats:
        """The same of samples in the form that `inputs` returns."""
        return self._predictor(images, features, check_whole_number("threads", threads, 0, MAX_THREADS))

    def predict_inputs(self, images: npt.NDArray[np.uint8], features: Features, *, threads: int = 0) -> Floats:
        """Predictions, as those of `predict`, of samples in the form that `inputs` returns."""
        return self._in_unit(self.outputs_of_inputs(images, features, threads=threads))

    def _in_unit(self, outputs: Floats) -> Floats:
        """The network's outputs as predictions: probabilities as they are, targets in their unit."""
        if self.config.task == "classify":
            return outputs
        return decode_targets(outputs, self.target_scaling, self.config.outputs_per_target).astype(np.float32)

    def activations(self, images: Samples) -> list[Floats]:
        """What each layer computes for samples, first to last: an (n, units) float32 array a layer.

        Those of hidden layers are what follows their activation function; the last are the predictions, the very
        numbers of `predict`. images: as `predict` takes them. Raises ModelError where the samples' shape or type does
        not fit, DataError as `predict` does.
        """
        *hidden, outputs = self._predictor.activations(*self._inputs(images))
        return [*hidden, self._in_unit(outputs)]

    def _inputs(self, images: Samples) -> tuple[npt.NDArray[np.uint8], Features]:
        """As `inputs`, of values that can be of the kind that the model was trained on; else DataError."""
        rows = self._rows(images)
        self._check_values(rows)
        return encode(rows, self.scaling)

    @cached_property
    def _predictor(self) -> "Predictor":
        from jitnet.engine.prediction import Predictor

        return Predictor(self.config, self._parameters, self.scaling.offset, self.scaling.scale)

    def save(self, path: str | Path) -> None:
        """Write the model to a safetensors file, whole or not at all; OutputError where it cannot be written."""
        check_arguments("model.save(path)", path=(path, (str, Path)))
        if not Path(path).name:
            raise OutputError(
                f"{str(path)!r} is not the name of a file; name one, as in model.save('model.safetensors')"
            )
        write(Path(path), self.stored())

    def stored(self) -> StoredModel:
        """What a file of it holds."""
        return self._described()._replace(parameters=self._parameters)

    def stored_as_begun(self) -> StoredModel:
        """The same without the parameters, of a network on which a training has begun."""
        found = self._described()
        found.metadata.pop(UNTRAINED, None)
        return found

    def _described(self) -> StoredModel:
        return StoredModel(
            self.config,
            {},
            self.class_names,
            self.image_shape,
            self.scaling,
            dict(self.metadata),
            self.target_names,
            self.target_scaling,
            self.preparation,
        )

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a model from a safetensors file or a run folder; ModelError names what was found and expected.

        A file saved by PyTorch from such an `nn.Sequential` loads too: relu, classes named by number, values 0 to 255.
        """
        check_arguments("Model.load(path)", path=(path, (str, Path)))
        return cls.of_stored(read(Path(path)))

    @classmethod
    def of_stored(cls, found: StoredModel) -> Self:
        """A model of what a file holds."""
        linear = [layer for layer in found.config.layers if layer.kind == "linear"]
        model = cls(
            found.config,
            *([found.parameters[layer.key(name)] for layer in linear] for name in ("weight", "bias")),
            class_names=found.class_names,
            image_shape=found.image_shape,
            scaling=found.scaling,
            metadata=found.metadata,
            target_names=found.target_names,
            target_scaling=found.target_scaling,
            preparation=found.preparation,
        )
        model.replace_parameters(found.parameters)
        return model


def _first_parameters(config: ModelConfig) -> dict[str, Floats]:
    """What parameters begin with: zeros for those of linear layers."""
    return {
        layer.key(name): np.full(shape, LAYERS[layer.kind].parameters[name], np.float32)
        for layer in config.saved_layers
        for name, shape in layer.shapes.items()
    }


def _names(config: ModelConfig, names: Sequence[str], kind: str) -> tuple[str, ...]:
    """Names of the outputs, one a class or one a target; nothing where the network has none of that kind. kind: "class"
    or "target"."""
    count = config.n_classes if kind == "class" else config.n_targets
    if count is None:
        if names:
            raise ModelError(f"{kind}_names: the network predicts {TARGETS[config.target]}; leave them out")
        return ()
    try:
        checked = check_names(names, f"{kind}_names", kind)
    except DataError as error:
        raise ModelError(str(error)) from None
    if not checked:
        return (_numbered if kind == "class" else default_names)(count)
    if len(checked) != count:
        raise ModelError(f"{kind}_names: there are {len(checked)}; expected {count}, one a {kind}")
    return checked


def _check_preparation(config: ModelConfig, preparation: Preparation | None) -> None:
    if preparation is not None and len(preparation.feature_names) != config.in_features:
        raise ModelError(
            f"preparation: makes {len(preparation.feature_names)} features of a table's columns; expected "
            f"{config.in_features}, as the network takes"
        )


def _check_target_scaling(config: ModelConfig, scaling: Scaling) -> None:
    for name, part in (("offset", scaling.offset), ("scale", scaling.scale)):
        if np.shape(part) not in ((), (config.n_targets,)) or not np.isfinite(part).all():
            raise ModelError(f"target_scaling: {name} is {quoted(part)}; expected a finite number, or one a target")
    if not np.all(scaling.scale):
        raise ModelError(f"target_scaling: scale is {quoted(scaling.scale)}; expected numbers other than zero")


def _check_sizes(config: ModelConfig, dataset: Dataset) -> None:
    """ModelError where a data set has not the features, classes or targets that a config says."""
    field = "n_classes" if dataset.target == "class" else "n_targets"
    if dataset.target != config.target:
        loss = "" if dataset.target == "class" else f" and loss={losses_for(dataset.target)[0]!r}"
        raise ModelError(
            f"{dataset.name}: its targets are {TARGETS[dataset.target]}, those of the config are "
            f"{TARGETS[config.target]}; give {field}=data.{field}{loss}"
        )
    if dataset.in_features != config.in_features:
        raise ModelError(
            f"{dataset.name}: in_features of the config is {config.in_features}, the data have {dataset.in_features} "
            "features; give in_features=data.in_features"
        )
    found, expected = getattr(dataset, field), getattr(config, field)
    counted = f"{found} {field.removeprefix('n_')}" if found != 1 else "1 target"
    if found != expected:
        raise ModelError(
            f"{dataset.name}: there {'is' if found == 1 else 'are'} {counted}, the config says {expected}; give "
            f"{field}=data.{field}"
        )


def _scaling_of_targets(config: ModelConfig, dataset: Dataset) -> Scaling | None:
    """How targets become what a loss needs, as the rows to train on show it; None where there are none, or the caller
    chose how."""
    found = None if dataset.given is None else dataset.given.target_scaling
    if dataset.train.targets is None:
        return None
    if dataset.target == "number" and (found is None or found != dataset.target_scaling):
        return None
    return scale_targets(dataset.train.targets, LOSSES[config.loss].scaling)


def _numbered(count: int) -> tuple[str, ...]:
    """Names of classes that have none."""
    return tuple(str(c) for c in range(count))


def _numbers(arrays: object, name: str) -> list[npt.NDArray[Any]]:
    """A layer's numbers as an array each; ModelError for what is not a sequence of those."""
    if not isinstance(arrays, Sequence):
        raise ModelError(f"{name}: expected a list of arrays, one a layer, found {quoted(arrays)}")
    return [_array(array, name) for array in arrays]


def _array(values: object, name: str) -> npt.NDArray[Any]:
    """Numbers as an array; ModelError for anything else."""
    try:
        array = as_numbers(values, name)
    except DataError as error:
        raise ModelError(str(error)) from None
    if array.dtype.kind not in "fiub":
        raise ModelError(f"{name}: an array is of type {array.dtype}; expected float32")
    return array


def _frozen(array: npt.NDArray[Any]) -> Floats:
    with np.errstate(over="ignore"):
        copy = np.array(array, np.float32, order="C")
    copy.flags.writeable = False
    return copy
