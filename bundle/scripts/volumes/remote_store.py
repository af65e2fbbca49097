"""Object stores and web servers, read with retries and time limits."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from zarr.abc.store import Store
from zarr.storage import ObjectStore, WrapperStore

from .errors import RemoteError

logger = logging.getLogger(__name__)

_SCHEMES = ("s3://", "gs://", "az://", "https://", "http://")

_CREDENTIALS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
)
"""Environment variables by which S3 access is told."""

_told_anonymous: set[str] = set()


def is_object_url(path: str) -> bool:
    """Whether a URL is one that `open_object_store` opens."""
    return path.startswith(_SCHEMES)


def open_object_store(url: str, *, read_only: bool = True) -> Store:
    """Open a bucket's prefix or a web folder as a zarr store.

    A request that fails for want of a connection, in time, or by a server's error (5xx, 429) is tried again, each time
    after a longer pause. Environment variables: `POLYTOME_REMOTE_TRIES` (how often, 5), `POLYTOME_REMOTE_TIMEOUT`
    (seconds per request, 30). S3 reads `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT_URL`
    and their like; profiles of `~/.aws` where boto3 is installed; without any of these, buckets are read anonymously.

    Args:
        url: such as `s3://bucket/scan.zarr`.
        read_only: false lets it be written to.

    Raises:
        ImportError: where obstore is not installed.
        ValueError: for settings that are no numbers.
    """
    return _NamingStore(ObjectStore(_backend(url), read_only=read_only), url)


def list_objects(url: str) -> Iterator[tuple[str, str]]:
    """Keys of all objects under a URL, each with size, time of change and entity tag.

    Raises:
        RemoteError: where the server cannot be reached or refuses.
    """
    import obstore

    try:
        for batch in obstore.list(_backend(url)):
            for entry in batch:
                yield entry["path"], f"{entry['size']} {entry['last_modified']} {entry['e_tag']}"
    except Exception as error:
        raise remote_error(url, error) from error


def limits() -> tuple[int, float]:
    """Number of tries of a request, and seconds for each.

    Raises:
        ValueError: where an environment variable is no positive number.
    """
    found = []
    for name, default in (("POLYTOME_REMOTE_TRIES", "5"), ("POLYTOME_REMOTE_TIMEOUT", "30")):
        text = os.environ.get(name, default)
        try:
            number = float(text)
        except ValueError:
            number = 0.0
        if number <= 0:
            raise ValueError(f"environment variable {name}: expected a positive number, got {text!r}")
        found.append(number)
    return int(found[0]), found[1]


def remote_error(url: str, error: BaseException) -> RemoteError:
    """The error for a URL that could not be read."""
    tries, seconds = limits()
    reason = " ".join(str(error).partition("Debug source:")[0].split()).rstrip(":. ")
    if type(error).__name__ in ("PermissionDeniedError", "UnauthenticatedError"):
        return RemoteError(
            f"{url}: the server refuses to give it: {reason}. For s3, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY "
            "(or AWS_SKIP_SIGNATURE=true for a public bucket), and AWS_REGION"
        )
    return RemoteError(
        f"{url}: reading failed after {tries} tries of at most {seconds:g} s each: {reason}. Check the address and the "
        "connection; POLYTOME_REMOTE_TRIES and POLYTOME_REMOTE_TIMEOUT set how long is waited"
    )


class _NamingStore(WrapperStore[ObjectStore]):
    """A store whose errors name the URL of the object."""

    def __init__(self, store: ObjectStore, url: str) -> None:
        super().__init__(store)
        self.url = url.rstrip("/")

    def _with_store(self, store: ObjectStore) -> _NamingStore:
        return type(self)(store, self.url)

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        try:
            return await self._store.get(key, prototype, byte_range)
        except Exception as error:
            raise remote_error(f"{self.url}/{key}", error) from error


def _backend(url: str) -> Any:
    try:
        from obstore.store import from_url
    except ImportError as error:
        raise ImportError(f"{url}: {error}; remote volumes need: pip install 'polytome[remote]'") from error
    tries, seconds = limits()
    options: dict[str, Any] = {
        "client_options": {"timeout": timedelta(seconds=seconds), "connect_timeout": timedelta(seconds=seconds)},
        "retry_config": {
            "max_retries": tries - 1,
            "retry_timeout": timedelta(seconds=tries * (seconds + 10)),
            "backoff": {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=10), "base": 2},
        },
    }
    if url.startswith(("http://", "https://")):
        options["client_options"]["allow_http"] = True
    if url.startswith("s3://"):
        options.update(_s3_access(url))
        if os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://"):
            options["client_options"]["allow_http"] = True
    return from_url(url, **options)


def _s3_access(url: str) -> dict[str, Any]:
    if any(os.environ.get(name) for name in _CREDENTIALS):
        return {}
    has_profile = os.environ.get("AWS_PROFILE") or (Path.home() / ".aws" / "credentials").exists()
    if has_profile and find_spec("boto3") is not None:
        from obstore.auth.boto3 import Boto3CredentialProvider

        return {"credential_provider": Boto3CredentialProvider()}
    bucket = "/".join(url.split("/")[:3])
    if bucket not in _told_anonymous:
        _told_anonymous.add(bucket)
        logger.info("%s: no credentials are set, so the bucket is read anonymously", bucket)
    return {"skip_signature": True}
