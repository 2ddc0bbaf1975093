"""A network and what it needs to be used: weights, activation, class names, image shape and scaling."""

import itertools
import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from jitnet.config import MAX_THREADS, ModelConfig, check_arguments, check_whole_number
from jitnet.datasets import Dataset, Scaling
from jitnet.datasets.columns import as_numbers
from jitnet.datasets.kind import MOST_APART, peak, unlike
from jitnet.errors import DataError, ModelError
from jitnet.model.encoding import encode
from jitnet.model.file import StoredModel, read, write
from jitnet.version import __version__

if TYPE_CHECKING:
    from jitnet.engine.prediction import Predictor

__all__ = ["Model"]

Floats = npt.NDArray[np.float32]

UNTRAINED = "untrained"
"""In the metadata of a network on which no training has begun."""
OWN_SCALING = "own_scaling"
"""In the metadata of a network whose data had a scaling of the caller's choice, which does not tell their form."""


class _Text(str):
    """Text that a prompt shows as it is printed."""

    __repr__ = str.__str__


class Model:
    """A fully connected network.

    config: its shape. weights: a (out_features, in_features) float32 array a layer, biases: (out_features,) float32;
    both read-only, replaced whole by `set_parameters`. class_names: one a class. image_shape: (height, width) of a
    sample or None. scaling: how stored values become inputs. metadata: where it came from, text by name.
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
    ) -> None:
        check_arguments("Model(config, weights, biases)", config=(config, ModelConfig))
        self.config = config
        self.class_names = tuple(class_names) or tuple(str(c) for c in range(config.n_classes))
        self.image_shape = image_shape
        self.scaling = scaling if scaling is not None else Scaling(0.0, 1.0 / 255.0)
        self.metadata = dict(metadata or {})
        self._learned: Scaling | None = None
        self.set_parameters(weights, biases)

    @classmethod
    def create(cls, config: ModelConfig, dataset: Dataset | None = None, *, seed: int = 0) -> Self:
        """A network before training; names, image shape and scaling are the data set's.

        Weights are drawn as `config.init` says (He et al. 2015), the same for a seed everywhere; biases are zero, but
        for N(0, 1) hidden biases with init "normal". seed: a whole number from 0 to below 2^63, or UsageError. Raises
        ModelError where the data set has other features or classes than the config.
        """
        check_arguments(
            "Model.create(config, dataset)",
            config=(config, ModelConfig),
            dataset=(dataset, (Dataset, type(None))),
        )
        seed = check_whole_number("seed", seed, 0, 2**63 - 1)
        from jitnet.kernels.initial import fill_normal

        weights, biases = [], []
        widths = config.widths
        for layer, (before, after) in enumerate(itertools.pairwise(widths)):
            weight, bias = np.empty((after, before), np.float32), np.zeros((1, after), np.float32)
            fill_normal(weight, math.sqrt(2.0 / before) if config.init == "he" else 1.0, np.uint64(seed), 2 * layer)
            if config.init == "normal" and layer < len(config.hidden):
                fill_normal(bias, 1.0, np.uint64(seed), 2 * layer + 1)
            weights.append(weight)
            biases.append(bias[0])
        metadata = {"jitnet": __version__, "seed": str(seed), UNTRAINED: "yes"}
        if dataset is None:
            return cls(config, weights, biases, metadata=metadata)
        metadata |= {"data": dataset.name, "data_source": dataset.source, "data_checksum": dataset.checksum}
        if dataset.given is None and unlike(dataset.scaling, dataset.train.images):
            metadata[OWN_SCALING] = "yes"
        model = cls(
            config,
            weights,
            biases,
            class_names=dataset.class_names,
            image_shape=dataset.image_shape,
            scaling=dataset.scaling,
            metadata=metadata,
        )
        model.check_features(dataset)
        if dataset.n_classes != config.n_classes:
            raise ModelError(
                f"{dataset.name}: there are {dataset.n_classes} classes, the config says {config.n_classes}; give "
                "n_classes=data.n_classes"
            )
        return model

    def __repr__(self) -> str:
        """The network in a line: its widths, its activation, and how many parameters it has."""
        widths, parameters = " → ".join(map(str, self.config.widths)), self.config.n_parameters
        return f"Model({widths}, {self.config.activation}, {parameters:,} parameters)"

    def summary(self) -> str:
        """Return the network as a table, a line a layer, and what it was made for; a prompt shows it as it prints."""
        rows = [("layer", "followed by", "parameters")]
        for before, after, follows, parameters in self.config.layers:
            rows.append((f"{before:,} → {after:,}", follows, f"{parameters:,}"))
        rows.append(("network", "", f"{self.config.n_parameters:,}"))
        left, middle, right = (max(len(row[k]) for row in rows) for k in range(3))
        lines = [f"{layer:<{left}}  {follows:<{middle}}  {count:>{right}}" for layer, follows, count in rows]
        lines.insert(1, "─" * len(lines[0]))
        names = list(self.class_names)
        lines.append(f"classes: {', '.join(names if len(names) <= 12 else [*names[:10], '…', names[-1]])}")
        if self.image_shape is not None:
            lines.append(f"samples: images of {self.image_shape[0]}×{self.image_shape[1]}")
        if "data" in self.metadata:
            lines.append(f"made for: {self.metadata['data']}")
        return _Text("\n".join(lines))

    @property
    def trained(self) -> bool:
        """Whether a training has begun. Before, its scaling is found again by the rows that are trained on."""
        return UNTRAINED not in self.metadata

    def learns_scaling(self, dataset: Dataset) -> bool:
        """Whether a training on a data set finds the scaling again: none has begun, and the caller chose no other."""
        return not self.trained and (self.scaling == dataset.scaling or self.scaling is self._learned)

    def learn_scaling(self, scaling: Scaling, image_shape: tuple[int, int] | None) -> None:
        """Take the scaling and the image shape that the rows to train on show."""
        self.scaling = self._learned = scaling
        self.image_shape = image_shape

    def begin_training(self) -> None:
        """Note that a training has begun: from now on the scaling belongs to the parameters."""
        self.metadata.pop(UNTRAINED, None)

    @property
    def is_named(self) -> bool:
        """Whether its classes have names: the data's or the caller's, not the mere numbers of an unknown data set."""
        return "data" in self.metadata or self.class_names != tuple(str(c) for c in range(self.config.n_classes))

    @property
    def judges_values(self) -> bool:
        """Whether its scaling tells which values it can have been trained on."""
        if OWN_SCALING in self.metadata:
            return False
        return "data" in self.metadata or peak(self.scaling) > 0

    @property
    def weights(self) -> tuple[Floats, ...]:
        """Each layer's weights, (out_features, in_features) float32, read-only."""
        return self._weights

    @property
    def biases(self) -> tuple[Floats, ...]:
        """Each layer's biases, (out_features,) float32, read-only."""
        return self._biases

    def set_parameters(self, weights: Sequence[Floats], biases: Sequence[Floats]) -> None:
        """Replace all weights and biases; ModelError where their number or a shape is not the config's."""
        widths, n_layers = self.config.widths, len(self.config.layers)
        if not len(weights) == len(biases) == n_layers:
            raise ModelError(
                f"found {len(weights)} arrays of weights and {len(biases)} of biases; expected {n_layers} of each, "
                "one a layer"
            )
        for layer, (before, after) in enumerate(itertools.pairwise(widths)):
            for name, array, shape in (("weight", weights[layer], (after, before)), ("bias", biases[layer], (after,))):
                if array.shape != shape:
                    raise ModelError(f"layer {layer}: {name} has shape {array.shape}; expected {shape}")
        self._weights = tuple(_frozen(weight) for weight in weights)
        self._biases = tuple(_frozen(bias) for bias in biases)
        self.__dict__.pop("_predictor", None)

    def check_features(self, dataset: Dataset) -> None:
        """ModelError where samples have more or fewer values than the network takes."""
        if dataset.in_features != self.config.in_features:
            raise ModelError(
                f"{dataset.name}: samples have {dataset.in_features} values, the model expects "
                f"{self.config.in_features}; use the kind of data that it was trained on"
            )

    def inputs(self, images: npt.ArrayLike) -> tuple[npt.NDArray[np.uint8], Floats]:
        """Samples as the loops take them: (n, in_features) bytes and no floats, or no bytes and scaled floats.

        images: (n, in_features), (in_features,) or (n, height, width), as stored in a data set: not scaled. Raises
        ModelError where shape or type does not fit, DataError for values that are not finite.
        """
        return encode(self._rows(images), self.scaling)

    def _checked_inputs(self, images: npt.ArrayLike) -> tuple[npt.NDArray[np.uint8], Floats]:
        """Samples as `inputs` returns them; DataError where they cannot be of the kind that was trained on."""
        rows = self._rows(images)
        self._check_values(rows)
        return encode(rows, self.scaling)

    def _rows(self, images: npt.ArrayLike) -> npt.NDArray[Any]:
        """Samples, (n, in_features); ModelError where their shape does not fit."""
        raw = images if isinstance(images, np.ndarray) else as_numbers(images, "samples")
        features = self.config.in_features
        if raw.ndim == 1 or (raw.ndim == 2 and self.image_shape is not None and raw.shape == self.image_shape):
            raw = raw.reshape(1, -1)
        elif raw.ndim > 2:
            raw = raw.reshape(len(raw), -1)
        if raw.ndim != 2 or raw.shape[1] != features:
            raise ModelError(f"samples of shape {np.shape(images)} do not fit; the model expects (n, {features})")
        return raw

    def _check_values(self, rows: npt.NDArray[Any]) -> None:
        """DataError where rows, as stored, cannot be of the kind that the model was trained on.

        Of a model whose file says nothing of its data, only what can be no grey levels is refused, unless it was given
        another scaling.
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

    def predict(self, images: npt.ArrayLike, *, threads: int = 0) -> Floats:
        """Probabilities (n, n_classes) float32 of samples as stored in a data set: not scaled.

        images: (n, in_features), (in_features,) or (n, height, width); uint8 or numbers, or a table of numbers.
        threads: 0 chooses by the work. Raises UsageError for threads out of range, ModelError where the samples' shape
        or type does not fit, DataError where a value of a table is no number, is not finite, or cannot be of the kind
        that the model was trained on, as images / 255 where it was trained on bytes.
        """
        threads = check_whole_number("threads", threads, 0, MAX_THREADS)
        return self.predict_inputs(*self._checked_inputs(images), threads=threads)

    def predict_inputs(self, images: npt.NDArray[np.uint8], features: Floats, *, threads: int = 0) -> Floats:
        """Probabilities (n, n_classes) float32 of samples in the form that `inputs` returns."""
        return self._predictor(images, features, threads)

    def activations(self, images: npt.ArrayLike) -> list[Floats]:
        """What each layer computes for samples, first to last: an (n, units) float32 array a layer.

        Those of hidden layers are what follows their activation function; the last are the probabilities, the very
        numbers of `predict`. images: as `predict` takes them, and refused by the same errors.
        """
        return self._predictor.activations(*self._checked_inputs(images))

    @cached_property
    def _predictor(self) -> "Predictor":
        from jitnet.engine.prediction import Predictor

        return Predictor(self.config, self._weights, self._biases, self.scaling.offset, self.scaling.scale)

    def save(self, path: str | Path) -> None:
        """Write the model to a safetensors file, whole or not at all; OutputError where it cannot be written."""
        write(
            Path(path),
            StoredModel(
                self.config,
                self._weights,
                self._biases,
                self.class_names,
                self.image_shape,
                self.scaling,
                self.metadata,
            ),
        )

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a model from a safetensors file or a run folder; ModelError names what was found and expected.

        A file saved by PyTorch from such an `nn.Sequential` loads too: relu, classes named by number, values 0 to 255.
        """
        check_arguments("Model.load(path)", path=(path, (str, Path)))
        found = read(Path(path))
        return cls(
            found.config,
            found.weights,
            found.biases,
            class_names=found.class_names,
            image_shape=found.image_shape,
            scaling=found.scaling,
            metadata=found.metadata,
        )


def _frozen(array: Floats) -> Floats:
    copy = np.array(array, np.float32, order="C")
    copy.flags.writeable = False
    return copy
