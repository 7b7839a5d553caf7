"""Keras's files: HDF5 weights and models of Keras 2 and 3, `.weights.h5`, and `.keras`; read without Keras.

Sources: keras/src/legacy/saving/legacy_h5_format.py and keras/src/saving/saving_lib.py.
"""

from pathlib import Path

from effconvert.budget import Budget
from effconvert.errors import LayoutMismatch, UnreadableCheckpoint
from effconvert.formats.checkpoint import Array, Checkpoint, DataFile, TensorInfo, as_array, check_name
from effconvert.formats.keras.check import Findings, Network, check_graph
from effconvert.formats.keras.config import CONFIG_RECORD, WEIGHTS_RECORD
from effconvert.formats.keras.config_layers import Config
from effconvert.formats.keras.graph import read_graph
from effconvert.formats.keras.hdf5 import Group, find_signature, read_tree
from effconvert.formats.keras.hdf5_messages import Hdf5Error
from effconvert.formats.keras.names import Unweighted, held
from effconvert.formats.keras.normalization import Normalization, find_normalization
from effconvert.formats.keras.surroundings import behind_pooling
from effconvert.formats.strict_json import parse_json, strings_in
from effconvert.formats.zip_directory import FAILURES, MAGIC, STORED, Record, read_directory, read_record

METADATA_ATTRIBUTE = "effconvert"


class KerasCheckpoint(Checkpoint):
    """An open file of Keras.

    Tensors are named `layer/variable` as in Keras 3; a nested model has the same names as a single one. A `.weights.h5`
    of Keras before 3.6 does not name its layers, only their classes: its tensors are `conv2d_1/kernel`. If the file
    holds several networks, the names begin with the model: `first/stem_conv/kernel`. HDF5 has no checksums, so `read`
    cannot notice a flipped bit; a `.keras` file has one for all weights, which is verified on opening.
    """

    def __init__(self, path: Path) -> None:
        """Open the file. Raises UnreadableCheckpoint if it is damaged, or has HDF5 that Keras does not write."""
        super().__init__()
        self.path = path
        self.files = (path,)
        self.skipped: dict[str, str] = {}
        self._unclear = ""
        self._file = self.open_file(path)
        try:
            self._open()
        except UnreadableCheckpoint:
            self.close()
            raise
        except (Hdf5Error, *FAILURES) as error:
            self.close()
            raise UnreadableCheckpoint(f"{path}: not a file that Keras wrote whole: {str(error)[:500]}") from error

    def is_outside(self, layer: str) -> bool:
        """Return whether a layer is in another model than the network's first convolution."""
        return layer in self._held.outside

    @property
    def unweighted(self) -> tuple[Unweighted, ...]:
        """The layers without weights that the file lists."""
        return self._held.unweighted

    @property
    def has_graph(self) -> bool:
        """Whether the file holds the network's graph; it does not if it has weights only, or a user's own class."""
        return self._graph is not None or bool(self._unclear)

    @property
    def behind(self) -> frozenset[str]:
        """The tensors that use only the pooled features, according to the graph."""
        layers = behind_pooling(self._graph) if self._graph else frozenset()
        return frozenset(name for name in self.tensors if name.split("/")[-2:-1] and name.split("/")[-2] in layers)

    def normalization(self, scope: str = "", channels: int = 3) -> Normalization | None:
        """Return the normalisation of pixels before the first convolution; None if the file does not tell.

        scope: that of the network, if the file holds several. channels: the number of input channels. Raises
        UnreadableCheckpoint for damaged data.
        """
        return find_normalization(self, self._graph, scope, channels)

    def check_graph(self, network: Network) -> Findings:
        """Return what the file's graph tells about `network`; empty findings if there is no graph.

        Raises LayoutMismatch with the name of every layer that differs from keras.applications' network.
        """
        if self._unclear:
            raise LayoutMismatch(f"{self.path}: its graph cannot be interpreted: {self._unclear}")
        if self._graph is None:
            return Findings({})
        return check_graph(self._graph, network, self.path)

    def checksum(self, name: str) -> int:
        found = self._datasets[name]
        return self._file.checksum(found.offset, found.nbytes)

    def read(self, name: str) -> Array:
        found = self._datasets[name]
        return as_array(self._file.read(found.offset, found.nbytes), self.tensors[name])

    def _open(self) -> None:
        if self._file.read(0, 4) == MAGIC:
            self.format = "Keras .keras"
            records = read_directory(self._file)
            config = read_record(self._file, records[CONFIG_RECORD]).decode()
            start, size = self._weights(records[WEIGHTS_RECORD])
            root = read_tree(self._file, start, size)
        else:
            start = find_signature(self._file) or 0
            root = read_tree(self._file, start, self._file.size - start)
            self.format = "Keras HDF5 model" if "model_weights" in root.members else "Keras HDF5 weights"
            config = _attribute(root, "model_config")
        budget = self._file.budget
        parsed = _parse_config(config, budget) if config else None
        try:
            self._graph = read_graph(parsed, self._file.budget) if parsed else None
        except ValueError as error:  # the weights are good
            self._graph, self._unclear = None, str(error)
        self.metadata = strings_in(parse_json(_attribute(root, METADATA_ATTRIBUTE) or "{}", budget), "its metadata")
        self._held = held(root, parsed, self._file.budget)
        self.skipped = dict(self._held.skipped)
        self._datasets = dict(sorted(self._held.weights.items(), key=lambda item: item[1].offset))
        self.tensors = {
            check_name(name, self.path): TensorInfo(name, dataset.shape, dataset.dtype)
            for name, dataset in self._datasets.items()
            if dataset.dtype is not None
        }

    def _weights(self, record: Record) -> tuple[int, int]:
        """Return the place of the weights' HDF5 file in the archive, after checking its CRC-32."""
        if record.method != STORED:
            raise ValueError(f"its {WEIGHTS_RECORD} is compressed; Keras stores it uncompressed")
        found = self._file.crc32(record.position, record.size)
        if found != record.crc:
            raise ValueError(f"its {WEIGHTS_RECORD} has CRC-32 {found:08x}, the archive says {record.crc:08x}")
        return record.position, record.size


def is_hdf5(path: Path) -> bool:
    """Return whether the file at `path` has HDF5's signature at one of its allowed places."""
    with DataFile(path) as file:
        return find_signature(file) is not None


def _attribute(root: Group, name: str) -> str:
    text = root.attributes.get(name, "")
    if not isinstance(text, str):
        raise ValueError(f"its attribute {name} is not a string")
    return text


def _parse_config(text: str, budget: Budget) -> Config:
    config = parse_json(text, budget)
    if not isinstance(config, dict):
        raise ValueError("its configuration is not a JSON object")
    return config
