"""How this machine reaches the outside, told to Java: proxy variables and trusted certificates.

curl, pip and git obey HTTPS_PROXY, NO_PROXY and the system's certificates; a JVM obeys none of them.
Standard library only.
"""

from __future__ import annotations

import hashlib
import ssl
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from ventes.errors import InstallError


def jvm_flags(env: Mapping[str, str]) -> list[str]:
    """-D flags for the proxy variables in `env`; [] where there are none. Holds no password."""
    flags = []
    for scheme in ("http", "https"):
        address = _variable(env, f"{scheme}_proxy") or _variable(env, "all_proxy")
        if not address:
            continue
        parts = _proxy(scheme, address)
        flags += [f"-D{scheme}.proxyHost={parts.hostname}", f"-D{scheme}.proxyPort={parts.port or 80}"]
    exempt = [name.strip() for name in _variable(env, "no_proxy").split(",") if name.strip()]
    if flags and exempt:
        # ".example.org" and "example.org" mean the domain and all beneath it; Java wants the star written.
        hosts = "|".join(host for name in exempt for host in (name.lstrip("."), f"*.{name.lstrip('.')}"))
        flags.append(f"-Dhttp.nonProxyHosts={hosts}")
    return flags


def jvm_environment(env: Mapping[str, str]) -> dict[str, str]:
    """What must not stand on a command line: the proxy's user and password, in JDK_JAVA_OPTIONS."""
    address = _variable(env, "https_proxy") or _variable(env, "http_proxy") or _variable(env, "all_proxy")
    parts = _proxy("https", address) if address else None
    if parts is None or not parts.username:
        return {}
    options = [
        env.get("JDK_JAVA_OPTIONS", ""),
        f'"-Dhttp.proxyUser={unquote(parts.username)}"',
        f'"-Dhttp.proxyPassword={unquote(parts.password or "")}"',
        "-Djdk.http.auth.tunneling.disabledSchemes=",  # Java refuses a password for an HTTPS proxy otherwise
    ]
    return {"JDK_JAVA_OPTIONS": " ".join(filter(None, options))}


def _proxy(scheme: str, address: str) -> SplitResult:
    parts = urlsplit(address if "//" in address else f"//{address}")
    try:
        if parts.hostname and (parts.port is None or parts.port > 0):
            return parts
    except ValueError:
        pass
    shown = address.rpartition("@")[2]  # never the password
    raise InstallError(f"{scheme}_proxy is no address: {shown!r}", "set it like http://host:port, or unset it")


def _variable(env: Mapping[str, str], name: str) -> str:
    return env.get(name) or env.get(name.upper()) or ""


def trust_store(path: Path) -> bool:
    """Write what Python trusts (the system's certificates, or SSL_CERT_FILE) as a Java key store at `path`.

    For a JDK that came as a wheel: it knows the public authorities, but not a company's own. False if Python
    trusts nothing that could be listed; then Java keeps its own list.
    """
    certificates = ssl.create_default_context().get_ca_certs(binary_form=True)
    if not certificates:
        return False
    # JKS, the one key store format simple enough to write by hand: entries in clear, then a keyed SHA-1.
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
