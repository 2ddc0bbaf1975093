"""jitnet, through its library: one `Trainer`, of which each measurement takes the next epoch."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import protocol
from numba import prange
from protocol import Row

import jitnet
from jitnet.config import ModelConfig, TrainConfig
from jitnet.datasets import Dataset, Scaling, Split
from jitnet.kernels.jit import parallel_kernel, set_threads
from jitnet.kernels.linear import linear_backward_weight, linear_forward, panels
from jitnet.kernels.tile import PANEL
from jitnet.model import Model
from jitnet.state import aligned, row_stride
from jitnet.training.trainer import Trainer


def dataset(row: Row) -> tuple[Dataset, protocol.Data]:
    """The row's data without a test split: peers do not test after each epoch either."""
    data = protocol.load(row)
    names = tuple(str(c) for c in range(row["widths"][-1]))
    made = Dataset(
        name=Path(row["data"]).name,
        train=Split(data.images, data.labels),
        test=None,
        class_names=names,
        image_shape=None,
        scaling=Scaling(0.0, 1 / 255),
        source="benchmarks",
    )
    return made, data


def network(row: Row, data: Dataset) -> Model:
    widths = row["widths"]
    config = ModelConfig(in_features=widths[0], hidden=tuple(widths[1:-1]), n_classes=widths[-1])
    model = Model.create(config, data)
    model.set_parameters(*zip(*protocol.start_weights(widths), strict=True))
    return model


class Train:
    def __init__(self, row: Row) -> None:
        made, self.data = dataset(row)
        self.model = network(row, made)
        config = TrainConfig(
            epochs=1_000_000,
            batch_size=row["batch"],
            learning_rate=row["rate"],
            schedule="constant",
            optimizer=row["optimizer"],
            threads=row.get("threads", 0),
        )
        self.trainer = Trainer(self.model, made, config)
        self.trainer.prepare()
        self.epochs = self.trainer.epochs()

    def measure(self) -> float:
        """By the clock outside, so that whatever the library does between epochs counts too."""
        start = time.perf_counter()
        next(self.epochs)
        return time.perf_counter() - start

    def check(self) -> dict[str, Any]:
        plan = self.trainer.plan
        quality = protocol.quality(self.model.predict(self.data.test_images), self.data.test_labels)
        bits = protocol.bits([*self.model.weights, *self.model.biases])
        return quality | {"bits": bits, "threads": plan.threads, "input_loops": plan.input_loops}


class Predict:
    def __init__(self, row: Row) -> None:
        made, data = dataset(row)
        self.images, self.model = data.test_images[: row["count"]], network(row, made)
        self.measure = protocol.Repeated(self.predict).measure

    def predict(self) -> np.ndarray:
        return self.model.predict(self.images)

    def check(self) -> dict[str, float]:
        return protocol.summary(self.predict())


@parallel_kernel
def forward(x, x_stride, w, b, batch, in_features, n_panels, out, stride, parts):
    """A range of panels for each thread, as in training."""
    for part in prange(parts):
        first, last = n_panels * part // parts, n_panels * (part + 1) // parts
        linear_forward(x, x_stride, w, b, batch, in_features, first, last, out, stride)


@parallel_kernel
def weight_gradient(x, x_stride, g, stride, batch, in_features, n_panels, dw, parts):
    """A range of panels for each thread, as in training."""
    for part in prange(parts):
        first, last = n_panels * part // parts, n_panels * (part + 1) // parts
        linear_backward_weight(x, x_stride, g, stride, batch, in_features, 0, in_features, first, last, dw)


def rows(array: np.ndarray) -> tuple[np.ndarray, int]:
    """A matrix as training's arena has it, flat, and the numbers from one row to the next."""
    stride = row_stride(panels(array.shape[1]))
    flat = aligned(len(array) * stride)
    flat.reshape(-1, stride)[:, : array.shape[1]] = array
    return flat, stride


class Kernel:
    """The product alone, in the layout that training keeps: activations in padded rows, weights in panels."""

    def __init__(self, row: Row) -> None:
        x, w, dout = protocol.kernel_inputs(row)
        self.batch, self.in_features, self.out_features = row["shape"]
        self.kernel, threads = row["kernel"], row["threads"]
        n_panels = panels(self.out_features)
        in_panels = aligned(n_panels * self.in_features * PANEL)
        flat_x, x_stride = rows(x)
        sizes = (self.batch, self.in_features, n_panels)
        set_threads(threads)
        if self.kernel == "forward":
            wide = np.zeros((self.in_features, n_panels * PANEL), np.float32)
            wide[:, : self.out_features] = w.T
            in_panels[:] = wide.reshape(self.in_features, n_panels, PANEL).transpose(1, 0, 2).ravel()
            bias = aligned(n_panels * PANEL)
            self.out, stride = rows(np.zeros((self.batch, self.out_features), np.float32))
            self.result = self.out.reshape(-1, stride)[:, : self.out_features]
            self.call = lambda: forward(flat_x, x_stride, in_panels, bias, *sizes, self.out, stride, threads)
        else:
            flat_g, stride = rows(dout)
            self.out = in_panels
            self.call = lambda: weight_gradient(flat_x, x_stride, flat_g, stride, *sizes, self.out, threads)
        self.call()
        self.measure = protocol.Repeated(self.call).measure

    def check(self) -> dict[str, float]:
        """Of one call on zeros, for the gradient is added to what is there; in the order that peers have."""
        self.out[:] = 0
        self.call()
        if self.kernel == "forward":
            return protocol.summary(self.result)
        by_output = self.out.reshape(-1, self.in_features, PANEL).transpose(0, 2, 1).reshape(-1, self.in_features)
        return protocol.summary(by_output[: self.out_features])


if __name__ == "__main__":
    protocol.serve({"jitnet": jitnet.__version__}, {"train": Train, "predict": Predict, "kernel": Kernel})
