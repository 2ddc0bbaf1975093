"""The same seed gives the same network on every kind of processor: weights, losses and predictions, to the last bit.

Kinds differ in block sizes and in the length of their vectors. Each kind's block sizes run here on any machine; with
AVX-512 the code and the sizes of a processor with AVX2 run as well.
"""

import hashlib
import itertools
import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from conftest import environment
from numba import config

import jitnet
from jitnet.compiler.environment import BLOCKS, HAS_AVX512
from jitnet.config import ACTIVATIONS, LAYERS, LOSSES, OPTIMIZERS

if config.DISABLE_JIT:
    pytest.skip("plain Python has no vectors", allow_module_level=True)

FEATURES, BATCH = 37, 33
LATE = {"clip_norm": 0.5, "max_norm": 2.0, "ema": 0.9, "dropout": (0.2,)}
EVERYTHING = {"norm": "layer", "residual": True, "input_scale": True}
TRAININGS = {
    "no hidden layer": ((), {}),
    "clipped, no hidden layer": ((), {"clip_norm": 0.5}),
    "groups of units": ((300,), {"label_smoothing": 0.1, "weight_decay": 0.01}),
    "part of a panel": ((40,), {"optimizer": "momentum"}),
    "three layers": ((96, 50, 20), {"input_dropout": 0.1}),
    **{f"{name}, at once": ((70, 33), {"optimizer": name, "weight_decay": 0.02}) for name in OPTIMIZERS},
    **{f"{name}, late": ((70, 33), {"optimizer": name, "weight_decay": 0.02, **LATE}) for name in OPTIMIZERS},
    **{name: ((40, 24), {"activation": name}) for name in ACTIVATIONS},
    **{f"{field} alone": ((50, 50), {field: value}) for field, value in EVERYTHING.items()},
    "input scale, no hidden layer": ((), {"input_scale": True}),
    "all layers": ((70, 33, 33), {**EVERYTHING, "optimizer": "adam"}),
    "all layers, late": ((70, 33, 33), {**EVERYTHING, "optimizer": "momentum", "activation": "gelu", **LATE}),
}
OUTPUTS = [
    {"n_classes": 3},  # one vector of logits, and two
    {"n_classes": 20},
    *({"n_targets": n, "loss": name} for name, loss in LOSSES.items() if loss.target != "class" for n in (1, 20)),
]
FEW = ["no hidden layer", "part of a panel", "three layers", "adam, late", "all layers, late"]
"""Trainings of losses on numbers and labels: the others would differ from those on classes in the loss alone."""

AVX2 = "+sse,+sse2,+sse3,+ssse3,+sse4.1,+sse4.2,+avx,+avx2,+fma,+bmi,+bmi2,+lzcnt,+popcnt,+f16c,+movbe"
KINDS = {f"{name}'s block sizes": {"JITNET_BLOCKS": name} for name in {"avx2", "avx512"} - {BLOCKS}}
if HAS_AVX512:
    KINDS["code for AVX2"] = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": AVX2}


def found_here() -> dict[str, list[str]]:
    """Hashes of the parameters, losses and predictions of every training."""
    found = {}
    for outputs, skipping in itertools.product(OUTPUTS, (False, True)):
        data = made_data(outputs, skipping)
        for name in TRAININGS if "n_classes" in outputs else FEW:
            hidden, options = TRAININGS[name]
            fields = {field: value for field, value in options.items() if field in jitnet.ModelConfig.model_fields}
            others = {field: value for field, value in options.items() if field not in fields}
            if "n_targets" in outputs:
                others["learning_rate"] = 0.002
            shape = jitnet.ModelConfig(in_features=FEATURES, hidden=hidden, **outputs, **fields)
            model = jitnet.Model.create(shape, data, seed=1)
            history = jitnet.train(model, data, jitnet.TrainConfig(epochs=2, batch_size=BATCH, **others))
            losses = np.array([(each.train_loss, each.test_loss) for each in history.epochs])
            assert np.isfinite(losses).all(), name
            arrays = [digest(*model.parameters.values()), digest(losses), digest(model.predict(data.train.images))]
            found[f"{name}, {outputs}, {'zero-skipping' if skipping else 'dense'}"] = arrays
    return found


def made_data(outputs: dict[str, Any], skipping: bool) -> jitnet.Dataset:
    rng = np.random.default_rng(sum(value for value in outputs.values() if isinstance(value, int)))
    images = rng.integers(1, 256, (300, FEATURES)).astype(np.uint8)
    if skipping:  # so few that every kind of processor skips the zeros
        images *= (rng.random(images.shape) < 0.15).astype(np.uint8)
    if "n_classes" in outputs:
        targets = np.arange(len(images)) % outputs["n_classes"]
    else:
        targets = rng.normal(size=(len(images), outputs["n_targets"])).astype(np.float32)
        loss = LOSSES[outputs["loss"]]
        targets = np.abs(targets) if loss.nonnegative else targets
        if loss.target == "label":
            return jitnet.from_arrays(images, targets > 0, images[:60], targets[:60] > 0, task="label")
    return jitnet.from_arrays(images, targets, images[:60], targets[:60])


def digest(*arrays: np.ndarray) -> str:
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()[:16]


def test_every_layer_that_can_be_chosen_is_among_the_trainings():
    assert set(EVERYTHING) == {kind.option for kind in LAYERS.values() if kind.option}


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
