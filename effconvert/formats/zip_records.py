"""The bytes of one record in a zip file, unpacked in pieces that the budget of the file bears.

zipfile is not used for this: with bzip2 and LZMA it unpacks all of a piece, whatever size the record declares.
"""

import struct
import zipfile
import zlib

from effconvert.formats.checkpoint import DataFile
from effconvert.formats.zip_directory import MAGIC

_LOCAL_HEADER = struct.Struct("<4s2xHH16xHH")  # signature, flags, method, length of the name, of the extra field
_ENCRYPTED = 0x1


def start_of(file: DataFile, info: zipfile.ZipInfo) -> int:
    """Return the place of a record's bytes, behind its own header. Raises ValueError if that is not the record's."""
    header = file.read(info.header_offset, _LOCAL_HEADER.size)
    signature, flags, method, name_length, extra_length = _LOCAL_HEADER.unpack(header)
    if signature != MAGIC or flags & _ENCRYPTED or method != info.compress_type:
        raise ValueError(f"record {info.filename[:80]!r} is damaged: its header differs from the directory")
    return int(info.header_offset + _LOCAL_HEADER.size + name_length + extra_length)


def read_record(file: DataFile, info: zipfile.ZipInfo, most: int | None = None, kept: bool = True) -> bytearray:
    """Return the unpacked bytes of a record, verified; with `most`, only the first ones, which are not verified.

    kept: whether they stay in memory, or are soon given back.

    The record must be stored or deflated, as every program writes it that effconvert knows. Raises ValueError for a
    damaged record, UnreadableCheckpoint if it is too much for the budget of the file.
    """
    name = info.filename[:80]
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"record {name!r} is packed by method {info.compress_type}; stored and deflated ones are read")
    size = info.file_size if most is None else min(most, info.file_size)
    (file.budget.draw if kept else file.budget.require)(size, f"its record {name!r}")
    content = _unpacked(file, info, size)
    if len(content) != size:
        raise ValueError(f"record {name!r} has not the {info.file_size:,} bytes that it declares")
    if most is None and zlib.crc32(content) != info.CRC:
        raise ValueError(f"record {name!r} is damaged: its CRC-32 is {zlib.crc32(content):08x}, not {info.CRC:08x}")
    return content


def _unpacked(file: DataFile, info: zipfile.ZipInfo, size: int) -> bytearray:
    """Return the first `size` bytes of a record; more or fewer if that is not what it holds."""
    start = start_of(file, info)
    if start + info.compress_size > file.size:
        raise ValueError(f"record {info.filename[:80]!r} ends behind the end of the file")
    if info.compress_type == zipfile.ZIP_STORED:
        return bytearray(file.read(start, size if size < info.file_size else info.compress_size))
    stream, content = zlib.decompressobj(-zlib.MAX_WBITS), bytearray()
    whole = size == info.file_size
    try:
        for piece in file.pieces(start, info.compress_size):
            # One byte more than is declared tells that there are more; never the rest of them.
            content += stream.decompress(piece, size + whole - len(content))
            if stream.eof or len(content) >= size + whole:
                break
    except zlib.error as error:
        raise ValueError(f"record {info.filename[:80]!r} is damaged: {error}") from error
    return content
