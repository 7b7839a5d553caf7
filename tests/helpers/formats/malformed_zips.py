"""Zip files that are malformed in one way each, made of the records of two contents."""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from zlib import crc32

Fields = Mapping[str, int]
HEADER = ("version", "flags", "method", "time", "date", "crc", "packed", "size", "name_length", "extra_length")
ENTRY = ("made", *HEADER, "comment_length", "disk", "internal", "external", "offset")
END = ("disk", "first_disk", "here", "count", "directory_size", "directory_offset", "comment_length")
_32 = (1 << 32) - 1


@dataclass(frozen=True)
class Part:
    """A record. header, entry: values in its header and in the directory that are not the right ones."""

    name: bytes
    data: bytes
    header: Fields = field(default_factory=dict)
    entry: Fields = field(default_factory=dict)
    header_name: bytes | None = None
    header_extra: bytes = b""
    entry_extra: bytes = b""
    behind: bytes = b""

    def both(self, **values: int) -> "Part":
        """Return the record with these values in its header and in the directory."""
        return replace(self, header={**self.header, **values}, entry={**self.entry, **values})


def build(
    parts: list[Part], end: Fields | None = None, first: int = 0, gap: bytes = b"", end64: Fields | None = None
) -> bytes:
    """Return a zip file of `parts`, for a place `first` bytes behind the start of a file.

    gap: before the directory. end: wrong values in the end record. end64: a zip64 end record with these wrong values.
    """
    content, directory = b"", b""
    for part in parts:
        right = {
            "version": 20, "flags": 0, "method": 0, "time": 0, "date": 33, "crc": crc32(part.data),
            "packed": len(part.data), "size": len(part.data), "name_length": len(part.name), "made": 20,
            "comment_length": 0, "disk": 0, "internal": 0, "external": 0, "offset": first + len(content),
        }  # fmt: skip
        name = part.name if part.header_name is None else part.header_name
        header = {**right, "name_length": len(name), "extra_length": len(part.header_extra), **part.header}
        entry = {**right, "extra_length": len(part.entry_extra), **part.entry}
        content += b"PK\x03\x04" + struct.pack("<5H3L2H", *(header[word] for word in HEADER)) + name
        content += part.header_extra + part.data + part.behind
        directory += b"PK\x01\x02" + struct.pack("<6H3L5H2L", *(entry[word] for word in ENTRY)) + part.name
        directory += part.entry_extra
    content += gap
    right = {
        "disk": 0, "first_disk": 0, "here": len(parts), "count": len(parts), "directory_size": len(directory),
        "directory_offset": first + len(content), "comment_length": 0,
    }  # fmt: skip
    whole = content + directory
    if end64 is not None:
        values = {**right, "length": 44, "where": first + len(whole), "locator_disk": 0, "disks": 1, **end64}
        whole += b"PK\x06\x06" + struct.pack("<Q2H2L", values["length"], 45, 45, values["disk"], values["first_disk"])
        whole += struct.pack("<4Q", *(values[word] for word in END[2:6]))
        whole += b"PK\x06\x07" + struct.pack("<LQL", values["locator_disk"], values["where"], values["disks"])
    values = {**right, **(end or {})}
    return whole + b"PK\x05\x06" + struct.pack("<4H2LH", *(values[word] for word in END))


def extra(kind: int, data: bytes) -> bytes:
    """Return an extra field."""
    return struct.pack("<HH", kind, len(data)) + data


def zip64(*values: int) -> bytes:
    """Return a zip64 extra field with these values."""
    return extra(1, struct.pack(f"<{len(values)}Q", *values))


def malformed(good: list[Part], other: list[Part]) -> Iterator[tuple[str, bytes]]:
    """Yield zip files that are not as a writer leaves them, with words on what is wrong.

    good, other: the records of two contents. The last of `good` is the one that is changed.
    """
    yield from _joined(good, other)
    yield from _ends(good)
    yield from _fields(good)
    yield from _names(good, other)
    yield from _extras(good, other)
    yield from _spaces(good, other)


def _joined(good: list[Part], other: list[Part]) -> Iterator[tuple[str, bytes]]:
    for one, two, words in ((good, other, "other behind"), (other, good, "good behind")):
        first, alone = build(one), build(two)
        size = len(first)
        yield f"two files, {words}", first + alone
        yield f"two files with true offsets, {words}", first + build(two, first=size)
        yield f"two files in a comment, {words}", build(one, end={"comment_length": len(alone)}) + alone
        shifted = {"directory_offset": len(first) - 22 - _directory_size(one), "directory_size": _directory_size(two)}
        yield f"end points to the first directory, {words}", first + build(two, end=shifted)
        yield f"the same with true offsets, {words}", first + build(two, end=shifted, first=size)
        yield f"the same without the first end, {words}", first[:-22] + build(two, end=shifted)
        yield f"two ends, {words}", first + alone[-22:]
        yield f"the end of the other, {words}", first[:-22] + alone[-22:]
        yield f"records of the other before, {words}", build(one, gap=build(two))
        wrong = build(two, first=size, end64={"directory_offset": len(first) - 22 - _directory_size(one)})
        yield f"zip64 end points to the first directory, {words}", first + wrong
    for junk in (b"\0", b"junk", b"PK\x05\x06" + bytes(18), bytes(100)):
        yield f"{len(junk)} bytes before", junk + build(good)
        yield f"{len(junk)} bytes before, true offsets", junk + build(good, first=len(junk))
        yield f"{len(junk)} bytes behind", build(good) + junk
        yield f"{len(junk)} bytes of comment", build(good, end={"comment_length": len(junk)}) + junk
        yield f"{len(junk)} bytes before the directory", build(good, gap=junk)


def _directory_size(parts: list[Part]) -> int:
    return sum(46 + len(part.name) for part in parts)


def _ends(good: list[Part]) -> Iterator[tuple[str, bytes]]:
    size, count = _directory_size(good), len(good)
    start = len(build(good)) - 22 - size
    wrong = {
        "disk": (1, 0xFFFF), "first_disk": (1, 0xFFFF), "here": (0, count - 1, count + 1, 0xFFFF),
        "count": (0, 1, count - 1, count + 1, 0xFFFF), "directory_size": (0, size - 1, size + 1, size - 46, _32),
        "directory_offset": (0, start - 1, start + 1, start + 22, _32), "comment_length": (1, 22, 0xFFFF),
    }  # fmt: skip
    for word, values in wrong.items():
        for value in values:
            yield f"end: {word} {value}", build(good, end={word: value})
            if word != "comment_length":
                yield f"zip64 end: {word} {value}", build(good, end64={word: value})
            yield f"both ends: {word} {value}", build(good, end={word: value}, end64={word: value})
            yield f"end with a zip64 end: {word} {value}", build(good, end={word: value}, end64={})
    for number in range(count):
        fewer = {"count": number, "here": number, "directory_size": _directory_size(good[:number])}
        yield f"end: only {number} records", build(good, end=fewer)
        yield f"zip64 end: only {number} records", build(good, end64=fewer)
    for word, value in (
        ("length", 45),
        ("length", 0),
        ("where", 0),
        ("where", start),
        ("locator_disk", 1),
        ("disks", 2),
    ):
        yield f"zip64 end: {word} {value}", build(good, end64={word: value})


def _fields(good: list[Part]) -> Iterator[tuple[str, bytes]]:
    *others, last = good
    size = len(last.data)
    wrong = {
        "flags": tuple(1 << bit for bit in range(16)), "method": (1, 8, 9, 12, 14, 93, 99, 0xFFFF),
        "crc": (0, 1), "packed": (0, size - 1, size + 1, size + 16, _32), "size": (0, size - 1, size + 4, 1 << 30, _32),
        "version": (0, 45, 99, 0xFFFF), "time": (1,), "date": (0,),
    }  # fmt: skip
    for word, values in wrong.items():
        for value in values:
            yield f"header: {word} {value}", build([*others, replace(last, header={word: value})])
            yield f"directory: {word} {value}", build([*others, replace(last, entry={word: value})])
            yield f"both: {word} {value}", build([*others, last.both(**{word: value})])
    for value in (0, 4, size - 4, size + 4, 1 << 30):
        yield f"both sizes {value} in both", build([*others, last.both(packed=value, size=value)])
        yield (
            f"both sizes {value} in the directory",
            build([*others, replace(last, entry={"packed": value, "size": value})]),
        )
    at = len(build(others)) - 22 - _directory_size(others)
    for value in (0, 1, at - 1, at + 1, at + 4, at + 30, _32):
        yield f"directory: offset {value}", build([*others, replace(last, entry={"offset": value})])
    for word in ("disk", "internal", "external", "made"):
        yield f"directory: {word} 1", build([*others, replace(last, entry={word: 1})])
    for word in ("name_length", "extra_length", "comment_length"):
        yield f"directory: {word} 1", build([*others, replace(last, entry={word: 1})])
    for word, value in (("name_length", 0), ("name_length", 4), ("extra_length", 4), ("extra_length", 16)):
        yield f"header: {word} {value}", build([*others, replace(last, header={word: value})])


def _names(good: list[Part], other: list[Part]) -> Iterator[tuple[str, bytes]]:
    root = good[0].name.split(b"/")[0] if b"/" in good[0].name else b""
    for at, part in enumerate(good):
        bare = part.name
        changed = (
            bare + b"\0", bare + b"\0x", b"\0" + bare, bare.upper(), bare.title(), b"/" + bare, b"./" + bare,
            b"../" + bare, bare.replace(b"/", b"//"), bare.replace(b"/", b"\\"), bare.replace(b"/", b"/./"),
            bare.replace(b"/", b"/../" + root + b"/"), bare + b"/", b"x/" + bare, bare + b" ", bare + b"\xff", b"",
            b"C:/" + bare, bare + b"\xc3\xa4",
        )  # fmt: skip
        for name in dict.fromkeys(changed):
            renamed = replace(part, name=name)
            yield f"{bare!r} is {name!r}", build([*good[:at], renamed, *good[at + 1 :]])
            yield f"{bare!r} is {name!r} in UTF-8", build([*good[:at], renamed.both(flags=0x800), *good[at + 1 :]])
            yield (
                f"{bare!r} is {name!r} in its header",
                build([*good[:at], replace(part, header_name=name), *good[at + 1 :]]),
            )
            twin = replace(other[at], name=name)
            yield f"{bare!r} also as {name!r}", build([*good, twin])
            yield f"{bare!r} first as {name!r}", build([twin, *good])
        yield f"{bare!r} twice", build([*good, other[at]])
        yield f"{bare!r} twice, the other first", build([other[at], *good])
    elsewhere = [replace(part, name=b"b" + part.name) for part in other]
    yield "two folders", build([*good, *elsewhere])
    yield "two folders, the other first", build([*elsewhere, *good])
    yield "two folders, mixed", build([part for pair in zip(good, elsewhere, strict=True) for part in pair])
    for case in (bytes.upper, bytes.title):
        capitals = [replace(part, name=case(part.name)) for part in other]
        yield f"two folders, {case.__name__}", build([*good, *capitals])
        yield f"two folders, {case.__name__} first", build([*capitals, *good])
    for name in (b"byteorder", b"BYTEORDER", b"ByteOrder", b".format_version", b".storage_alignment", b"version"):
        for data in (b"big", b"0", b"99\n"):
            added = Part(root + b"/" + name, data)
            yield f"{name!r} {data!r}", build([*good, added])
            yield f"{name!r} {data!r} first", build([added, *good])


def _extras(good: list[Part], other: list[Part]) -> Iterator[tuple[str, bytes]]:
    *others, last = good
    size, at = len(last.data), len(build(others)) - 22 - _directory_size(others)
    renamed = extra(0x7075, b"\x01" + struct.pack("<L", crc32(last.name)) + other[0].name)
    fields = {
        "second name": renamed, "cut off": b"\x01\0\x08", "too long": b"\x02\0\xff\xff", "unknown": extra(0xCAFE, b"x"),
        "zip64 with nothing": zip64(), "zip64 with sizes": zip64(size, size), "zip64 with all": zip64(size, size, at),
        "zip64 with others": zip64(size - 4, size - 4, 0), "two zip64": zip64(size, size) + zip64(0, 0),
        "padding": extra(0x4246, b"Z" * 9), "zip64 behind padding": extra(0x4246, b"ZZ") + zip64(size, size),
    }  # fmt: skip
    for words, value in fields.items():
        yield f"header: {words}", build([*others, replace(last, header_extra=value)])
        yield f"directory: {words}", build([*others, replace(last, entry_extra=value)])
        for missing in ({"size": _32}, {"packed": _32}, {"size": _32, "packed": _32}, {"offset": _32}):
            yield (
                f"directory: {words}, {[*missing]} there",
                build([*others, replace(last, entry_extra=value, entry=missing)]),
            )
            if "offset" not in missing:
                yield (
                    f"header: {words}, {[*missing]} there",
                    build([*others, replace(last, header_extra=value, header=missing)]),
                )
    for number in (0, 1, size, at, 1 << 40, (1 << 64) - 1):
        yield (
            f"zip64 offset {number}",
            build([*others, replace(last, entry_extra=zip64(number), entry={"offset": _32})]),
        )
        sizes = {"size": _32, "packed": _32}
        yield f"zip64 sizes {number}", build([*others, replace(last, entry_extra=zip64(number, number), entry=sizes)])


def _spaces(good: list[Part], other: list[Part]) -> Iterator[tuple[str, bytes]]:
    *others, last = good
    right = struct.pack("<LLL", crc32(last.data), len(last.data), len(last.data))
    wide = struct.pack("<LQQ", crc32(last.data), len(last.data), len(last.data))
    for words, behind in {
        "descriptor": b"PK\x07\x08" + right, "without signature": right, "wide": b"PK\x07\x08" + wide,
        "wide without signature": wide, "wrong": b"PK\x07\x08" + right[::-1], "short": right[:8], "nothing": b"",
        "twice": b"PK\x07\x08" + right + b"PK\x07\x08" + right, "other signature": b"PK\x07\x09" + right,
    }.items():  # fmt: skip
        for flags in (0, 8):
            yield f"{words} with flags {flags}", build([*others, replace(last, behind=behind).both(flags=flags)])
        unknown = {"flags": 8, "crc": 0, "packed": 0, "size": 0}
        part = replace(last, behind=behind, entry={"flags": 8}, header=unknown)
        yield f"{words} and sizes that are not known yet", build([*others, part])
    yield "the directory in another order", _reordered(good)
    yield "records in another order", build(good[::-1])
    yield "a gap between records", build([replace(good[0], behind=b"gap"), *good[1:]])
    hidden = build([other[-1]])[: 30 + len(last.name) + len(last.data)]
    yield "a hidden record between records", build([replace(good[0], behind=hidden), *good[1:]])
    place = 30 + len(good[0].name) + len(good[0].data)
    pointed = replace(last, entry={"offset": place, "crc": crc32(other[-1].data)})
    yield "a hidden record in the directory", build([replace(good[0], behind=hidden), *others[1:], pointed])
    inside = replace(good[0], data=good[0].data + hidden)
    yield "a record inside another", build([inside, *others[1:], pointed])


def _reordered(parts: list[Part]) -> bytes:
    whole = build(parts)
    sizes = [46 + len(part.name) for part in parts]
    at = len(whole) - 22 - sum(sizes)
    entries = []
    for size in sizes:
        entries.append(whole[at : at + size])
        at += size
    return whole[: len(whole) - 22 - sum(sizes)] + b"".join(reversed(entries)) + whole[-22:]
