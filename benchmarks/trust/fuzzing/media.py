"""Pictures and films with one change."""

import struct
import zlib
from collections.abc import Iterator
from random import Random

from benchmarks.trust.fuzzing.texts import INTEGERS, raw


def as_picture(rng: Random, content: bytes) -> bytes:
    """Change one chunk of a PNG, whose checksum is right again; in other formats, bytes."""
    if not content.startswith(b"\x89PNG"):
        return raw(rng, content)
    chunks, place = [], 8
    while place < len(content):
        num = int.from_bytes(content[place : place + 4], "big")
        chunks.append((content[place + 4 : place + 8], content[place + 8 : place + 8 + num]))
        place += 12 + num
    index = rng.randrange(len(chunks))
    kind, inside = chunks[index]
    change = rng.randrange(5)
    if change == 0 and kind == b"IHDR":
        size = struct.pack(">II", rng.choice(INTEGERS[:9]), rng.choice(INTEGERS[:9]))
        chunks[index] = (
            kind,
            size + bytes([rng.choice([1, 8, 16, 99]), rng.choice([0, 2, 3, 4, 6, 7]), 0, 0, rng.choice([0, 1])]),
        )
    elif change == 1:
        del chunks[index]
    elif change == 2:
        chunks.insert(
            index,
            (
                rng.choice([b"tRNS", b"PLTE", b"iTXt", b"zTXt", b"acTL", b"fcTL", b"IDAT", b"iCCP"]),
                zlib.compress(b"\0" * 10**6),
            ),
        )
    else:
        chunks[index] = (kind, raw(rng, inside))
    parts = (struct.pack(">I", len(of)) + name + of + struct.pack(">I", zlib.crc32(name + of)) for name, of in chunks)
    return content[:8] + b"".join(parts)


_HOLDERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"dinf", b"udta"}


def as_mp4(rng: Random, content: bytes) -> bytes:
    """Change the size, the kind or a number of one box of an MP4 film."""
    start, size = rng.choice(list(_boxes(content, 0, len(content))))
    change, changed = rng.randrange(8), bytearray(content)
    if change == 0:
        changed[start : start + 4] = (rng.choice(INTEGERS) % 2**32).to_bytes(4, "big")
    elif change == 1:
        changed[start + 4 : start + 8] = rng.choice([b"free", b"stco", b"co64", b"cmov", b"moov", b"stsd", b"\0\0\0\0"])
    elif size > 12:
        place = start + 8 + 4 * rng.randrange((size - 8) // 4)
        changed[place : place + 4] = (rng.choice(INTEGERS) % 2**32).to_bytes(4, "big")
    return bytes(changed)


def _boxes(content: bytes, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """(place, bytes) of every box."""
    while start + 8 <= stop:
        size = int.from_bytes(content[start : start + 4], "big")
        yield start, size
        if content[start + 4 : start + 8] in _HOLDERS:
            yield from _boxes(content, start + 8, min(start + size, stop))
        start += max(size, 8)
