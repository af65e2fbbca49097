"""What the page's server gives away, and what it does not."""

import http.client
import json
import re
import socket
import urllib.parse

import numpy as np
import pytest
import tifffile

pytest.importorskip("neuroglancer", reason="the extra `view` is not installed")

from scripts.viewers import NeuroglancerPage, open_layers
from scripts.volumes import RemoteError, create_ome_zarr


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A sharded volume with a secret beside it, and a link to the secret in it; a TIFF, one with a damaged page."""
    folder = tmp_path_factory.mktemp("stores")
    writer = create_ome_zarr(
        folder / "v.zarr", (1, 16, 16, 16), "uint8", spacing=(1, 1, 1), shards=(16, 16, 16), chunks=(8, 8, 8)
    )
    writer.write((0, 0, 0), np.random.default_rng(0).integers(1, 255, (1, 16, 16, 16)).astype("uint8"))
    (folder / "secret").write_text("secret")
    (folder / "v.zarr" / "0" / "link").symlink_to(folder / "secret")
    (folder / "v.zarr" / "notes").write_text("beside the arrays")
    tifffile.imwrite(folder / "v.tif", np.arange(6 * 5 * 7, dtype="uint8").reshape(6, 5, 7))
    tifffile.imwrite(folder / "bad.tif", np.ones((6, 50, 60), "uint8"), compression="zlib")
    with tifffile.TiffFile(folder / "bad.tif") as tiff:
        offset = tiff.pages[2].dataoffsets[0]
    with (folder / "bad.tif").open("r+b") as file:
        file.seek(offset)
        file.write(b"\0" * 20)
    return folder


@pytest.fixture(scope="module")
def page(folder):
    with NeuroglancerPage(open_layers([folder / "v.zarr", folder / "v.tif", folder / "bad.tif"])) as page:
        yield page


def addresses(page):
    """Path of each layer at the server."""
    sources = [layer["source"] for layer in page.viewer.state.to_json()["layers"]]
    return [urllib.parse.urlsplit(re.sub(r"\|.*", "", str(source))).path for source in sources]


def ask(page, path, method="GET", **headers):
    """Status, headers and body of an answer; the path is sent as it is."""
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(page.url).netloc, timeout=30)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, answer.headers, body


def test_stored_bytes_come_whole_and_in_ranges(page, folder):
    path, stored = f"{addresses(page)[0]}0/c/0/0/0", (folder / "v.zarr/0/c/0/0/0").read_bytes()
    assert ask(page, path)[::2] == (200, stored)
    assert ask(page, path, Range="bytes=10-19")[::2] == (206, stored[10:20])
    assert ask(page, path, Range="bytes=-132")[::2] == (206, stored[-132:])  # as the client asks for a shard's index
    status, headers, body = ask(page, path, "HEAD")
    assert (status, int(headers["Content-Length"]), body) == (200, len(stored), b"")
    assert headers["Content-Type"] == "application/octet-stream"


def test_a_file_that_did_not_change_is_not_sent_again(page, folder):
    path, file = f"{addresses(page)[0]}0/zarr.json", folder / "v.zarr/0/zarr.json"
    mark = ask(page, path)[1]["Etag"]
    assert ask(page, path, If_None_Match=mark)[0] == 304
    file.write_text(file.read_text() + "\n")
    assert ask(page, path, If_None_Match=mark)[::2] == (200, file.read_bytes())


@pytest.mark.parametrize(
    "path",
    ["0/../../secret", "0/%2e%2e/%2e%2e/secret", "0/..%2f..%2fsecret", "0//etc/passwd", "0/link", "0/", "0", "0/c", "",
     "notes", "0/../notes", "1/zarr.json", "../0/notes"],
)  # fmt: skip
def test_nothing_else_is_given(page, path):
    status, _, body = ask(page, f"{addresses(page)[0]}{path}")
    assert status in (403, 404)
    assert b"secret" not in body
    assert b"root:" not in body


def test_addresses_hold_a_token(page):
    path = addresses(page)[0]
    token = re.fullmatch(r"/stores/([0-9a-f]{40})/0/", path)[1]
    assert ask(page, f"{path}zarr.json")[0] == 200
    assert ask(page, f"{path}zarr.json".replace(token, "0" * 40))[0] == 404
    assert ask(page, "/stores/")[0] == 404
    assert token not in page.url


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("layer", [0, 1])
def test_nothing_is_written(page, method, layer):
    for name in ("zarr.json", "0/zarr.json"):
        assert ask(page, f"{addresses(page)[layer]}{name}", method)[0] == 405


def test_only_this_machine_reaches_the_server(page):
    port = urllib.parse.urlsplit(page.url).port
    with socket.create_connection(("127.0.0.1", port), timeout=5):
        pass
    with pytest.raises(ConnectionRefusedError):  # every address but the one that is bound, loopback or not
        socket.create_connection(("127.0.0.2", port), timeout=5)


@pytest.mark.parametrize(
    ("host", "status"),
    [("evil.example", 403), ("evil.example:80", 403), ("127.0.0.1.evil.example", 403), ("", 403), ("localhost:9", 200)],
)
def test_a_foreign_host_is_refused_whatever_it_asks_for(page, host, status):
    for path in (
        urllib.parse.urlsplit(page.url).path,
        f"{addresses(page)[0]}zarr.json",
        f"{addresses(page)[1]}0/zarr.json",
    ):
        connection = http.client.HTTPConnection("127.0.0.1", urllib.parse.urlsplit(page.url).port, timeout=20)
        connection.putrequest("GET", path, skip_host=True)
        connection.putheader("Host", host)
        connection.endheaders()
        assert connection.getresponse().status == status
        connection.close()


def test_chunks_of_a_tiff_are_read_when_they_are_asked_for(page):
    path = addresses(page)[1]
    assert json.loads(ask(page, f"{path}0/zarr.json")[2])["shape"] == [6, 5, 7]
    assert ask(page, f"{path}0/c/0/0/0")[2] == np.arange(6 * 5 * 7, dtype="uint8").tobytes()
    assert ask(page, f"{path}0/c/0/0/1")[0] == 404


def test_a_damaged_page_is_shown_as_empty_and_the_others_as_they_are(page):
    found = np.frombuffer(ask(page, f"{addresses(page)[2]}0/c/0/0/0")[2], "uint8").reshape(6, 50, 60)
    assert found.max(axis=(1, 2)).tolist() == [1, 1, 0, 1, 1, 1]


def test_a_server_that_does_not_answer_is_reported(page, caplog, monkeypatch):
    def fail(array, key):
        raise RemoteError(f"no answer for {key}")

    monkeypatch.setattr("scripts.viewers.neuroglancer_chunks.ReadArray.get", fail)
    assert ask(page, f"{addresses(page)[1]}0/c/0/0/0")[0] == 500
    assert "no answer for c/0/0/0" in caplog.text
