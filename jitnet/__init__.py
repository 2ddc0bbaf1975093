"""Fully connected networks, trained on a CPU in explicit loops that a person can read.

    import jitnet

    data = jitnet.from_arrays(features, labels, test_features, test_labels)  # yours, or jitnet.load("mnist")
    config = jitnet.ModelConfig(in_features=data.in_features, n_classes=data.n_classes, hidden=(128,))
    model = jitnet.Model.create(config, data, seed=0)
    history = jitnet.train(model, data, jitnet.TrainConfig(epochs=10))  # a History: print it, or iterate over it
    scores = jitnet.evaluate(model, data)                               # an Evaluation
    probabilities = model.predict(test_features[:5])                    # (5, n_classes)
    model.save("model.safetensors")
    model = jitnet.Model.load("model.safetensors")

To learn what a Numba function of yours costs, and why:

    jitnet.profile(smooth, image, weights)  # calls it in a worker process: a FunctionProfile, a page in a notebook

To watch it train:

    for report in jitnet.Trainer(model, data, jitnet.TrainConfig(epochs=10)).epochs():
        print(report.epoch, report.train_loss, report.test_accuracy)    # an EpochReport after each epoch

`help(jitnet.train)` lists every field of a `TrainConfig`. Nothing here prints. Every error raised on purpose is a
`JitnetError`. Names are imported when they are first used, so that `import jitnet` costs nothing and the first use of a
name that trains loads Numba.
"""

from importlib import import_module

from jitnet.version import __version__

TYPE_CHECKING = False  # what type checkers take for True; `typing` itself takes longer to import than all of this
if TYPE_CHECKING:
    from typing import Any

    from jitnet.config import AugmentConfig, ModelConfig, TrainConfig
    from jitnet.datasets import Dataset, Scaling, Split, convert, describe, fetch, from_arrays, load
    from jitnet.errors import (
        CheckpointError,
        DataError,
        DivergedError,
        DownloadError,
        JitnetError,
        MissingExtra,
        ModelError,
        OutputError,
        PictureError,
        TargetMissed,
        UsageError,
    )
    from jitnet.evaluation import Evaluation, evaluate
    from jitnet.model import Committee, Model, load_model
    from jitnet.pictures import Picture, load_picture, load_pictures, normalise_picture
    from jitnet.pictures.recognition import Recognition, recognise
    from jitnet.profile.functions.function_profile import FunctionProfile
    from jitnet.profile.functions.library import Profiler
    from jitnet.training.history import EpochReport, History, StepReport
    from jitnet.training.trainer import Trainer, train

    profile: Profiler  # also a package, which is called as this is

_HOME = {
    "AugmentConfig": "config",
    "CheckpointError": "errors",
    "Committee": "model",
    "DataError": "errors",
    "Dataset": "datasets",
    "DivergedError": "errors",
    "DownloadError": "errors",
    "EpochReport": "training.history",
    "Evaluation": "evaluation",
    "FunctionProfile": "profile.functions.function_profile",
    "History": "training.history",
    "JitnetError": "errors",
    "MissingExtra": "errors",
    "Model": "model",
    "ModelConfig": "config",
    "ModelError": "errors",
    "OutputError": "errors",
    "Picture": "pictures",
    "PictureError": "errors",
    "Recognition": "pictures.recognition",
    "Scaling": "datasets",
    "Split": "datasets",
    "StepReport": "training.history",
    "TargetMissed": "errors",
    "TrainConfig": "config",
    "Trainer": "training.trainer",
    "UsageError": "errors",
    "convert": "datasets",
    "describe": "datasets",
    "evaluate": "evaluation",
    "fetch": "datasets",
    "from_arrays": "datasets",
    "load": "datasets",
    "load_model": "model",
    "load_picture": "pictures",
    "load_pictures": "pictures",
    "normalise_picture": "pictures",
    "profile": "profile",
    "recognise": "pictures.recognition",
    "train": "training.trainer",
}

__all__ = [
    "AugmentConfig",
    "CheckpointError",
    "Committee",
    "DataError",
    "Dataset",
    "DivergedError",
    "DownloadError",
    "EpochReport",
    "Evaluation",
    "FunctionProfile",
    "History",
    "JitnetError",
    "MissingExtra",
    "Model",
    "ModelConfig",
    "ModelError",
    "OutputError",
    "Picture",
    "PictureError",
    "Recognition",
    "Scaling",
    "Split",
    "StepReport",
    "TargetMissed",
    "TrainConfig",
    "Trainer",
    "UsageError",
    "__version__",
    "convert",
    "describe",
    "evaluate",
    "fetch",
    "from_arrays",
    "load",
    "load_model",
    "load_picture",
    "load_pictures",
    "normalise_picture",
    "profile",
    "recognise",
    "train",
]


def __getattr__(name: str) -> "Any":
    if name not in _HOME:
        raise AttributeError(f"module 'jitnet' has no attribute {name!r}")
    home = import_module(f"jitnet.{_HOME[name]}")
    value = home if _HOME[name] == name else getattr(home, name)  # a package that can be called is its own name
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
