"""An object store: Amazon S3 and what speaks its protocol, Google Cloud Storage, Azure Blob Storage.

Through obstore (Rust's object_store), whose `create` and `replace` are conditional writes of the store itself. Each
operation ends within a minute: requests have a timeout, and are repeated for some seconds only. Its errors become
StoreUnavailable, after which waiting may help, or StoreRefused, where a person must act.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from ventes.errors import StoreRefused, StoreUnavailable, VentesError
from ventes.store.base import Changed, Exists, Missing, Stored
from ventes.store.settings_of import Options

_SMALL = {"timeout": "15s", "connect_timeout": "3s"}
"""Of a request about a log, lease or listing: a few kB. A store that hangs stops a job for half a minute at most: less
than the minute after which the watchdog ends it."""
_LARGE = {"timeout": "60s", "connect_timeout": "3s"}
"""Of a data file, or a part of one of 5 MB: slow lines need longer."""
_RETRIES = {
    "max_retries": 5,
    "retry_timeout": timedelta(seconds=10),
    "backoff": {"init_backoff": timedelta(milliseconds=50), "max_backoff": timedelta(seconds=2), "base": 2},
}
"""S3 answers 503 where many requests come at once, and wants them repeated. What lasts longer the job waits for."""
_CREDENTIALS = frozenset(
    {
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "ExpiredToken",
        "InvalidToken",
        "AuthenticationFailed",
        "AuthFailure",
    }
)
_BUCKET = frozenset({"NoSuchBucket", "ContainerNotFound", "InvalidBucketName"})
_SKEW = frozenset({"RequestTimeTooSkewed", "RequestExpired"})
_DENIED = frozenset({"AccessDenied", "AllAccessDisabled", "AuthorizationPermissionMismatch", "AuthorizationFailure"})


class ObjectStore:
    """See Store. Threads may share one."""

    def __init__(self, options: Options) -> None:
        """Sends no request. Raises ConfigError, StoreRefused for values that the store's client refuses."""
        self._options = options
        self._small, self._large = _opened(options, _SMALL), _opened(options, _LARGE)
        self._guard = threading.Lock()
        self._requests: Counter[str] = Counter()

    def requests(self) -> dict[str, int]:
        """PUT, GET, LIST and DELETE → requests so far, as a store counts them for its bill (HEAD is a GET there).

        Without repetitions after errors, and a file of more than 5 MB as one.
        """
        with self._guard:
            return dict(self._requests)

    def read(self, key: str) -> bytes:
        return self.read_with_etag(key)[0]

    def read_with_etag(self, key: str) -> tuple[bytes, str]:
        import obstore

        with self._request("GET", key):
            found = obstore.get(self._small, key)
            return bytes(found.bytes()), found.meta["e_tag"] or ""

    def head(self, key: str) -> Stored | None:
        import obstore

        try:
            with self._request("GET", key):
                return _stored(obstore.head(self._small, key))
        except Missing:
            return None

    def fetch(self, key: str, target: Path) -> None:
        import obstore

        with self._request("GET", key):
            found = obstore.get(self._large, key)
            with open(target, "wb") as file:
                for part in found.stream(min_chunk_size=1 << 20):
                    file.write(part)

    def create(self, key: str, data: bytes) -> None:
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        try:
            with self._request("PUT", key):
                obstore.put(self._small, key, data, mode="create", use_multipart=False)
        except (AlreadyExistsError, PreconditionError):
            # a request that was repeated, or timed out before, may have succeeded the first time
            if self.read(key) != data:
                raise Exists(f"{self._options.url}/{key}") from None

    def write(self, key: str, source: bytes | Path) -> None:
        import obstore

        with self._request("PUT", key):
            obstore.put(self._large, key, source)

    def replace(self, key: str, data: bytes, etag: str) -> str:
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        try:
            with self._request("PUT", key):
                made = obstore.put(self._small, key, data, mode={"e_tag": etag}, use_multipart=False)
        except (AlreadyExistsError, PreconditionError, Missing):
            try:
                there, now = self.read_with_etag(key)
            except Missing:
                there, now = b"", ""
            if there == data:  # see `create`
                return now
            raise Changed(f"{self._options.url}/{key}") from None
        return made["e_tag"] or ""

    def list(self, prefix: str, after: str = "") -> list[Stored]:
        import obstore

        found: list[Stored] = []
        with self._request("LIST", prefix, count=0):
            for page in obstore.list(self._small, prefix.rstrip("/"), offset=after or None, chunk_size=1000):
                found += map(_stored, page)
        with self._guard:
            self._requests["LIST"] += max(1, -(-len(found) // 1000))
        return sorted(found, key=lambda one: one.key)

    def delete(self, keys: Iterable[str]) -> None:
        import obstore

        wanted = list(keys)
        for first in range(0, len(wanted), 1000):
            part = wanted[first : first + 1000]
            with self._request("DELETE", part[0]):
                try:
                    obstore.delete(self._small, part)
                except FileNotFoundError:
                    if len(part) > 1:  # stores without a request for many say so for one that is gone already
                        for key in part:
                            self.delete([key])

    @contextmanager
    def _request(self, kind: str, key: str, count: int = 1) -> Iterator[None]:
        from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

        with self._guard:
            self._requests[kind] += count
        try:
            yield
        except (AlreadyExistsError, PreconditionError):
            raise
        except FileNotFoundError as error:
            if isinstance(known := self._translated(error, kind, key), StoreRefused):
                raise known from None
            raise Missing(f"{self._options.url}/{key}") from None
        except (BaseError, PermissionError, TimeoutError, ConnectionError) as error:
            raise self._translated(error, kind, key) from None

    def _translated(self, error: Exception, kind: str, key: str) -> VentesError:
        """What an error of the store means, without what may be a secret: the query of an address, and headers."""
        text = str(error).partition("Debug source")[0]
        match = re.search(r"<Code>(\w+)</Code>", text)
        code, options = match[1] if match else "", self._options
        where = options.endpoint() or {"s3": "Amazon S3", "gs": "Google Cloud Storage", "az": "Azure"}[options.kind]
        if code in _BUCKET:
            return StoreRefused(f"{where} has no bucket {options.bucket} ({code})", "correct paths.lake, or create it")
        if code in _CREDENTIALS or type(error).__name__ == "UnauthenticatedError":
            return StoreRefused(
                f"{where} refuses the credentials ({code or 'unauthenticated'})", f"correct them in {options.where}"
            )
        if code in _SKEW:
            return StoreUnavailable(
                f"{where} refuses requests because this machine's clock differs from its own ({code})",
                "set the clock (NTP); it continues by itself",
            )
        if code in _DENIED or isinstance(error, PermissionError) or type(error).__name__ == "PermissionDeniedError":
            return StoreRefused(
                f"{where} does not allow {kind} of {key} in {options.bucket} ({code or 'forbidden'})",
                f"allow the key in {options.where} to read, write, list and delete under {options.url}",
            )
        if "169.254.169.254" in text or "metadata.google.internal" in text:
            return StoreRefused(
                f"no credentials for {options.url}", f"set {PREFIX_EXAMPLES[options.kind]}, or store.credentials"
            )
        plain = re.sub(r"\?\S*", "", " ".join(text.split()))
        return StoreUnavailable(
            f"{where} does not answer: {plain[:200]}",
            f"check the network and the endpoint ({_ENDPOINT_NAMES[options.kind]}); it continues by itself",
        )


_ENDPOINT_NAMES = {"s3": "AWS_ENDPOINT_URL", "gs": "GOOGLE_BASE_URL", "az": "AZURE_STORAGE_ENDPOINT"}


PREFIX_EXAMPLES = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}


def _opened(options: Options, client: dict[str, str]) -> Any:
    from obstore.exceptions import BaseError
    from obstore.store import AzureStore, GCSStore, S3Store

    # the client reads the environment itself, and passes over names that it does not know
    known: dict[str, Any] = {name.lower(): value for name, value in options.of_file().items()}
    if specific := known.pop("aws_endpoint_url_s3", None) or options.values().get("AWS_ENDPOINT_URL_S3"):
        known["aws_endpoint_url"] = specific
    plain = {**client, "allow_http": options.endpoint().startswith("http://")}
    kinds: dict[str, Any] = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}
    try:
        return kinds[options.kind](
            options.bucket,
            prefix=options.prefix or None,
            config=known,
            client_options=plain,
            retry_config=_RETRIES,
        )
    except (BaseError, ValueError, TypeError) as error:
        said = str(error).partition("Debug source")[0]
        for secret in options.secrets():
            said = said.replace(secret, "…")
        raise StoreRefused(
            f"{options.url} cannot be used: {' '.join(said.split())[:200]}", f"correct {options.where}"
        ) from None


def _stored(found: Any) -> Stored:
    etag = found["e_tag"] or ""
    if etag and not etag.endswith('"'):  # Azure lists it without the quotes that its other answers have
        etag = f'"{etag}"'
    return Stored(found["path"], found["size"], etag, found["last_modified"].timestamp())
