"""The software bill of materials in CycloneDX's JSON: `python -m supply_chain.sbom FILE`, or `make sbom`.

The same locks give the same bytes. Jars that come inside the wheel of pyspark are part of that wheel here.
"""

from __future__ import annotations

import json
import sys
import uuid
from pathlib import Path

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from supply_chain.parts import Part, parts
from ventes import __version__

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://cyclonedx.org/schema/bom-1.6")


def bill() -> str:
    """The complete document."""
    found = parts()
    program = Component(name="ventes", version=__version__, type=ComponentType.APPLICATION, bom_ref="ventes")
    components = [_component(part) for part in found]
    bom = Bom(components=components, serial_number=uuid.uuid5(_NAMESPACE, repr(found)))
    bom.metadata.component = program
    bom.register_dependency(program, components)
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    del document["metadata"]["timestamp"]  # optional, and the only difference between two runs
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def _component(part: Part) -> Component:
    return Component(
        name=part.name,
        group=part.group or None,
        version=part.version,
        type=ComponentType.LIBRARY,
        purl=PackageURL.from_string(part.purl),
        bom_ref=part.purl,
        scope=ComponentScope(part.use),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest) for digest in part.sha256],
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(bill(), encoding="utf-8")
