"""Tables of `reference/` as frozen rows, read and checked once."""

from effconvert.reference_tables.accuracy import Accuracy, accuracy_table
from effconvert.reference_tables.cost import Cost, cost_table
from effconvert.reference_tables.disagreements import Disagreement, find_disagreements
from effconvert.reference_tables.file_names import MisnamedFile, misnamed_files, name_sha8
from effconvert.reference_tables.numbers import Number, read_numbers
from effconvert.reference_tables.sources import Source, read_sources
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
    "find_disagreements",
    "misnamed_files",
    "name_sha8",
    "read_numbers",
    "read_sources",
    "weights_table",
]
