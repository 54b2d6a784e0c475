"""The contract of a store: a folder, S3 and Azure behave alike."""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.object_store import Proxy, client
from ventes.errors import ConfigError, StoreRefused, StoreUnavailable
from ventes.store.base import Changed, Exists, Missing, Store
from ventes.store.local import LocalStore
from ventes.store.objects import ObjectStore
from ventes.store.settings_of import Options


@pytest.fixture(params=["folder", "s3", pytest.param("az", marks=pytest.mark.long)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return LocalStore(tmp_path / "lake")
    address = request.getfixturevalue("bucket" if request.param == "s3" else "container")
    return ObjectStore(Options(f"{address}/some/prefix"))


def test_what_is_written_is_read(store: Store, tmp_path: Path) -> None:
    store.write("a/one", b"first")
    store.write("a/one", b"second")
    source = tmp_path / "source"
    source.write_bytes(os.urandom(6_000_000))  # more than a part of an upload
    store.write("a/large", source)
    assert store.read("a/one") == b"second"
    found = store.head("a/large")
    assert found is not None
    assert found.size == 6_000_000
    assert store.list("a/")[0] == found
    assert store.read_with_etag("a/large")[1] == found.etag
    store.fetch("a/large", tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == source.read_bytes()


def test_what_is_not_there_is_missing(store: Store, tmp_path: Path) -> None:
    assert store.head("nothing") is None
    assert store.list("nothing/") == []
    with pytest.raises(Missing):
        store.read("nothing")
    with pytest.raises(Missing):
        store.fetch("nothing", tmp_path / "target")
    with pytest.raises(Changed):
        store.replace("nothing", b"x", "an etag")
    store.delete(["nothing", "nor/this"])


def test_a_key_is_created_once(store: Store) -> None:
    store.create("log/1", b"mine")
    store.create("log/1", b"mine")  # a request that is repeated
    with pytest.raises(Exists):
        store.create("log/1", b"another's")
    assert store.read("log/1") == b"mine"


def test_of_many_that_create_a_key_one_succeeds(store: Store) -> None:
    def attempt(number: int) -> bool:
        try:
            store.create("log/1", b"%d" % number)
        except Exists:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        won = [number for number, done in enumerate(pool.map(attempt, range(16))) if done]
    assert len(won) == 1
    assert store.read("log/1") == b"%d" % won[0]


def test_an_etag_is_replaced_once(store: Store) -> None:
    store.create("lease", b"first")
    _, etag = store.read_with_etag("lease")
    second = store.replace("lease", b"second", etag)
    with pytest.raises(Changed):
        store.replace("lease", b"late", etag)
    store.replace("lease", b"third", second)
    assert store.read("lease") == b"third"


def test_keys_are_listed_in_order_and_from_one_on(store: Store) -> None:
    for number in (3, 1, 2):
        store.write(f"log/{number:020d}.json", b"x" * number)
    store.write("log/inner/1", b"x")
    store.write("logs/1", b"x")
    names = [f"log/{number:020d}.json" for number in (1, 2, 3)]
    assert [one.key for one in store.list("log/")] == [*names, "log/inner/1"]
    assert [one.size for one in store.list("log/", after=names[0])] == [2, 3, 1]
    store.delete([names[0], names[1], "log/inner/1"])
    assert [one.key for one in store.list("log/")] == names[2:]


# -- S3 alone -------------------------------------------------------------------------------------


def s3(bucket: str) -> ObjectStore:
    return ObjectStore(Options(bucket))


def test_requests_are_counted_as_the_bill_does(bucket: str, through: Proxy) -> None:
    store = s3(bucket)
    store.create("a/1", b"1")
    store.write("a/2", b"2")
    store.read("a/1")
    store.head("a/2")
    store.list("a/")
    store.delete(["a/1", "a/2"])
    assert store.requests() == {"PUT": 2, "GET": 2, "LIST": 1, "DELETE": 1}
    assert through.seen == Counter(store.requests())


def test_a_create_whose_answer_was_lost_is_recognised(bucket: str, through: Proxy) -> None:
    lost: list[str] = []

    def the_first(method: str, path: str) -> bool:
        if method == "PUT":
            lost.append(path)
        return lost == [path]

    through.weather.swallows = the_first
    s3(bucket).create("log/1", b"mine, with an id")
    assert len(lost) > 1, "no request was repeated"
    assert s3(bucket).read("log/1") == b"mine, with an id"


def test_errors_now_and_then_are_not_noticed(bucket: str, through: Proxy) -> None:
    through.weather.errors = 0.2
    store = s3(bucket)
    for number in range(20):
        store.create(f"log/{number}", b"%d" % number)
        etag = store.read_with_etag(f"log/{number}")[1]
        store.replace(f"log/{number}", b"again %d" % number, etag)
    assert [store.read(f"log/{number}") for number in range(20)] == [b"again %d" % number for number in range(20)]


def test_a_server_that_is_down_can_be_waited_for(bucket: str, through: Proxy) -> None:
    through.weather.down = True
    with pytest.raises(StoreUnavailable) as error:
        s3(bucket).read("x")
    assert f"{through.endpoint} does not answer" in str(error.value)
    assert "AWS_ENDPOINT_URL" in error.value.hint


@pytest.mark.parametrize(
    ("status", "code", "kind", "said"),
    [
        (403, "SignatureDoesNotMatch", StoreRefused, "refuses the credentials"),
        (403, "InvalidAccessKeyId", StoreRefused, "refuses the credentials"),
        (403, "AccessDenied", StoreRefused, "does not allow GET of a/key"),
        (403, "RequestTimeTooSkewed", StoreUnavailable, "this machine's clock differs"),
    ],
)
def test_a_refusal_says_what_to_correct(
    bucket: str, through: Proxy, status: int, code: str, kind: type[Exception], said: str
) -> None:
    through.weather.refuses = (status, code)
    with pytest.raises(kind, match=said) as error:
        s3(bucket).read("a/key")
    assert code in str(error.value)


@pytest.mark.usefixtures("bucket")
def test_a_bucket_that_is_not_there_is_named() -> None:
    for request in (lambda one: one.read("x"), lambda one: one.list("x/"), lambda one: one.create("x", b"")):
        with pytest.raises(StoreRefused, match="has no bucket missing-bucket"):
            request(s3("s3://missing-bucket"))


def test_credentials_come_from_a_private_file(
    bucket: str, through: Proxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "credentials"
    file.write_text(f"# of the lake\nAWS_ENDPOINT_URL={through.endpoint}\nAWS_SECRET_ACCESS_KEY='hidden-secret'\n")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")  # the file counts before it
    options = Options(bucket, file)
    file.chmod(0o640)
    with pytest.raises(ConfigError, match=f"{file}: other users may read it"):
        ObjectStore(options)
    file.chmod(0o600)
    ObjectStore(options).write("x", b"1")
    assert options.secrets() == ["test-key", "hidden-secret"]
    assert "hidden-secret" not in repr(options)
    assert client(through.endpoint).list_objects_v2(Bucket=bucket.removeprefix("s3://"))["KeyCount"] == 1
