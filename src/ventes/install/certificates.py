"""Gives the certificate authorities that this machine trusts to programs with a list of their own.

Python uses SSL_CERT_FILE, SSL_CERT_DIR and the system's store, which contains a company's own authority. `requests` and
a JDK from a wheel trust only the public authorities that they include. Standard library only.
"""

from __future__ import annotations

import hashlib
import os
import ssl
import struct
import time
from collections.abc import MutableMapping
from pathlib import Path


def trust_like_python(env: MutableMapping[str, str]) -> None:
    """Let `requests` trust what Python trusts, unless REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE say otherwise."""
    if env.get("REQUESTS_CA_BUNDLE") or env.get("CURL_CA_BUNDLE"):
        return
    found = ssl.get_default_verify_paths()  # SSL_CERT_FILE and SSL_CERT_DIR included, None for what does not exist
    if found.cafile:
        env["REQUESTS_CA_BUNDLE"] = found.cafile
    elif found.capath and os.listdir(found.capath):
        env["REQUESTS_CA_BUNDLE"] = found.capath


def trust_store(path: Path) -> bool:
    """Write what Python trusts as a Java key store at `path`. False if Python lists no certificate; then Java keeps its
    own list."""
    certificates = ssl.create_default_context().get_ca_certs(binary_form=True)
    if not certificates:
        return False
    # JKS, the only key store format that is simple to write: entries in clear text, then a keyed SHA-1.
    millis = int(time.time() * 1000)
    body = struct.pack(">III", 0xFEEDFEED, 2, len(certificates))
    for number, der in enumerate(certificates):
        body += struct.pack(">I", 2) + _utf(f"ca{number}") + struct.pack(">Q", millis)
        body += _utf("X.509") + struct.pack(">I", len(der)) + der
    password = "changeit".encode("utf-16-be")  # Java's default; nothing in here is secret
    seal = hashlib.sha1(password + b"Mighty Aphrodite" + body).digest()
    path.write_bytes(body + seal)
    return True


def _utf(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode("ascii")
