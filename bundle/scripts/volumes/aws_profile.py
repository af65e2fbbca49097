"""What `~/.aws` says about signing in, and what the environment says."""

from __future__ import annotations

import configparser
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..geometry import did_you_mean

_KEYS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
_OTHER_WAYS = ("sso_session", "sso_start_url", "role_arn", "credential_process", "web_identity_token_file")
_BY_ENVIRONMENT = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)

VENDOR_FILE = Path("/sys/class/dmi/id/sys_vendor")
"""Says on whose cloud this machine runs."""


def is_true(name: str) -> bool:
    """Whether an environment variable says yes."""
    return os.environ.get(name, "").lower() in ("1", "true", "yes", "on", "y", "t")


def runs_on(vendor: str) -> bool:
    """Whether this machine is one of a cloud, which may sign it in by itself."""
    try:
        return vendor in VENDOR_FILE.read_text()
    except OSError:
        return False


def profile_files() -> list[Path]:
    """The files of `~/.aws`; where both say something, the later one wins."""
    names = {"AWS_CONFIG_FILE": "~/.aws/config", "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials"}
    return [Path(os.environ.get(variable) or default).expanduser() for variable, default in names.items()]


def s3_access(url: str) -> tuple[dict[str, Any], str]:
    """How S3 is to be reached and signed in to.

    The order is: `AWS_SKIP_SIGNATURE`, the environment's credentials, the profile `AWS_PROFILE` (or `default`) of
    `~/.aws`, the role of an EC2 machine. Where there is none of these, buckets are read without signing in.

    Returns:
        What `obstore.store.S3Store` takes beyond the environment, and where the credentials come from, in words.

    Raises:
        ValueError: for a profile that does not exist.
        ImportError: for a profile that only boto3 can sign in with, where boto3 is missing.
    """
    name, profile = _profile(url)
    options: dict[str, Any] = {}
    if not (os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")) and "region" in profile:
        options["region"] = profile["region"]
    if not (os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")) and "endpoint_url" in profile:
        options["endpoint"] = profile["endpoint_url"]
    if is_true("AWS_SKIP_SIGNATURE"):
        return options | {"skip_signature": True}, "AWS_SKIP_SIGNATURE: without signing in"
    given = next((variable for variable in _BY_ENVIRONMENT if os.environ.get(variable)), None)
    if given:
        return options, f"the credentials of {given}"
    if _KEYS[0] in profile:
        keys = {key.removeprefix("aws_"): profile[key] for key in _KEYS if key in profile}
        return options | keys, f"the profile '{name}' of ~/.aws"
    way = next((way for way in _OTHER_WAYS if way in profile), None)
    if way:
        return options | {"credential_provider": _boto3_provider(url, name, way)}, f"the profile '{name}' of ~/.aws"
    if runs_on("Amazon EC2"):
        return options, "the role of this EC2 machine"
    return options | {"skip_signature": True}, ""


def _profile(url: str) -> tuple[str, Mapping[str, str]]:
    """Name and content of the profile in use; empty where there is none."""
    named = os.environ.get("AWS_PROFILE") or os.environ.get("AWS_DEFAULT_PROFILE")
    profiles: dict[str, dict[str, str]] = {}
    for file in profile_files():
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        try:
            parser.read(file)
        except configparser.Error as error:
            raise ValueError(f"{url}: {file} cannot be understood: {error}") from error
        for section in parser.sections():
            profiles.setdefault(section.removeprefix("profile "), {}).update(parser[section])
    if named and named not in profiles:
        raise ValueError(
            f"{url}: AWS_PROFILE names '{named}', which is not in ~/.aws{did_you_mean(named, profiles)}; "
            f"profiles there: {', '.join(profiles) or 'none'}"
        )
    return named or "default", profiles.get(named or "default", {})


def _boto3_provider(url: str, name: str, way: str) -> Any:
    try:
        import boto3
        from obstore.auth.boto3 import Boto3CredentialProvider
    except ImportError as error:
        raise ImportError(
            f"{url}: the AWS profile '{name}' signs in by {way}, for which boto3 is needed: pip install boto3; "
            "or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; or AWS_SKIP_SIGNATURE=true for a public bucket"
        ) from error
    return Boto3CredentialProvider(boto3.session.Session(profile_name=name))
