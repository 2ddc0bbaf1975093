"""What a checkpoint knows of the data and the network that a training began with, and how both are found again."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from jitnet.datasets import Dataset, Split, load, names
from jitnet.errors import DataError, UsageError
from jitnet.machine.host import Machine
from jitnet.model import Model
from jitnet.training.checkpoint_file import Checkpoint

__all__ = ["check_data", "data_record", "load_again", "model_of", "processor"]


def processor(machine: Machine) -> str:
    """The processor that a training runs on, in words."""
    return f"{machine.cpu}, {machine.vector_bits} bits a vector"


def data_record(dataset: Dataset, held_out: Split | None) -> dict[str, str]:
    """What a checkpoint says of the data. held_out: samples that the caller chose to watch."""
    return {
        "name": dataset.name,
        "source": dataset.source,
        "checksum": dataset.checksum,
        "held_out": "" if held_out is None else replace(dataset, train=held_out, test=None).checksum,
    }


def check_data(checkpoint: Checkpoint, dataset: Dataset, held_out: Split | None = None) -> None:
    """DataError where data, or the held-out samples, are not those that the training began with."""
    began, found = checkpoint.data, data_record(dataset, held_out)
    if found["checksum"] != began["checksum"]:
        raise DataError(
            f"{dataset.source}: its checksum is {found['checksum'][:12]}…, and the training began on {began['source']} "
            f"with {began['checksum'][:12]}…; go on with the data that it began with"
        )
    if found["held_out"] != began["held_out"]:
        have = "has held_out samples" if began["held_out"] else "has no held_out samples"
        raise DataError(f"held_out: the training {have}, and these are others; go on with those that it began with")


def load_again(checkpoint: Checkpoint, **options: Any) -> Dataset:
    """The data that a training began with, from where it had them; UsageError where that is not known. options: of
    `load`, which replace those that were noted."""
    how: Mapping[str, Any] = checkpoint.load
    if not how and checkpoint.data["name"] in names():
        how = {"name_or_path": checkpoint.data["name"]}
    if not how:
        raise UsageError(
            f"dataset: the training began on {checkpoint.data['source']}, which is not in a file; pass the same data"
        )
    return load(**{**how, **options})


def model_of(checkpoint: Checkpoint) -> Model:
    """The network of a checkpoint, which learns from the data what it did when the training began."""
    model = Model.of_stored(checkpoint.network)
    model.learn_again(**checkpoint.learns)
    return model
