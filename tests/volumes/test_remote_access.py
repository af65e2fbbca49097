"""Who may read a bucket, and by which credentials."""

import json
import logging
import sys

import pytest
import zarr
from tests.volumes import servers

from scripts.volumes import RemoteError, open_volume
from scripts.volumes.aws_profile import s3_access
from scripts.volumes.bucket_store import bucket_region
from scripts.volumes.stores import open_store

KEYS = "aws_access_key_id = key\naws_secret_access_key = secret\n"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("stores") / "x.zarr"
    zarr.create_array(str(path), shape=(8, 8, 8), chunks=(4, 8, 8), dtype="uint8")[...] = 7
    return path


@pytest.fixture(scope="module")
def s3(store):
    """A server with a public bucket and a secret one."""
    with servers.s3_server() as address:
        servers.upload(address, store, "x.zarr")
        client = servers.client(address)
        client.create_bucket(Bucket="secret")
        for path in filter(lambda path: path.is_file(), store.rglob("*")):
            client.put_object(Bucket="secret", Key=f"x.zarr/{path.relative_to(store)}", Body=path.read_bytes())
        yield address


@pytest.fixture
def stranger(s3, monkeypatch, tmp_path):
    """Environment without credentials; gives the folder that is `~`."""
    for name in (*servers.ACCESS, "AWS_PROFILE", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3)
    (tmp_path / ".aws").mkdir()
    return tmp_path


def test_without_credentials_a_public_bucket_is_read(stranger, caplog):
    with caplog.at_level(logging.INFO):
        assert (open_volume("s3://bucket/x.zarr").read((0, 0, 0), (8, 8, 8)) == 7).all()
    assert "found no AWS credentials, so that the bucket is read without signing in" in caplog.text


def test_without_credentials_a_private_one_is_refused(stranger):
    with pytest.raises(RemoteError, match=r"s3://secret/x\.zarr/\S+: .* 403 .*without signing in, .*set AWS_PROFILE"):
        open_volume("s3://secret/x.zarr")


def test_environment_profile_and_no_signature(stranger, monkeypatch):
    def may_read():
        try:
            return open_volume("s3://secret/x.zarr").shape == (1, 8, 8, 8)
        except RemoteError:
            return False

    (stranger / ".aws" / "credentials").write_text(f"[lab]\n{KEYS}")
    assert not may_read()
    monkeypatch.setenv("AWS_PROFILE", "lab")
    assert may_read()
    monkeypatch.delenv("AWS_PROFILE")
    (stranger / ".aws" / "credentials").write_text(f"[default]\n{KEYS}")
    assert may_read()
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    assert not may_read()
    monkeypatch.delenv("AWS_SKIP_SIGNATURE")
    (stranger / ".aws" / "credentials").unlink()
    assert not may_read()
    for name, value in servers.ACCESS.items():
        monkeypatch.setenv(name, value)
    assert may_read()


def test_a_refusal_names_the_credentials_and_how_to_go_without(stranger, monkeypatch):
    with servers.web_server(stranger, failures=99, status=403) as refuses:
        monkeypatch.setenv("AWS_ENDPOINT_URL", refuses.address)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        with pytest.raises(RemoteError, match=r"credentials of AWS_ACCESS_KEY_ID.*AWS_SKIP_SIGNATURE=true"):
            open_volume("s3://secret/x.zarr")


def test_region_and_endpoint_of_a_profile(stranger, monkeypatch):
    (stranger / ".aws" / "config").write_text(
        "[profile lab]\nregion = eu-west-1\nendpoint_url = http://127.0.0.1:1\ns3 =\n    addressing_style = path\n"
    )
    monkeypatch.setenv("AWS_PROFILE", "lab")
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    options, _ = s3_access("s3://b/x")
    assert (options["region"], options["endpoint"]) == ("eu-west-1", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:2")
    assert not {"region", "endpoint"} & set(s3_access("s3://b/x")[0])


def test_profiles_that_sign_in_by_other_means(stranger, monkeypatch):
    answer = {"Version": 1, "AccessKeyId": "key", "SecretAccessKey": "secret"}
    (stranger / "login.py").write_text(f"print('''{json.dumps(answer)}''')")
    (stranger / ".aws" / "config").write_text(
        f"[default]\ncredential_process = {sys.executable} {stranger / 'login.py'}\n"
    )
    assert open_volume("s3://secret/x.zarr").shape == (1, 8, 8, 8)
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(ImportError, match=r"profile 'default' signs in by credential_process, .*boto3 is needed"):
        s3_access("s3://secret/x.zarr")


def test_a_profile_that_is_not_there(stranger, monkeypatch):
    (stranger / ".aws" / "config").write_text("[profile otter]\nregion = eu-west-1\n")
    monkeypatch.setenv("AWS_PROFILE", "other")
    with pytest.raises(ValueError, match=r"AWS_PROFILE names 'other', .*did you mean 'otter'.*profiles there: otter"):
        open_volume("s3://bucket/x.zarr")
    (stranger / ".aws" / "config").write_text("region = eu-west-1\n")
    with pytest.raises(ValueError, match=r"s3://bucket/x\.zarr: .*/\.aws/config cannot be understood"):
        open_volume("s3://bucket/x.zarr")


def test_a_machine_of_the_cloud_signs_in_by_its_role(stranger, monkeypatch):
    (stranger / "vendor").write_text("Amazon EC2\n")
    assert s3_access("s3://b/x")[0] == {"skip_signature": True}
    monkeypatch.setattr("scripts.volumes.aws_profile.VENDOR_FILE", stranger / "vendor")
    assert s3_access("s3://b/x") == ({}, "the role of this EC2 machine")


def test_the_region_of_a_bucket_is_asked_for(s3, monkeypatch):
    servers.client(s3).create_bucket(Bucket="far", CreateBucketConfiguration={"LocationConstraint": "ap-southeast-2"})
    monkeypatch.setattr("scripts.volumes.bucket_store.AWS", s3)
    assert bucket_region("far") == "ap-southeast-2"
    assert bucket_region("none") is None
    monkeypatch.setattr("scripts.volumes.bucket_store.AWS", "http://127.0.0.1:1")
    assert bucket_region("far") is None


@pytest.mark.parametrize("protocol", ["s3", "gs"])
def test_a_bucket_that_may_not_be_listed(store, stranger, caplog, monkeypatch, protocol):
    with servers.web_server(store.parent.parent, bucket=True) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.address)
        monkeypatch.setenv("GOOGLE_BASE_URL", server.address)
        volume = open_volume(f"{protocol}://{store.parent.name}/x.zarr")
        assert (volume.read((0, 0, 0), (8, 8, 8)) == 7).all()
        with caplog.at_level(logging.WARNING):
            assert volume.stored_chunks() == [((0, 0, 0), (4, 8, 8)), ((4, 0, 0), (4, 8, 8))]
    assert f"{volume.path}: the server answered 403 Forbidden" in caplog.text
    assert "The right to list the bucket is needed" in caplog.text


def test_google_credentials_are_used_where_there_are_some(stranger, monkeypatch):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(stranger / "missing.json"))
    with pytest.raises(ValueError, match=r"gs://bucket/x\.zarr: .*missing\.json"):
        open_volume("gs://bucket/x.zarr")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("s3://", r"expected s3://BUCKET/PATH"),
        ("az://container/x.zarr", r"az://container/x\.zarr: .*Account must be specified.*AZURE_STORAGE_"),
        ("https://host/x.zarr?token=1", r"expected https://HOST/PATH without '\?'"),
        ("nosuch://b/x.zarr", r"Protocol not known: nosuch; expected a local path or a URL"),
    ],
)
def test_urls_that_do_not_fit(url, message):
    with pytest.raises(ValueError, match=message):
        open_store(url)


def test_without_obstore(monkeypatch):
    monkeypatch.setattr("scripts.volumes.bucket_store._clients", {})
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(ImportError, match=r"s3://b/x\.zarr: .*obstore: pip install 'polytome\[remote\]'"):
        open_volume("s3://b/x.zarr")


def test_web_servers_are_not_written():
    with pytest.raises(ValueError, match=r"https://host/x\.zarr: web servers are only read"):
        open_store("https://host/x.zarr", read_only=False)
