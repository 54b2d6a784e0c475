"""`python -m ventes.install`: see steps.py."""

import sys

from ventes.install.steps import main

if __name__ == "__main__":
    sys.exit(main())
