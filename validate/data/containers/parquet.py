"""Parquet files as Hugging Face publishes ImageNet: a column `image` of {bytes, path} and a column `label`.

The class names are in the schema's metadata under `huggingface`, where the library `datasets` writes them.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from effconvert.budget import ENTRY, Budget
from effconvert.errors import DatasetProblem, Unavailable, UnreadableCheckpoint
from effconvert.formats.strict_json import parse_json
from effconvert.validate.data.containers.contents import Contents, counted
from effconvert.validate.data.locations import Location

_IMAGES = ("image", "img")
_ROWS = 64  # at a time: a path may be long


def list_parquet(paths: list[Path]) -> Contents:
    """Return the rows of all files, in their order, without reading an image.

    Raises DatasetProblem for a damaged file or other columns; Unavailable without pyarrow.
    """
    contents = Contents(counted(len(paths), "Parquet file"))
    names = []
    for path in paths:
        table = ParquetImages(str(path))
        try:
            names.append(table.class_names())
            for group, row, name, label in table.rows():
                contents.add(name or f"{path.name}:{group}:{row}", label, Location("row", str(path), group, row))
        finally:
            table.close()
    if len(set(names)) > 1:
        contents.problems.append("the files have different class names; are they parts of one data set?")
    contents.class_names = names[0] if names else ()
    return contents


class ParquetImages:
    """One file, with the row group that was read last: images are compressed in groups."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._file = _open(path)
        self._group = -1
        self._images: Any = ()
        columns = self._file.schema_arrow.names
        self._column = next((name for name in _IMAGES if name in columns), "")
        if not self._column:
            raise DatasetProblem(f"{path}: no column `image`; it has {', '.join(columns)}")
        self._has_label = "label" in columns

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def class_names(self) -> tuple[str, ...]:
        """Return the class names in the metadata, () without any."""
        text = (self._file.schema_arrow.metadata or {}).get(b"huggingface", b"{}")
        try:
            features = parse_json(text, Budget(self.path, len(text))).get("info", {}).get("features", {})
            return tuple(map(str, features.get("label", {}).get("names", ())))
        except (ValueError, AttributeError, TypeError, RecursionError, UnreadableCheckpoint):
            return ()

    def rows(self) -> Any:
        """Yield (row group, row in it, name or "", label) for every row."""
        columns = [f"{self._column}.path", *(["label"] if self._has_label else [])]
        budget = Budget(self.path, Path(self.path).stat().st_size, DatasetProblem)
        budget.draw(ENTRY * self._file.metadata.num_rows, "its rows")  # an empty row takes next to nothing
        for group in range(self._file.num_row_groups):
            for row, (name, label) in enumerate(self._names_and_labels(group, columns)):
                if not isinstance(name, str | None):
                    raise DatasetProblem(f"{self.path}: the paths of its images are {type(name).__name__}, not text")
                budget.draw(len(name or ""), "the names of its images")  # one text may stand in every row
                known = label if isinstance(label, str) or (isinstance(label, int) and label >= 0) else None
                yield group, row, _relative(name or ""), known

    def _names_and_labels(self, group: int, columns: list[str]) -> Iterator[tuple[Any, Any]]:
        """Yield the path and the label of each row of a row group, a few rows at a time."""
        try:
            for part in self._file.iter_batches(_ROWS, row_groups=[group], columns=columns, use_threads=False):
                paths = _field(part, self._column, "path")
                labels = part["label"].to_pylist() if self._has_label else [None] * len(paths)
                yield from zip(paths, labels, strict=True)
        except Exception as error:  # pyarrow raises many kinds; a text that is not UTF-8
            raise DatasetProblem(f"{self.path}: row group {group} cannot be read: {error}") from error

    def image(self, group: int, row: int) -> bytes:
        """Return the encoded image in a row of a row group. Raises DatasetProblem when the row has none."""
        if group != self._group:
            self._images = _field(self._read(group, [f"{self._column}.bytes"]), self._column, "bytes", False)
            self._group = group
        found: Any = self._images[row] if row < len(self._images) else None  # without a field of bytes there are none
        found = found.as_py() if hasattr(found, "as_py") else found
        if not isinstance(found, bytes):
            raise DatasetProblem(f"{self.path}: row {row} of row group {group} has no image, only a path")
        return found

    def _read(self, group: int, columns: list[str]) -> Any:
        try:
            return self._file.read_row_group(group, columns=columns, use_threads=False)
        except Exception as error:  # pyarrow raises many kinds
            raise DatasetProblem(f"{self.path}: row group {group} cannot be read: {error}") from error


def _relative(path: str) -> str:
    """Return a path as an image's name: without a root, and "" for one without a last part."""
    parts = PurePosixPath(path).parts
    return "/".join(part for part in parts if part not in ("/", "//", "..")) if PurePosixPath(path).name else ""


def _field(table: Any, column: str, field: str, plain: bool = True) -> Any:
    """Return a field of a column of structs, as a list or as an Arrow array; [None, …] without that field."""
    array: Any = table[column] if column in table.schema.names else None
    array = array.combine_chunks() if hasattr(array, "combine_chunks") else array
    if array is None or array.type.get_field_index(field) < 0:
        return [None] * len(table)
    found = array.field(field)
    return found.to_pylist() if plain else found


def _open(path: str) -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        words = f"{path}: reading Parquet files needs the package pyarrow"
        raise Unavailable(f'{words}: pip install "effconvert[parquet]"') from error
    try:
        return pyarrow.parquet.ParquetFile(path)
    except Exception as error:  # pyarrow raises many kinds
        raise DatasetProblem(f"{path}: a damaged Parquet file: {error}") from error
