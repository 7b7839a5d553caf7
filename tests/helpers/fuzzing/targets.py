"""The table of all targets: a new parser is one row more."""

from helpers.fuzzing.checkpoint_targets import CHECKPOINTS
from helpers.fuzzing.data_targets import DATA
from helpers.fuzzing.document_targets import DOCUMENTS
from helpers.fuzzing.keras_targets import KERAS
from helpers.fuzzing.target import Target
from helpers.fuzzing.tensorflow_targets import TENSORFLOW
from helpers.fuzzing.torch_targets import TORCH

TARGETS: dict[str, Target] = {
    target.name: target for target in (*CHECKPOINTS, *TENSORFLOW, *TORCH, *KERAS, *DATA, *DOCUMENTS)
}
