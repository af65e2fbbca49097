"""What servers store, and whether it has changed."""

import logging
import os

import numpy as np
import pytest
import zarr
from tests.volumes import servers

from scripts.patches import find_patches
from scripts.volumes import CannotListError, open_volume
from scripts.volumes.stores import list_keys


@pytest.fixture
def folder(tmp_path):
    array = zarr.create_array(tmp_path / "x.zarr", shape=(16, 8, 24), chunks=(8, 8, 8), dtype="u1")
    array[8:, :, :8] = 3
    array[:8, :, 8:] = 4
    return tmp_path


STORED = [((0, 0, 8), (8, 8, 8)), ((0, 0, 16), (8, 8, 8)), ((8, 0, 0), (8, 8, 8))]


def change_in_place(path):
    """Another value, same size, another time of change."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, (1, 1))


@pytest.mark.parametrize("lists", [True, False])
def test_a_change_in_place_on_a_web_server_is_seen(folder, lists):
    with servers.web_server(folder, lists=lists) as server:
        url = f"{server.address}/x.zarr"
        before = open_volume(url).fingerprint()
        assert open_volume(url).fingerprint() == before
        change_in_place(folder / "x.zarr" / "c" / "1" / "0" / "0")
        assert open_volume(url).fingerprint() != before


def test_too_many_files_are_not_asked_one_by_one(folder, monkeypatch, caplog):
    monkeypatch.setattr("scripts.volumes.http_store.MAX_ASKED", 3)
    with servers.web_server(folder) as server, caplog.at_level(logging.WARNING):
        before = open_volume(f"{server.address}/x.zarr").fingerprint()
        change_in_place(folder / "x.zarr" / "c" / "1" / "0" / "0")
        assert open_volume(f"{server.address}/x.zarr").fingerprint() == before
        assert "not every one of 4 files is asked for its time of change (at most 3 are)" in caplog.text
        (folder / "x.zarr" / "c" / "1" / "0" / "0").unlink()
        assert open_volume(f"{server.address}/x.zarr").fingerprint() != before


def test_addresses_with_other_signs(folder):
    (folder / "x.zarr").rename(folder / "my scan+#1.zarr")
    with servers.web_server(folder) as server:
        volume = open_volume(f"{server.address}/my%20scan+%231.zarr")
        assert (volume.read((8, 0, 0), (8, 8, 8)) == 3).all()
        assert volume.stored_chunks() == STORED


@pytest.mark.parametrize(
    ("links", "expected"),
    [
        pytest.param(["?C=N;O=D", "../", "/", "c/", "zarr.json"], ["c/", "zarr.json"], id="apache"),
        pytest.param(["./c/", "./zarr.json", "https://other.org/x.zarr/a"], ["c/", "zarr.json"], id="caddy"),
        pytest.param(["/d/x.zarr/c/", "/d/x.zarr/my%20file", "/d/x.zarr/", "/d/y"], ["c/", "my file"], id="absolute"),
        pytest.param(["0.0.1", "0.0.1", "a/b", "#top", "mailto:me@here.org"], ["0.0.1"], id="odd"),
    ],
)
def test_index_pages_of_many_servers(links, expected):
    from scripts.volumes.http_store import _names

    page = "".join(f'<tr><td><A HREF="{link}">x</A> 2026-01-01 12K' for link in links)
    assert _names("https://host/d/x.zarr/", f"<html><link href='s.css'>{page}") == expected


def test_a_server_without_index_pages(folder, monkeypatch, caplog):
    with servers.web_server(folder, lists=False) as server:
        url = f"{server.address}/x.zarr"
        with caplog.at_level(logging.WARNING):
            every = open_volume(url).stored_chunks()
        assert len(every) == 2 * 1 * 3
        assert "all of its 6 chunks are taken to be there" in caplog.text
        found = find_patches([{"image": url, "sheet": url}], (8, 8, 8))
        assert found == find_patches([{"image": url, "sheet": f"{folder}/x.zarr"}], (8, 8, 8))
        monkeypatch.setattr("scripts.volumes.zarr_source._MOST_UNLISTED", 5)
        with pytest.raises(CannotListError, match=rf"{url}/: expected an index page, .*403.*autoindex on.*s3://"):
            open_volume(url).stored_chunks()


def test_members_of_a_group_on_a_web_server(folder):
    zarr.create_group(folder / "g.zarr").create_array("raw", shape=(2, 2), dtype="u1")
    with servers.web_server(folder) as server:
        with pytest.raises(ValueError, match=rf"arrays {server.address}/g.zarr/raw$"):
            open_volume(f"{server.address}/g.zarr")
        server.plan["lists"] = False
        with pytest.raises(ValueError, match=r"things inside: nothing is there"):
            open_volume(f"{server.address}/g.zarr")


def test_buckets_are_listed_page_by_page(folder, monkeypatch):
    monkeypatch.setattr("scripts.volumes.bucket_store._PAGE", 3)
    with servers.s3_server() as address:
        for name, value in {**servers.ACCESS, "AWS_ENDPOINT_URL": address}.items():
            monkeypatch.setenv(name, value)
        for n in range(8):
            servers.client(address).put_object(Bucket="bucket", Key=f"many/{n}", Body=b"x" * n)
        servers.client(address).put_object(Bucket="bucket", Key="many_more", Body=b"x")
        assert [key for key, _ in list_keys("s3://bucket/many")] == [str(n) for n in range(8)]
        lines = dict(list_keys("s3://bucket/many", with_status=True))
        assert len(set(lines.values())) == 8
        servers.client(address).put_object(Bucket="bucket", Key="many/5", Body=b"y" * 5)
        changed = dict(list_keys("s3://bucket/many", with_status=True))
        assert {key for key in lines if lines[key] != changed[key]} == {"5"}
        with pytest.raises(CannotListError, match=r"s3://bucket/none: the server lists no keys"):
            list_keys("s3://bucket/none")
        servers.upload(address, folder, "d")
        assert open_volume("s3://bucket/d/x.zarr").stored_chunks() == STORED


def test_other_protocols_see_changes(folder):
    url = f"file://{folder}/x.zarr"
    before = open_volume(url).fingerprint()
    assert open_volume(url).fingerprint() == before
    change_in_place(folder / "x.zarr" / "c" / "1" / "0" / "0")
    assert open_volume(url).fingerprint() != before
    assert open_volume(url).stored_chunks() == STORED
    np.testing.assert_array_equal(open_volume(url).read((0, 0, 8), (8, 8, 16)), 4)
