"""Buckets: zarr stores under `s3://`, `gs://` and `az://`.

Buckets are reached as their own tools reach them: S3 by the environment (`AWS_ENDPOINT_URL`, `AWS_REGION`,
`AWS_ACCESS_KEY_ID`, ...) and `~/.aws` (`AWS_PROFILE`), Google's by `GOOGLE_APPLICATION_CREDENTIALS` or what
`gcloud auth application-default login` leaves, Azure's by `AZURE_STORAGE_ACCOUNT_NAME` and the like. Where nothing is
said, the first two are read without signing in, which is what public buckets want; `AWS_SKIP_SIGNATURE=true` and
`GOOGLE_SKIP_SIGNATURE=true` ask for that in spite of credentials.
"""

from __future__ import annotations

import logging
import os
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

from zarr.storage import ObjectStore

from .aws_profile import is_true, profile_files, runs_on, s3_access
from .errors import CannotListError, RefusedError, RemoteError
from .remote_store import ObstoreStore, Page, status_line
from .retries import WHOLE_REQUEST, Patience

logger = logging.getLogger(__name__)

AWS = "https://s3.amazonaws.com"
"""Knows where every bucket of Amazon is."""

_PAGE = 1000
_ENVIRONMENT = ("AWS_", "GOOGLE_", "AZURE_", "POLYTOME_REMOTE_", "HOME")
_GOOGLE_KEYS = ("GOOGLE_SERVICE_ACCOUNT", "GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_BEARER_TOKEN")
_GCLOUD_FILE = Path("~/.config/gcloud/application_default_credentials.json")

_clients: dict[tuple[str, ...], tuple[Any, str]] = {}
_owner: int | None = None
"""The process in which the threads of the clients run; they do not survive a fork."""


class BucketStore(ObstoreStore):
    """A zarr store in a bucket, which lists what it holds a thousand keys at a time."""

    async def pages(self, prefix: str, *, with_status: bool) -> AsyncIterator[Page]:
        import obstore

        inner: Any = self.inner
        last: str | None = None

        async def request() -> Any:
            listing = obstore.list(inner.store, (self.root + prefix) or None, offset=last, chunk_size=_PAGE)
            async for page in listing:
                return page
            return []

        while True:
            try:
                page = await self.request(prefix, request)
            except RefusedError as error:
                raise CannotListError(
                    f"{error}. The right to list the bucket is needed to find the stored chunks (s3:ListBucket)"
                ) from error
            if page:
                last = page[-1]["path"]
                yield [
                    (item["path"].removeprefix(self.root), status_line(item) if with_status else "") for item in page
                ]
            if len(page) < _PAGE:
                return


def open_bucket(url: str, *, read_only: bool) -> BucketStore:
    """Open the zarr store at `s3://bucket/path`, `gs://bucket/path` or `az://container/path`.

    Raises:
        ImportError: where obstore is missing.
        ValueError: for a URL without bucket, or an AWS profile that does not exist.
    """
    scheme, _, rest = url.partition("://")
    bucket, _, path = rest.strip("/").partition("/")
    if not bucket:
        raise ValueError(f"{url}: expected {scheme}://BUCKET/PATH")
    make = {"gs": _google, "az": _azure}.get(scheme, _s3)
    client, advice = shared_client(url, (scheme, bucket), lambda: make(url, bucket))
    root = f"{path.strip('/')}/" if path.strip("/") else ""
    return BucketStore(url, ObjectStore(client, read_only=read_only), root, advice, read_only=read_only)


def shared_client(url: str, name: tuple[str, ...], make: Callable[[], tuple[Any, str]]) -> tuple[Any, str]:
    """The client of a server, one for all volumes there, so that they share its connections.

    Args:
        url: for messages.
        name: of the server.
        make: returns a client of obstore, and what to do where the server refuses.

    Raises:
        ImportError: where obstore is missing.
        RemoteError: in a child of a fork.
    """
    require_own_process(url)
    settings = (f"{k}={v}" for k, v in sorted(os.environ.items()) if k.startswith(_ENVIRONMENT))
    files = (str(file.stat().st_mtime_ns) for file in profile_files() if file.exists())
    key = (*name, *settings, *files)
    if key not in _clients:
        try:
            import obstore.store  # noqa: F401
            from obstore.exceptions import BaseError
        except ImportError as error:
            raise ImportError(
                f"{url}: s3, gs and https need the package obstore: pip install 'polytome[remote]'"
            ) from error
        try:
            _clients[key] = make()
        except BaseError as error:
            told = str(error).partition("\n")[0]
            raise ValueError(f"{url}: {told}; expected AWS_..., GOOGLE_... or AZURE_STORAGE_... that fit") from error
    return _clients[key]


def require_own_process(url: str) -> None:
    """Check that this process is no fork of one that has used a server.

    Raises:
        RemoteError: for a fork, where requests would wait for ever.
    """
    global _owner
    if _owner is None:
        _owner = os.getpid()
    if _owner != os.getpid():
        raise RemoteError(
            f"{url}: this process was forked from one that had opened remote volumes already, and cannot read them; "
            "start workers by multiprocessing_context='forkserver' or 'spawn' instead"
        )


def client_options() -> dict[str, Any]:
    """What all clients of obstore have in common: no patience of their own, `retries` has it."""
    patience = Patience.of_environment()
    silence = timedelta(seconds=patience.timeout)
    client = {
        "allow_http": True,
        "connect_timeout": silence,
        "read_timeout": silence,
        "timeout": (WHOLE_REQUEST + 1) * silence,
        "user_agent": "polytome",
    }
    return {"client_options": client, "retry_config": {"max_retries": 0, "retry_timeout": timedelta(days=1)}}


def bucket_region(bucket: str) -> str | None:
    """Region of a bucket of Amazon, which tells it to everyone; `None` where it does not."""
    request = urllib.request.Request(f"{AWS}/{bucket}", method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=min(5.0, Patience.of_environment().timeout)) as answer:
            return cast(str | None, answer.headers.get("x-amz-bucket-region"))
    except urllib.error.HTTPError as error:  # as for a bucket in another region, or one that is not ours to list
        with error:
            return error.headers.get("x-amz-bucket-region")
    except OSError:
        return None


def _s3(url: str, bucket: str) -> tuple[Any, str]:
    from obstore.store import S3Store

    options, access = s3_access(url)
    named = ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")
    if not {"region", "endpoint"} & set(options) and not any(os.environ.get(name) for name in named):
        region = bucket_region(bucket)
        options |= {"region": region} if region else {}
    if access:
        advice = (
            f"It was asked with {access}. Use others (AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY), or "
            "read a public bucket without any: AWS_SKIP_SIGNATURE=true"
        )
    else:
        logger.info("%s: found no AWS credentials, so that the bucket is read without signing in", url)
        advice = (
            "It was asked without signing in, since there are no AWS credentials; set AWS_PROFILE, or "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    return S3Store(bucket, **options, **client_options()), f"{advice}. {_ABSENT}"


def _google(url: str, bucket: str) -> tuple[Any, str]:
    from obstore.store import GCSStore

    signs = any(name.startswith(_GOOGLE_KEYS) and value for name, value in os.environ.items())
    signs = signs or _GCLOUD_FILE.expanduser().exists() or runs_on("Google")
    anonymous = is_true("GOOGLE_SKIP_SIGNATURE") or not signs
    if anonymous:
        logger.info("%s: the bucket is read without signing in", url)
    advice = (
        f"It was asked {'without signing in' if anonymous else 'with Google credentials'}; name others in "
        "GOOGLE_APPLICATION_CREDENTIALS, or read a public bucket without any: GOOGLE_SKIP_SIGNATURE=true"
    )
    return GCSStore(bucket, skip_signature=anonymous, **client_options()), f"{advice}. {_ABSENT}"


def _azure(url: str, bucket: str) -> tuple[Any, str]:
    from obstore.store import AzureStore

    advice = (
        "Set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_KEY, or read a public "
        "container without them: AZURE_SKIP_SIGNATURE=true"
    )
    return AzureStore(bucket, **client_options()), f"{advice}. {_ABSENT}"


_ABSENT = "Buckets that may be read but not listed refuse what does not exist, too"
