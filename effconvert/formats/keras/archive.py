"""Tells a zip file of Keras from others by the names of its records."""

from contextlib import suppress
from pathlib import Path

from effconvert.formats.checkpoint import DataFile
from effconvert.formats.zip_directory import FAILURES, directory

CONFIG_RECORD, WEIGHTS_RECORD = "config.json", "model.weights.h5"

_LOCAL_HEADER = 30
_FIRST_RECORD = b"metadata.json"


def is_keras_archive(path: Path) -> bool:
    """Return whether the zip file at `path` is one of Keras, by the names of its records, or of the first."""
    with DataFile(path) as archive, suppress(*FAILURES):
        start = archive.read(0, min(archive.size, _LOCAL_HEADER + len(_FIRST_RECORD)))
        if start[_LOCAL_HEADER:] == _FIRST_RECORD:
            return True
        return {CONFIG_RECORD, WEIGHTS_RECORD} <= {info.filename for info in directory(archive)}
    return False
