"""Real servers on loopback: an S3 server, and a web server that can be told to misbehave."""

import contextlib
import logging
import os
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
from moto.server import ThreadedMotoServer

ACCESS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}


@contextlib.contextmanager
def s3_server():
    """An S3 server with a public bucket called `bucket`; gives its address."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        address = "http://{}:{}".format(*server.get_host_and_port())
        client(address).create_bucket(Bucket="bucket", ACL="public-read")
        yield address
    finally:
        server.stop()


def client(address):
    return boto3.client(
        "s3", endpoint_url=address, aws_access_key_id="key", aws_secret_access_key="secret", region_name="us-east-1"
    )


def upload(address, folder, prefix):
    """Copy a folder into the bucket."""
    s3 = client(address)
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file():
            s3.put_object(
                Bucket="bucket", Key=f"{prefix}/{path.relative_to(folder)}", Body=path.read_bytes(), ACL="public-read"
            )


class Environment:
    """Gives a worker the environment of now; the server that forks workers may be older than the test."""

    def __init__(self):
        self.variables = dict(os.environ)

    def __call__(self, worker):
        os.environ.update(self.variables)


class Handler(SimpleHTTPRequestHandler):
    """A file server that knows ranges, and how to fail."""

    protocol_version = "HTTP/1.1"
    wbufsize = 2**16  # header and body together, else each answer takes 40 ms

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.server.requests.append(f"HEAD {self.path}")
        super().do_HEAD()

    def send_head(self):
        self.server.callers.add(self.client_address)
        return super().send_head()

    def end_headers(self):
        if self.server.plan.get("bucket"):
            self.send_header("ETag", '"0"')
        super().end_headers()

    def send_error(self, code, *args, **kwargs):
        """An answer that leaves the connection open."""
        self.send_response(code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self):
        plan = self.server.plan
        self.server.requests.append(self.path)
        if plan.get("page") is not None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(plan["page"])))
            self.end_headers()
            self.wfile.write(plan["page"].encode())
            return
        if plan.get("refuses_absent") and not Path(self.translate_path(self.path)).exists():
            self.send_error(403)
            return
        if plan.get("bucket") and "list-type" in self.path:
            self.send_error(403)
            return
        if self.path.endswith("/"):
            if not plan.get("lists", True):
                self.send_error(403)
                return
        elif plan.get("only", "") in self.path:
            if plan.get("failures", 0) > 0:
                plan["failures"] -= 1
                self.send_error(plan.get("status", 503))
                return
            if plan.get("resets", 0) > 0:
                plan["resets"] -= 1
                self.close_connection = True
                return
            if plan.get("cuts", 0) > 0 or plan.get("drip"):
                plan["cuts"] = plan.get("cuts", 0) - 1
                self.send_in_part(Path(self.translate_path(self.path)).read_bytes(), plan.get("drip"))
                return
            time.sleep(plan.get("stall", 0))
        wanted = self.headers.get("Range")
        path = Path(self.translate_path(self.path))
        if wanted is None or not path.is_file() or not plan.get("ranges", True):
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                super().do_GET()
            return
        data = path.read_bytes()
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start = int(first) if first else max(len(data) - int(last), 0)
        if start >= len(data):  # as real servers have it
            self.send_error(416)
            return
        stop = min(int(last) + 1, len(data)) if first and last else len(data)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(data)}")
        self.send_header("Content-Length", str(stop - start))
        self.end_headers()
        self.wfile.write(data[start:stop])

    def send_in_part(self, data, drip):
        """Send a tenth of a file, or tenth by tenth with a pause of `drip` seconds before each."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        step = -(-len(data) // 10)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for at in range(0, len(data) if drip else step, step):
                time.sleep(drip or 0)
                self.wfile.write(data[at : at + step])
                self.wfile.flush()
        self.close_connection = True


@contextlib.contextmanager
def web_server(folder, **plan):
    """Serve a folder; `plan` says how to fail, the server counts in `requests`.

    Plan: `only` (part of the paths that are concerned), `failures` (so many answers with `status`, 503 unless given),
    `resets` (so many connections closed without answer), `cuts` (so many answers cut short), `drip` (seconds before
    each tenth of an answer), `stall` (seconds before each answer), `lists` (false: no index pages), `ranges` (false:
    whole files only), `refuses_absent` (403 for what is not there), `page` (the one answer to everything), `bucket`
    (answers as the objects of a bucket do that may not be listed). `callers` are the connections that were made.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    server.daemon_threads = True
    server.plan, server.requests, server.callers = dict(plan), [], set()
    server.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
