"""What every worker shares: the protocol with the harness, the data, the starting weights, and what is compared.

A worker is one system in one process. It reads one JSON object per line on standard input and replies with one line:

    {"do": "hello"}              {"versions": {...}}
    {"do": "prepare", "row": …}  {"ready": true}       imports are done, data is loaded, everything is compiled
    {"do": "measure"}            {"seconds": …}        one measurement: an epoch, or enough calls to time one
    {"do": "check"}              {…}                   the results, for the comparison between systems

A row says what to do: `work` names the task, the rest are its sizes. The reply to a failed request is {"error": …}.
`WORKER.py start ROW` is the other way to run one: a new process that performs a first step, reports it, trains one
epoch, and reports its peak memory.
"""

import ctypes
import gzip
import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Row = Mapping[str, Any]


class Data(NamedTuple):
    """Images as stored, uint8 (n, features), and labels int64 (n,), for training and to test on."""

    images: np.ndarray
    labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


def _idx(folder: Path, name: str, header: int) -> np.ndarray:
    """The bytes of an IDX file after its header, from `name`, gzipped or plain."""
    packed = folder / f"{name}.gz"
    content = gzip.decompress(packed.read_bytes()) if packed.exists() else (folder / name).read_bytes()
    return np.frombuffer(content, np.uint8, offset=header)


def load(row: Row) -> Data:
    """The row's data: MNIST from the folder `data`, or noise without zeros, `samples` of it (all, where that is 0)."""
    samples = row["samples"]
    if row["data"] == "noise":
        draw = np.random.default_rng(1)
        images = draw.integers(1, 256, (samples, row["widths"][0]), np.uint8)
        labels = draw.integers(0, row["widths"][-1], samples)
        return Data(images, labels, images, labels)
    folder = Path(row["data"])
    images, test_images = (_idx(folder, f"{part}-images-idx3-ubyte", 16).reshape(-1, 784) for part in ("train", "t10k"))
    labels, test_labels = (_idx(folder, f"{part}-labels-idx1-ubyte", 8).astype(np.int64) for part in ("train", "t10k"))
    return Data(images[: samples or None], labels[: samples or None], test_images, test_labels)


def scaled(images: np.ndarray) -> np.ndarray:
    """The network's inputs: float32 in 0..1."""
    return images.astype(np.float32) / np.float32(255)


def start_weights(widths: list[int]) -> list[tuple[np.ndarray, np.ndarray]]:
    """He's weights (out, in) and zero biases (out,) for each layer; the same for every system."""
    draw = np.random.default_rng(0)
    pairs = pairwise(widths)
    return [
        ((draw.standard_normal((n_out, n_in)) * np.sqrt(2 / n_in)).astype(np.float32), np.zeros(n_out, np.float32))
        for n_in, n_out in pairs
    ]


def kernel_inputs(row: Row) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x (batch, in), w (out, in) and dout (batch, out) of a raw kernel, dense, the same for every system."""
    draw = np.random.default_rng(2)
    batch, n_in, n_out = row["shape"]
    shapes = ((batch, n_in), (n_out, n_in), (batch, n_out))
    x, w, dout = (draw.standard_normal(shape, np.float32) for shape in shapes)
    return x, w, dout


def factors(kernel: str, x: Any, w: Any, dout: Any) -> tuple[Any, Any]:
    """The two matrices whose product a kernel is; of any type with `.T`."""
    return {"forward": (x, w.T), "weight_gradient": (dout.T, x), "input_gradient": (dout, w)}[kernel]


def quality(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Accuracy and mean cross-entropy of predicted probabilities (n, classes)."""
    of_label = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    accuracy = float((probabilities.argmax(axis=1) == labels).mean())
    return {"accuracy": accuracy, "loss": float(-np.log(np.maximum(of_label, 1e-30)).mean())}


def summary(result: np.ndarray) -> dict[str, float]:
    """Two numbers that agree between systems only where the whole result does: its norm, and a weighted sum of it."""
    flat = np.asarray(result, np.float64).ravel()
    weights = np.cos(np.arange(flat.size))
    norm = float(np.sqrt((flat * flat).sum()))
    return {"norm": norm, "projection": float((flat * weights).sum() / (norm * np.sqrt(flat.size / 2)))}


def bits(arrays: list[np.ndarray]) -> str:
    """A hash of every bit of the arrays."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


class Repeated:
    """A measurement of something short: so many consecutive calls that they take `seconds`, then the time of one."""

    def __init__(self, call: Callable[[], object], seconds: float = 0.03) -> None:
        self.call, self.calls = call, 1
        while self.measure() * self.calls < seconds:
            self.calls *= 2

    def measure(self) -> float:
        call = self.call
        start = time.perf_counter()
        for _ in range(self.calls):
            call()
        return (time.perf_counter() - start) / self.calls


def peak_bytes() -> int:
    """The peak memory of this process. Not getrusage's number, which a child process inherits from its parent."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _die_with_parent() -> None:
    """End with the harness, on Linux: a stopped worker would not notice that it ended."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def serve(versions: Mapping[str, str], tasks: Mapping[str, Callable[[Row], Any]]) -> None:
    """Reply to the harness until it closes the pipe. What a library prints goes to standard error."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def reply(**message: Any) -> None:
        replies.write(json.dumps(message) + "\n")
        replies.flush()

    if sys.argv[1:2] == ["start"]:
        task = tasks["train"](json.loads(sys.argv[2]))
        task.first_step()
        reply(ready=True)
        reply(seconds=task.measure(), peak_bytes=peak_bytes())
        return
    _die_with_parent()
    task = None
    for line in sys.stdin:
        message = json.loads(line)
        try:
            match message["do"]:
                case "hello":
                    reply(versions=dict(versions))
                case "prepare":
                    task = None  # frees the last row's arrays before the next ones are made
                    task = tasks[message["row"]["work"]](message["row"])
                    reply(ready=True)
                case "measure":
                    reply(seconds=task.measure())
                case "check":
                    reply(**task.check())
        except Exception as error:
            reply(error=f"{type(error).__name__}: {error}".splitlines()[0])
