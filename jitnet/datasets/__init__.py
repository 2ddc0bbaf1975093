"""Data sets: known by name or read from a path, downloaded with checksums, embedded, or generated.

`load` returns a `Dataset`: images as stored (uint8 or float32), labels, names of classes, and how values are scaled.
"""

from jitnet.datasets.assemble import Parts, from_arrays, hold_out
from jitnet.datasets.compressed import CompressedRows
from jitnet.datasets.conversion import Converted, Layout, convert
from jitnet.datasets.dataset import Dataset, Progress, Scaling, Split, held_out_rows, stratified_split
from jitnet.datasets.description import ClassShare, Description, Sample, TargetRange, describe
from jitnet.datasets.generation import synthetic
from jitnet.datasets.raw import TaskAdvice
from jitnet.datasets.registry import Fetched, Listing, fetch, listing, load, names

__all__ = [
    "ClassShare",
    "CompressedRows",
    "Converted",
    "Dataset",
    "Description",
    "Fetched",
    "Layout",
    "Listing",
    "Parts",
    "Progress",
    "Sample",
    "Scaling",
    "Split",
    "TargetRange",
    "TaskAdvice",
    "convert",
    "describe",
    "fetch",
    "from_arrays",
    "held_out_rows",
    "hold_out",
    "listing",
    "load",
    "names",
    "stratified_split",
    "synthetic",
]
