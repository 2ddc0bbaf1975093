"""jitnet, through its library: one `Trainer`, of which each measurement takes the next epoch."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import protocol
from protocol import Row

import jitnet
from jitnet.config import ModelConfig, TrainConfig
from jitnet.datasets import Dataset, Scaling, Split
from jitnet.engine.arena import aligned
from jitnet.kernels import linear
from jitnet.machine.blocks import PANEL
from jitnet.machine.host import set_threads
from jitnet.model import Model
from jitnet.training.trainer import Trainer


def dataset(row: Row) -> tuple[Dataset, protocol.Data]:
    """The row's data without a test split: the other systems do not evaluate after each epoch either."""
    data = protocol.load(row)
    names = tuple(str(c) for c in range(row["widths"][-1]))
    found = Dataset(
        name=Path(row["data"]).name,
        train=Split(data.images, data.labels),
        test=None,
        class_names=names,
        image_shape=None,
        scaling=Scaling(0.0, 1 / 255),
        source="benchmarks",
    )
    return found, data


def network(row: Row, data: Dataset) -> Model:
    widths = row["widths"]
    config = ModelConfig(in_features=widths[0], hidden=tuple(widths[1:-1]), n_classes=widths[-1])
    model = Model.create(config, data)
    model.set_parameters(*zip(*protocol.start_weights(widths), strict=True))
    return model


class Train:
    def __init__(self, row: Row) -> None:
        training, self.data = dataset(row)
        self.model = network(row, training)
        config = TrainConfig(
            epochs=1_000_000,
            batch_size=row["batch"],
            learning_rate=row["rate"],
            schedule="constant",
            optimizer=row["optimizer"],
            threads=row.get("threads", 0),
        )
        self.trainer = Trainer(self.model, training, config)
        self.trainer.prepare()
        self.epochs = self.trainer.epochs()

    def measure(self) -> float:
        """Seconds of an epoch, timed from outside, so that all work of the library between epochs counts too."""
        start = time.perf_counter()
        next(self.epochs)
        return time.perf_counter() - start

    def check(self) -> dict[str, Any]:
        trainer = self.trainer
        quality = protocol.quality(self.model.predict(self.data.test_images), self.data.test_labels)
        bits = protocol.bits([*self.model.weights, *self.model.biases])
        return quality | {"bits": bits, "threads": trainer.threads, "input_loops": trainer.plan.input_loops}


class Predict:
    def __init__(self, row: Row) -> None:
        training, data = dataset(row)
        self.images, self.model = data.test_images[: row["count"]], network(row, training)
        self.measure = protocol.Repeated(self.predict).measure

    def predict(self) -> np.ndarray:
        return self.model.predict(self.images)

    def check(self) -> dict[str, float]:
        return protocol.summary(self.predict())


class Kernel:
    """The product alone, by the driver at the end of `jitnet/kernels/linear.py`, on weights in panels."""

    def __init__(self, row: Row) -> None:
        x, w, dout = protocol.kernel_inputs(row)
        batch, self.in_features, self.out_features = row["shape"]
        self.kernel, threads = row["kernel"], row["threads"]
        units = linear.padded(self.out_features)
        set_threads(threads)
        if self.kernel == "forward":
            in_panels = rows(linear.in_panels(w))
            bias, self.out = aligned(units), rows(np.zeros((batch, units), np.float32))
            self.call = lambda: linear.forward(rows_x, in_panels, bias, self.out, threads)
        elif self.kernel == "input_gradient":
            in_panels = rows(linear.in_panels(w))
            dout_t, self.out = rows(dout.T), rows(np.zeros((self.in_features, batch), np.float32))
            self.call = lambda: linear.gradient_of_input(dout_t, in_panels, self.out, threads)
        else:
            wide = rows(np.pad(dout, ((0, 0), (0, units - self.out_features))))
            self.out, bias = rows(np.zeros((units // PANEL * self.in_features, PANEL), np.float32)), aligned(units)
            self.call = lambda: linear.gradient_of_weight(rows_x, wide, self.out, bias, threads)
        rows_x = rows(x)
        self.call()
        self.measure = protocol.Repeated(self.call).measure

    def check(self) -> dict[str, float]:
        """Of one call on zeros, because the gradient is added to the output; in the order of the other systems."""
        self.out[:] = 0
        self.call()
        if self.kernel == "forward":
            return protocol.summary(self.out[:, : self.out_features])
        if self.kernel == "input_gradient":
            return protocol.summary(self.out.T)
        return protocol.summary(linear.from_panels(self.out, self.out_features))


def rows(array: np.ndarray) -> np.ndarray:
    """A copy that starts on a cache line, as training's arrays do."""
    copy = aligned(array.size).reshape(array.shape)
    copy[:] = array
    return copy


if __name__ == "__main__":
    protocol.serve({"jitnet": jitnet.__version__}, {"train": Train, "predict": Predict, "kernel": Kernel})
