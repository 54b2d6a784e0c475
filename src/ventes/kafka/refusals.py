"""Why a secured connection to a broker fails: a sentence and the next step.

librdkafka has one text for every certificate that it does not accept, and none for a listener that speaks another
protocol. So a TLS handshake of our own finds out, with the same files of [kafka.security]. No value of that section
is in a sentence.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Literal

from ventes.config import Settings

HANDSHAKE_SECONDS = 2.0
ALERT_SECONDS = 0.5
"""How long a broker's answer to a client certificate is waited for: it comes after the handshake."""

Kind = Literal[
    "login", "mechanism", "rights", "unknown_ca", "host_name", "expired", "certificate", "own_certificate", "protocol"
]


@dataclass(frozen=True)
class Refusal:
    """`cause` begins with who refuses; `next_step` names the keys of [kafka.security]."""

    kind: Kind
    cause: str
    next_step: str


def of_text(said: str) -> Refusal | None:
    """What librdkafka's text says by itself; None if it does not say enough."""
    if mechanism := re.search(r"supported mechanisms: *([A-Z0-9,-]*)", said):
        offered = mechanism[1].strip(", ")
        if not offered:
            return Refusal("protocol", "the broker asks for no user and password there", _protocol("SSL"))
        step = f"set kafka.security sasl.mechanism to one of: {offered}"
        return Refusal("mechanism", "the broker does not know this sasl.mechanism", step)
    if re.search(r"SASL authentication error|invalid credentials|Authentication failed", said):
        return Refusal(
            "login",
            "the broker refuses user and password",
            "correct sasl.username and sasl.password in [kafka.security] or the environment, then `ventes restart`",
        )
    if "SSL alert number" in said:
        return _own_certificate()
    if "PLAINTEXT broker listener" in said or "SSL connection closed by peer" in said:
        return _no_tls()
    return None


def is_one(said: str) -> bool:
    """Whether librdkafka's text is about a refusal, and not about a server that is away."""
    return "certificate verify failed" in said or of_text(said) is not None


def of_handshake(host: str, port: int, security: dict[str, str]) -> Refusal | None:
    """What a TLS handshake with this server shows, in up to HANDSHAKE_SECONDS; None if nothing is wrong with it.

    `security`: [kafka.security] in clear text. For a client without TLS: whether the server expects it.
    """
    if not uses_tls(security):
        return _wants_tls(host, port)
    names = f"{host}:{port}"
    try:
        context = _context(security)
        with _secured(host, port, context) as secured:
            secured.settimeout(ALERT_SECONDS)
            with suppress(TimeoutError):  # a broker says nothing before it is asked
                secured.recv(1)
    except ssl.SSLCertVerificationError as error:
        return _of_certificate(names, host, port, security, error)
    except ssl.SSLError as error:
        if "ALERT" in (error.reason or ""):
            return _own_certificate()
        return _no_tls() if isinstance(error, ssl.SSLEOFError) or error.reason == "WRONG_VERSION_NUMBER" else None
    except OSError:
        return None  # not reachable: the caller knows that better
    return None


def uses_tls(security: dict[str, str]) -> bool:
    return security.get("security.protocol", "").upper() in ("SSL", "SASL_SSL")


def found(settings: Settings, said: str) -> Refusal | None:
    """The refusal behind librdkafka's text, with a handshake if the text is not enough.

    A managed broker refuses nobody, and a server that cannot be reached at all neither.
    """
    if settings.kafka.managed or re.search(r"Connect to \S+ failed|resolve", said):
        return None
    if refusal := of_text(said):
        return refusal
    security = settings.kafka.client_security()
    tried = (of_handshake(host, port, security) for host, port in settings.kafka.addresses)
    return next((refusal for refusal in tried if refusal is not None), None)


# -- the parts ----------------------------------------------------------------------------------

_EXPIRED = {9: "is not valid yet", 10: "has expired"}
_UNKNOWN_ISSUER = frozenset({2, 18, 19, 20, 21})
_OTHER_HOST = frozenset({62, 64})
"""OpenSSL's X509_V_ERR codes: for a name, for an IP address."""


def _of_certificate(
    names: str, host: str, port: int, security: dict[str, str], error: ssl.SSLCertVerificationError
) -> Refusal:
    code = error.verify_code
    if code in _EXPIRED:
        step = "its owner must renew it; nothing is to change here (if this machine's clock is right)"
        return Refusal("expired", f"the certificate of {names} {_EXPIRED[code]}", step)
    if code in _OTHER_HOST:
        holds = _names_of(host, port, security)
        text = f"the certificate of {names} is for {holds or 'other names'}, not for {host}"
        return Refusal("host_name", text, "use one of its names in kafka.bootstrap, or let its owner add this one")
    if code in _UNKNOWN_ISSUER:
        ours = "ssl.ca.location" in security
        text = f"the certificate of {names} is signed by none of the authorities " + (
            "in the file of ssl.ca.location" if ours else "that this machine knows"
        )
        return Refusal("unknown_ca", text, "let kafka.security ssl.ca.location name the PEM file of the cluster's own")
    text = f"the certificate of {names} is not accepted: {error.verify_message}"
    return Refusal("certificate", text, "ask the cluster's owner")


def _own_certificate() -> Refusal:
    return Refusal(
        "own_certificate",
        "the broker does not accept this client's certificate, or asks for one",
        "let ssl.certificate.location and ssl.key.location in [kafka.security] name a valid pair that it knows",
    )


def _no_tls() -> Refusal:
    return Refusal("protocol", "the broker speaks no TLS on this port", _protocol("PLAINTEXT or SASL_PLAINTEXT"))


def _protocol(wanted: str) -> str:
    return f"set kafka.security security.protocol to {wanted}, or name the port for TLS in kafka.bootstrap"


def _context(security: dict[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=security.get("ssl.ca.location"))
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # from Python 3.13 on the default; librdkafka has it not
    context.check_hostname = security.get("ssl.endpoint.identification.algorithm", "https") != "none"
    if certificate := security.get("ssl.certificate.location"):
        # the password as a function: OpenSSL would ask for a missing one on the terminal
        password = security.get("ssl.key.password", "")
        context.load_cert_chain(certificate, security.get("ssl.key.location"), password=lambda: password)
    return context


def _names_of(host: str, port: int, security: dict[str, str]) -> str:
    """The names that the server's certificate holds, as text; '' if they cannot be read."""
    context = _context({**security, "ssl.endpoint.identification.algorithm": "none"})
    with suppress(OSError), _secured(host, port, context) as secured:
        alternatives = (secured.getpeercert() or {}).get("subjectAltName", ())
        return ", ".join(str(part[1]) for part in alternatives)
    return ""


@contextmanager
def _secured(host: str, port: int, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    with (
        socket.create_connection((host, port), HANDSHAKE_SECONDS) as raw,
        context.wrap_socket(raw, server_hostname=host) as secured,
    ):
        yield secured


def _wants_tls(host: str, port: int) -> Refusal | None:
    """Whether a server that this client talks to in plain text speaks TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # only whether, not who: nothing is sent
    try:
        with socket.create_connection((host, port), HANDSHAKE_SECONDS) as raw, context.wrap_socket(raw):
            step = "set kafka.security security.protocol to SSL or SASL_SSL"
            return Refusal("protocol", f"{host}:{port} speaks TLS, and this client does not", step)
    except OSError:
        return None
