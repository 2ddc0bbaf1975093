"""scikit-learn's MLPClassifier: one `partial_fit` over the whole training set is one epoch."""

import time
import warnings

import numpy as np
import protocol
import sklearn
from protocol import Row
from sklearn.neural_network import MLPClassifier


def network(row: Row, images: np.ndarray, labels: np.ndarray) -> MLPClassifier:
    """A classifier with the common starting weights; it has weights only after fitting it once, on a few samples."""
    model = MLPClassifier(
        hidden_layer_sizes=tuple(row["widths"][1:-1]),
        solver=row.get("optimizer", "sgd"),
        learning_rate_init=row.get("rate", 0.1),
        batch_size=row.get("batch", 32),
        alpha=0.0,
        momentum=0.0,
        nesterovs_momentum=False,
        random_state=3,
    )
    model.partial_fit(images[:1], labels[:1], classes=np.arange(row["widths"][-1]))
    del model._optimizer
    for layer, (w, b) in enumerate(protocol.start_weights(row["widths"])):
        model.coefs_[layer][:] = w.T
        model.intercepts_[layer][:] = b
    return model


class Train:
    def __init__(self, row: Row) -> None:
        warnings.simplefilter("ignore")  # a first fit on fewer samples than a batch
        data = protocol.load(row)
        self.images, self.labels = protocol.scaled(data.images), data.labels
        self.test_images, self.test_labels = protocol.scaled(data.test_images), data.test_labels
        self.batch = row["batch"]
        self.model = network(row, self.images, self.labels)

    def first_step(self) -> None:
        self.model.partial_fit(self.images[: self.batch], self.labels[: self.batch])

    def measure(self) -> float:
        start = time.perf_counter()
        self.model.partial_fit(self.images, self.labels)
        return time.perf_counter() - start

    def check(self) -> dict[str, float]:
        return protocol.quality(self.model.predict_proba(self.test_images), self.test_labels)


class Predict:
    def __init__(self, row: Row) -> None:
        warnings.simplefilter("ignore")
        data = protocol.load(row)
        self.images = protocol.scaled(data.test_images[: row["count"]])
        self.model = network(row, protocol.scaled(data.images[:1]), data.labels[:1])
        self.measure = protocol.Repeated(self.predict).measure

    def predict(self) -> np.ndarray:
        return self.model.predict_proba(self.images)

    def check(self) -> dict[str, float]:
        return protocol.summary(self.predict())


if __name__ == "__main__":
    protocol.serve({"scikit-learn": sklearn.__version__}, {"train": Train, "predict": Predict})
