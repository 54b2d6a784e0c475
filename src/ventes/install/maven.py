"""Downloads jars by their Maven coordinates, from Maven Central or its mirror in Maven's settings.

The download is done by jgo, which has the address of Central and the layout of a repository, and uses HTTPS_PROXY and
NO_PROXY. The caller checks the SHA-256.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

from ventes.errors import InstallError
from ventes.install import certificates
from ventes.install.environment import AGAIN

TIMEOUT_SECONDS = 60
"""Seconds, for a connection, and for the next bytes on it."""

_CENTRAL = {"central", "*", "external:*"}
"""Values of Maven's `mirrorOf` that include Central. (Not `external:http:*`: Central uses HTTPS.)"""


def settings_files() -> tuple[Path, ...]:
    """Maven's settings files, the user's first."""
    return Path.home() / ".m2" / "settings.xml", Path("/etc/maven/settings.xml")


def mirror(files: Iterable[Path]) -> str | None:
    """The address of the mirror of Central in the first of the settings files that names one; None if none does.

    As in Maven, a mirror of `central` by name has precedence over one of `*`. Raises InstallError for invalid XML.
    """
    for file in files:
        if not file.is_file():
            continue
        try:
            root = ElementTree.parse(file).getroot()
        except ElementTree.ParseError as error:
            raise InstallError(f"{file} cannot be read: {error}", "correct the line it names") from None
        found: dict[bool, str] = {}
        for entry in root.iterfind("{*}mirrors/{*}mirror"):
            names = {name.strip() for name in (entry.findtext("{*}mirrorOf") or "").split(",")}
            address = (entry.findtext("{*}url") or "").strip().rstrip("/")
            if address and names & _CENTRAL and "!central" not in names:
                found.setdefault(names == {"central"}, address)
        if found:
            return found.get(True) or found[False]
    return None


class Repository:
    """Maven Central, or its mirror."""

    def __init__(self, mirror: str | None) -> None:
        """`mirror`: the address to ask instead of Central."""
        certificates.trust_like_python(os.environ)
        self._remotes = None if mirror is None else {"central": mirror}

    def fetch(self, coordinates: str, into: Path) -> Path:
        """Download `group:artifact:version` to a new file in the folder `into`, which must hold no other copy of it.

        Never uses the cache in ~/.m2. Raises InstallError with the cause; a partial file may be left in `into`.
        """
        from jgo.maven import MavenContext  # takes 0.2 s, and is only needed if a jar is missing
        from requests import RequestException

        group, artifact, version = coordinates.split(":")
        maven = MavenContext(repo_cache=into, local_repos=[], remote_repos=self._remotes, timeout=TIMEOUT_SECONDS)
        try:
            return Path(maven.project(group, artifact).at_version(version).artifact().resolve())
        except (RequestException, RuntimeError) as error:  # RuntimeError: the repository answers, but has no such jar
            raise InstallError(
                f"{coordinates} could not be downloaded: {_without_passwords(str(error))}",
                f"check the network (HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE, the mirror in ~/.m2/settings.xml), {AGAIN}",
            ) from None
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise InstallError(f"the disk of {into} is full", f"make room, {AGAIN}") from None


def _without_passwords(text: str) -> str:
    """`text` with the user and password of every address in it left out."""
    return re.sub(r"//[^/@\s'\"]*@", "//", text)
