"""The same seed gives the same network on every kind of processor: weights, losses and predictions, to the last bit.

Kinds differ in block sizes and in the length of their vectors. Each kind's block sizes run here on any machine; with
AVX-512 the code and the sizes of a processor with AVX2 run as well.
"""

import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest
from conftest import environment
from numba import config

import jitnet
from jitnet.compiler.environment import BLOCKS, HAS_AVX512
from jitnet.config import ACTIVATIONS, LAYERS, LOSSES, OPTIMIZERS, TASKS, ModelConfig

if config.DISABLE_JIT:
    pytest.skip("plain Python has no vectors", allow_module_level=True)

FEATURES, BATCH = 37, 33
LATE = {"clip_norm": 0.5, "max_norm": 2.0, "ema": 0.9, "dropout": (0.2,)}
LAYERS_ON = {kind.option: "layer" if kind.option == "norm" else True for kind in LAYERS.values() if kind.option}
TRAININGS = {
    "no hidden layer": ((), {}),
    "clipped, no hidden layer": ((), {"clip_norm": 0.5}),
    "groups of units": ((300,), {"label_smoothing": 0.1, "weight_decay": 0.01}),
    "part of a panel": ((40,), {"optimizer": "momentum"}),
    "three layers": ((96, 50, 20), {"input_dropout": 0.1}),
    **{f"{name}, at once": ((70, 33), {"optimizer": name, "weight_decay": 0.02}) for name in OPTIMIZERS},
    **{f"{name}, late": ((70, 33), {"optimizer": name, "weight_decay": 0.02, **LATE}) for name in OPTIMIZERS},
    **{name: ((40, 24), {"activation": name}) for name in ACTIVATIONS},
    **{name: ((40, 25), {"loss": name}) for name in LOSSES},
    **{name: ((45, 45), {name: value}) for name, value in LAYERS_ON.items()},
    "all layers, late": ((45, 45), {**LAYERS_ON, **LATE, "dropout": (0.2, 0.1), "optimizer": "adam"}),
}
OUTPUTS = 3, 20  # one vector of logits, and two

AVX2 = "+sse,+sse2,+sse3,+ssse3,+sse4.1,+sse4.2,+avx,+avx2,+fma,+bmi,+bmi2,+lzcnt,+popcnt,+f16c,+movbe"
KINDS = {f"{name}'s block sizes": {"JITNET_BLOCKS": name} for name in {"avx2", "avx512"} - {BLOCKS}}
if HAS_AVX512:
    KINDS["code for AVX2"] = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": AVX2}


def found_here() -> dict[str, list[str]]:
    """Hashes of the weights, losses and predictions of every training."""
    found = {}
    for outputs in OUTPUTS:
        for skipping in (False, True):
            data_of = {task: made_data(outputs, skipping, task) for task in TASKS}
            for name, (hidden, options) in TRAININGS.items():
                fields = {field: value for field, value in options.items() if field in ModelConfig.model_fields}
                others = {field: value for field, value in options.items() if field not in fields}
                data = data_of[LOSSES[str(fields.get("loss", "cross-entropy"))].task]
                sizes = {"n_classes": data.n_classes, "n_targets": data.n_targets}
                shape = jitnet.ModelConfig(in_features=FEATURES, hidden=hidden, **sizes, **fields)
                model = jitnet.Model.create(shape, data, seed=1)
                history = jitnet.train(model, data, jitnet.TrainConfig(epochs=2, batch_size=BATCH, **others))
                losses = [(each.train_loss, each.test_loss) for each in history.epochs]
                predictions = model.predict(data.train.images)
                hashes = [digest(*model.parameters.values()), digest(np.array(losses)), digest(predictions)]
                found[f"{name}, {outputs} outputs, {'zero-skipping' if skipping else 'dense'}"] = hashes
    return found


def made_data(outputs: int, skipping: bool, task: str) -> jitnet.Dataset:
    rng = np.random.default_rng(outputs)
    images = rng.integers(1, 256, (300, FEATURES)).astype(np.uint8)
    if skipping:  # so few that every kind of processor skips the zeros
        images *= (rng.random(images.shape) < 0.15).astype(np.uint8)
    labels = np.arange(len(images)) % outputs if task == "classify" else rng.normal(size=(len(images), outputs))
    return jitnet.from_arrays(images, labels, images[:60], labels[:60])


def digest(*arrays: np.ndarray) -> str:
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()[:16]


@pytest.mark.parametrize("kind", KINDS)
def test_another_kind_of_processor_has_the_same_bits(kind):
    command = [sys.executable, __file__]
    done = subprocess.run(command, env=environment(**KINDS[kind]), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    there, here = json.loads(done.stdout), found_here()
    assert there.pop("blocks") != BLOCKS or "AVX2" in kind
    assert there == here
    assert len({tuple(hashes) for hashes in here.values()}) == len(here)  # each is another network


if __name__ == "__main__":
    json.dump({"blocks": BLOCKS, **found_here()}, sys.stdout)
