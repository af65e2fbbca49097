"""What the dashboard's server gives, to whom, and what it refuses."""

import http.client
import json
import socket
from urllib.parse import urlsplit

import pytest
from tests.viewers.dashboard_run import make_run

from scripts.viewers import DashboardServer, RunFolder
from scripts.viewers.dashboard_page import page_script, page_style


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run beside a file that is not its own, to which a link leads."""
    root = tmp_path_factory.mktemp("root")
    (root / "secret.json").write_text('{"secret": 1}')
    folder = make_run(root / "run")
    (folder / "previews" / "epoch_0009_slices.json").symlink_to(root / "secret.json")
    (folder / "notes.txt").write_text("secret")
    return folder


@pytest.fixture(scope="module")
def server(folder):
    with DashboardServer(RunFolder(folder), refresh=1) as server:
        yield server


def ask(server, path="/", method="GET", host=None, body=None):
    """Status, headers and body of an answer; the path is sent as it stands."""
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(server.url).port, timeout=20)
    connection.putrequest(method, path, skip_host=True)
    for value in [host] if host is not None else [urlsplit(server.url).netloc]:
        connection.putheader("Host", value)
    connection.endheaders(body)
    answer = connection.getresponse()
    content = answer.read().decode()
    connection.close()
    return answer.status, answer.headers, content


def test_page_style_script_and_data(server, folder):
    status, headers, page = ask(server)
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert f"<title>{folder.parent.name}/run</title>" in page
    assert 'data-refresh="1"' in page
    for path, kind, expected in (
        ("/dashboard.js", "text/javascript", page_script()), ("/dashboard.css", "text/css", page_style()),
    ):  # fmt: skip
        status, headers, content = ask(server, path)
        assert (status, headers["Content-Type"], content) == (200, f"{kind}; charset=utf-8", expected)
    assert json.loads(ask(server, "/summary.json")[2])["epochs"] == [1, 2]
    for path, name in (
        ("/previews/1.json", "previews/epoch_0001_slices.json"), ("/worst.json", "worst_patches.json"),
    ):  # fmt: skip
        status, headers, content = ask(server, path)
        assert (status, headers["Content-Type"]) == (200, "application/json; charset=utf-8")
        assert json.loads(content) == json.loads((folder / name).read_text())


@pytest.mark.parametrize("path", ["/", "/summary.json", "/nothing", "/dashboard.js"])
def test_every_answer_forbids_foreign_code_and_storing(server, path):
    headers = ask(server, path)[1]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == policy["frame-ancestors"] == "'none'"
    assert (policy["script-src"], policy["style-src"], policy["connect-src"]) == ("'self'",) * 3
    assert "Access-Control-Allow-Origin" not in headers


def test_the_page_names_no_place_but_its_server(server):
    page = ask(server)[2] + page_script().replace("http://www.w3.org/2000/svg", "") + page_style()
    assert "://" not in page
    assert "<script>" not in page
    assert " style=" not in page
    assert " onclick" not in page


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example", "127.0.0.2", "", "[::2]",
     "127.0.0.1@evil.example", "0.0.0.0"],
)  # fmt: skip
def test_a_foreign_host_is_refused_whatever_it_asks_for(server, host):
    for path in ("/", "/summary.json"):
        status, _, content = ask(server, path, host=host)
        assert status == 403
        assert "127.0.0.1 and localhost alone" in content


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:9", "[::1]:80", "LOCALHOST"])
def test_own_names_are_answered_at_any_port(server, host):
    assert ask(server, host=host)[0] == 200


@pytest.mark.parametrize(
    "path",
    ["/run.json", "/notes.txt", "/../secret.json", "/%2e%2e/secret.json", "/..%2fsecret.json", "//etc/passwd",
     "/etc/passwd", "/previews/../../secret.json", "/previews/..%2f..%2fsecret.json", "/previews/9.json",
     "/previews/1.json/../../notes.txt", "/previews/epoch_0001.png", "/previews/-1.json", "/previews/%31.json",
     "/previews/99999999999.json", "/previews/7.json", "/previews/", "/%00", "/.", "/dashboard.js/"],
)  # fmt: skip
def test_nothing_else_is_served(server, path):
    status, _, content = ask(server, path)
    assert status in (400, 404)
    assert "secret" not in content
    assert "root:" not in content


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE"])
def test_only_get_is_answered(server, method):
    status, headers, _ = ask(server, "/summary.json", method)
    assert status == 501
    assert "Access-Control-Allow-Methods" not in headers


def test_only_this_machine_is_listened_to(server):
    addresses = {found[4][0] for found in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for address in addresses - {"127.0.0.1"}:
        with socket.socket() as probe:
            probe.settimeout(2)
            assert probe.connect_ex((address, urlsplit(server.url).port)) != 0
    assert server.url.startswith("http://127.0.0.1:")


def test_a_port_in_use_is_named(server, folder):
    port = urlsplit(server.url).port
    with pytest.raises(OSError, match=f"port {port}: Address already in use; choose another one, or 0"):
        DashboardServer(RunFolder(folder), port=port)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"port": -1}, "port: expected a number from 1 to 65535.*got -1"), ({"port": "80"}, "got '80'"),
     ({"refresh": 0}, "refresh: expected seconds, at least 0.5; got 0"), ({"refresh": "5"}, "got '5'")],
)  # fmt: skip
def test_wrong_options_are_named(folder, options, message):
    with pytest.raises(ValueError, match=message):
        DashboardServer(RunFolder(folder), **options)


def test_once_closed_it_answers_no_more(folder):
    with DashboardServer(RunFolder(folder)) as server:
        assert ask(server)[0] == 200
    with pytest.raises(OSError):
        ask(server)
