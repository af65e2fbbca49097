"""Chunks that would expand to gigabytes, and codecs that would run programs: refused by every reader."""

import bz2
import contextlib
import gzip
import json
import lzma
import os
import pickle
import re
import struct
import zlib
from pathlib import Path

import google_crc32c
import numcodecs
import numpy as np
import pytest
import zarr
from tests.volumes import servers
from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec

from scripts.volumes import CorruptChunkError, MetadataError, open_volume
from scripts.volumes.bounded_codecs import check_expansion_of_chunk

LARGE = 2**28
"""Bytes that the bombs would make; a chunk has 512."""

MOST_GROWTH = 2**26


@contextlib.contextmanager
def growth():
    """Gives a function that tells by how many bytes memory has been larger than at the start, at most."""
    clear, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    try:
        clear.write_text("5")  # the peak is that of now
    except OSError:
        pytest.skip("the system does not tell the peak of a process's memory")

    def field(name):
        return 1024 * int(re.search(rf"{name}:\s+(\d+) kB", status.read_text())[1])

    before = field("VmRSS")
    yield lambda: field("VmHWM") - before


@pytest.fixture(params=["tensorstore", "zarr-python", "http"])
def opened(request, monkeypatch, tmp_path):
    monkeypatch.setenv("POLYTOME_REMOTE_TRIES", "1")
    if request.param == "http":
        with servers.web_server(tmp_path) as server:
            yield lambda path: open_volume(f"{server.address}/{path.name}")
        return
    if request.param == "zarr-python":
        monkeypatch.setattr("scripts.volumes.tensorstore_source.may_use_tensorstore", lambda *_: False)
    yield open_volume


@pytest.fixture(scope="module")
def bombs():
    """Half a gigabyte of zeros by each compressor."""
    zeros = bytes(LARGE)
    made = {
        "zstd": numcodecs.Zstd(1).encode(zeros),
        "gzip": gzip.compress(zeros, 1),
        "zlib": zlib.compress(zeros, 1),
        "bz2": bz2.compress(zeros[: LARGE // 4]) * 4,
        "lz4": numcodecs.LZ4().encode(zeros),
        "blosc": numcodecs.Blosc("zstd", 1).encode(zeros),
    }
    return made | {"zstd of no stated size": without_size(made["zstd"])}


def without_size(frame):
    """The same zstd frame, whose header leaves out the size and gives a window in its place."""
    field = (1 if frame[4] & 32 else 0, 2, 4, 8)[frame[4] >> 6]
    window = 0 if frame[4] & 32 else 1
    return frame[:4] + bytes([frame[4] & 0b00000111, 0x58]) + frame[5 + window + field :]


def array(path, zarr_format, compressors):
    options = {"dtype": "u1", "zarr_format": zarr_format, "compressors": compressors}
    zarr.create_array(path, shape=(8, 8, 8), chunks=(8, 8, 8), **options)[...] = 7
    return path / ("0.0.0" if zarr_format == 2 else "c/0/0/0")


CODECS = {
    "v2 zstd": (2, "zstd", numcodecs.Zstd(1)),
    "v2 gzip": (2, "gzip", numcodecs.GZip(1)),
    "v2 zlib": (2, "zlib", numcodecs.Zlib(1)),
    "v2 bz2": (2, "bz2", numcodecs.BZ2(1)),
    "v2 lz4": (2, "lz4", numcodecs.LZ4()),
    "v3 zstd": (3, "zstd", ZstdCodec()),
    "v3 zstd of no stated size": (3, "zstd of no stated size", ZstdCodec()),
    "v3 gzip": (3, "gzip", GzipCodec()),
    "v2 blosc": (2, "blosc", numcodecs.Blosc()),
    "v3 blosc": (3, "blosc", BloscCodec()),
}


@pytest.mark.parametrize("codec", CODECS)
def test_a_chunk_that_expands_without_end_is_an_error_and_no_memory(tmp_path, opened, bombs, codec, request):
    zarr_format, kind, compressor = CODECS[codec]
    chunk = array(tmp_path / "x.zarr", zarr_format, compressor)
    volume = opened(tmp_path / "x.zarr")
    assert (volume.read((0, 0, 0), (8, 8, 8)) == 7).all()
    chunk.write_bytes(bombs[kind])
    message = r"x\.zarr: chunk '(0\.0\.0|c/0/0/0)' \(stored voxels \[0:8, 0:8, 0:8\]\)"
    with growth() as grown, pytest.raises(CorruptChunkError, match=message):
        volume.read((0, 0, 0), (8, 8, 8))
    if kind != "blosc" or "tensorstore" not in request.node.name:  # tensorstore has blosc make all of it, 2 GiB at most
        assert grown() < MOST_GROWTH


def test_a_chunk_within_a_shard(tmp_path, opened, bombs):
    path = tmp_path / "x.zarr"
    zarr.create_array(path, shape=(8, 8, 8), chunks=(4, 4, 4), shards=(8, 8, 8), dtype="u1", compressors=ZstdCodec())[
        ...
    ] = 7
    shard = path / "c" / "0" / "0" / "0"
    index = np.frombuffer(shard.read_bytes()[-(16 * 8 + 4) : -4], "<u8").reshape(8, 2).copy()
    index[3] = 0, len(bombs["zstd"])
    content = index.tobytes()
    shard.write_bytes(bombs["zstd"] + content + google_crc32c.value(content).to_bytes(4, "little"))
    volume = opened(path)
    with growth() as grown, pytest.raises(CorruptChunkError, match=r"x\.zarr: chunk 'c/0/0/0'"):
        volume.read((0, 4, 4), (1, 1, 1))
    assert grown() < MOST_GROWTH


@pytest.mark.parametrize(
    ("kind", "compress"),
    [
        ("zstd", numcodecs.Zstd(1).encode),
        ("gzip", gzip.compress),
        ("zlib", zlib.compress),
        ("bz2", bz2.compress),
        ("lzma", lzma.compress),
        ("lz4", numcodecs.LZ4().encode),
        ("blosc", numcodecs.Blosc("zstd").encode),
    ],
)
@pytest.mark.parametrize("size", [1, 1000, 300_000])
def test_what_fits_passes_and_what_does_not_is_refused(kind, compress, size, monkeypatch):
    monkeypatch.setattr("scripts.volumes.bounded_codecs._UNCHECKED_BYTES", 0)
    content = bytes(compress(np.random.default_rng(0).integers(0, 3, size).astype("u1").tobytes()))
    check_expansion_of_chunk(kind, content, size)
    with pytest.raises(ValueError, match=rf"bytes of {kind} expand to [\d,]+ or more, expected at most {size - 1:,}"):
        check_expansion_of_chunk(kind, content, size - 1)
    for damaged in (content[: len(content) // 2], b"", b"\xff" * 40):
        if kind not in ("blosc", "lz4"):  # whose first bytes are their size, whatever follows
            check_expansion_of_chunk(kind, damaged, size)


def test_blocks_are_counted_where_zstd_states_no_size():
    frame = without_size(bytes(numcodecs.Zstd(1).encode(bytes(10 * 2**17))))
    check_expansion_of_chunk("zstd", frame, 10 * 2**17)
    with pytest.raises(ValueError, match="expand to 1,310,720 or more"):
        check_expansion_of_chunk("zstd", frame, 10 * 2**17 - 1)


@pytest.mark.parametrize(
    ("kind", "compress", "nothing"),
    [
        ("gzip", gzip.compress, gzip.compress(b"")),
        ("bz2", bz2.compress, bz2.compress(b"")),
        ("lzma", lzma.compress, lzma.compress(b"")),
        ("zstd", lambda data: bytes(numcodecs.Zstd(1).encode(data)), struct.pack("<II", 0x184D2A5F, 3) + b"abc"),
    ],
    ids=["gzip", "bz2", "lzma", "zstd"],
)
def test_what_follows_another_stream_counts_too(kind, compress, nothing, monkeypatch):
    monkeypatch.setattr("scripts.volumes.bounded_codecs._UNCHECKED_BYTES", 0)
    content = nothing + compress(bytes(3000)) + nothing + compress(bytes(2000))
    check_expansion_of_chunk(kind, content, 5000)
    with pytest.raises(ValueError, match=r"expand to 5,000 or more"):
        check_expansion_of_chunk(kind, content, 4999)


def test_other_codecs_are_left_alone():
    check_expansion_of_chunk("shuffle", bytes(100), 1)


class Bomb:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("place", ["filters", "compressor"])
def test_a_codec_that_runs_programs_is_refused(tmp_path, opened, place):
    chunk = array(tmp_path / "x.zarr", 2, None)
    chunk.write_bytes(pickle.dumps(Bomb(tmp_path / "mark")))
    document = tmp_path / "x.zarr" / ".zarray"
    codec = {"id": "pickle", "protocol": 5}
    document.write_text(
        json.dumps(json.loads(document.read_text()) | {place: [codec] if place == "filters" else codec})
    )
    with pytest.raises(MetadataError, match=r"x\.zarr/\.zarray: 'id' is .*'pickle'.* runs what is stored"):
        opened(tmp_path / "x.zarr")
    assert not (tmp_path / "mark").exists()
