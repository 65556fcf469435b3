"""Mutations: bit flips, truncation, length fields, blocks that double, vanish or turn to noise. Deterministic by seed."""

from __future__ import annotations

import random
from collections.abc import Callable

INTERESTING = (0, 1, 7, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def flip_bits(data: bytearray, chance: random.Random) -> bytearray:
    for _ in range(chance.choice((1, 1, 2, 8, 64))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return data


def truncate(data: bytearray, chance: random.Random) -> bytearray:
    return data[: chance.randrange(len(data))]


def length_field(data: bytearray, chance: random.Random) -> bytearray:
    """A number of 2, 4 or 8 bytes, mostly near the beginning, where headers are."""
    width = chance.choice((2, 4, 4, 4, 8))
    end = len(data) if chance.random() < 0.4 else min(len(data), 512)
    at = chance.randrange(max(1, end - width))
    value = chance.choice(INTERESTING) if chance.random() < 0.7 else chance.getrandbits(8 * width)
    data[at : at + width] = (value % (1 << (8 * width))).to_bytes(width, chance.choice(("big", "little")))
    return data


def zero_block(data: bytearray, chance: random.Random) -> bytearray:
    at, length = _block(data, chance)
    data[at : at + length] = bytes(len(data[at : at + length]))
    return data


def delete_block(data: bytearray, chance: random.Random) -> bytearray:
    at, length = _block(data, chance)
    del data[at : at + length]
    return data


def double_block(data: bytearray, chance: random.Random) -> bytearray:
    at, length = _block(data, chance)
    data[at:at] = data[at : at + length] * chance.choice((1, 2, 50))
    return data


def noise_block(data: bytearray, chance: random.Random) -> bytearray:
    at, length = _block(data, chance)
    data[at : at + length] = chance.randbytes(len(data[at : at + length]))
    return data


def _block(data: bytearray, chance: random.Random) -> tuple[int, int]:
    return chance.randrange(len(data)), chance.choice((1, 4, 16, 64, 512))


MUTATIONS: tuple[Callable[[bytearray, random.Random], bytearray], ...] = (
    flip_bits,
    flip_bits,
    truncate,
    length_field,
    length_field,
    zero_block,
    delete_block,
    double_block,
    noise_block,
)


def mutate(data: bytes, seed: int) -> bytes:
    """One to three mutations of `data`; the same seed gives the same bytes."""
    chance = random.Random(seed)
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        if changed:
            changed = chance.choice(MUTATIONS)(changed, chance)
    return bytes(changed)


def mutate_tar(data: bytes, seed: int) -> bytes:
    """One to three files of a tar changed (their names and headers stay): damage inside a lake."""
    import io
    import tarfile

    chance = random.Random(seed)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        files = {m.name: tar.extractfile(m).read() for m in tar if m.isfile()}  # type: ignore[union-attr]
    for name in chance.sample(sorted(files), min(len(files), chance.choice((1, 1, 2, 3)))):
        if chance.random() < 0.1:
            del files[name]
        elif files[name]:
            files[name] = mutate(files[name], chance.getrandbits(32))
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        for name, body in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(body)
            tar.addfile(member, io.BytesIO(body))
    return sink.getvalue()
