"""Mutations of zip files that mend their CRCs, so that what lies behind them is reached."""

import io
import random
import struct
import zipfile
import zlib

from helpers.fuzzing.target import Change, Mutate

_LOCAL, _CENTRAL = b"PK\x03\x04", b"PK\x01\x02"


def mutate_zip(stored: bool = True) -> Mutate:
    """Return a mutation of a zip file: of one record, written anew; of any byte, with CRCs mended; or of any byte.

    stored: whether new records are written without compression.
    """
    method = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED

    def mutate(content: bytes, change: Change, chosen: random.Random) -> bytes:
        way = chosen.randrange(8)
        if way == 0:
            return change(content)
        if way == 1:
            return mended(change(content))
        return _with_record_changed(content, change, chosen, method)

    return mutate


def mended(content: bytes) -> bytes:
    """Return the file with the CRC of each stored record that its directory leads to."""
    out = bytearray(content)
    at = content.find(_CENTRAL)
    while 0 <= at <= len(content) - 46:
        method, size, start = (
            *struct.unpack_from("<H8xI", content, at + 10),
            *struct.unpack_from("<I", content, at + 42),
        )
        if not method and content[start : start + 4] == _LOCAL and start + 30 <= len(content):
            name, extra = struct.unpack_from("<2H", content, start + 26)
            begin = start + 30 + name + extra
            crc = zlib.crc32(content[begin : begin + size]).to_bytes(4, "little")
            out[at + 16 : at + 20] = out[start + 14 : start + 18] = crc
        at = content.find(_CENTRAL, at + 4)
    return bytes(out)


def _with_record_changed(content: bytes, change: Change, chosen: random.Random, method: int) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            records = [(name, archive.read(name)) for name in archive.namelist()]
    except Exception:  # zipfile raises many kinds
        return change(content)
    if not records:
        return change(content)
    number = chosen.randrange(len(records))
    name, data = records[number]
    way = chosen.randrange(12)
    if way == 0:
        del records[number]
    elif way == 1:
        records.append((chosen.choice(records)[0], data))
    elif way == 2:
        records[number] = (change(name.encode()).decode("latin-1")[:200], data)
    else:
        records[number] = (name, change(data))
    return written(records, method)


def written(records: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    """Return a zip file of these records, the same bytes each time; of two of one name, the last."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in dict(records).items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return out.getvalue()
