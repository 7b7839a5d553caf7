"""The tables of `reference/` as frozen rows, read and checked once."""

from effconvert.reference_tables.accuracy import Accuracy, accuracy_table
from effconvert.reference_tables.cost import Cost, cost_table
from effconvert.reference_tables.disagreements import Disagreement, disagreements
from effconvert.reference_tables.file_names import MisnamedFile, misnamed_files, name_sha8
from effconvert.reference_tables.numbers import Number, numbers
from effconvert.reference_tables.sources import Source, sources
from effconvert.reference_tables.weights import FRAMEWORKS, Published, weights_table

__all__ = [
    "FRAMEWORKS",
    "Accuracy",
    "Cost",
    "Disagreement",
    "MisnamedFile",
    "Number",
    "Published",
    "Source",
    "accuracy_table",
    "cost_table",
    "disagreements",
    "misnamed_files",
    "name_sha8",
    "numbers",
    "sources",
    "weights_table",
]
