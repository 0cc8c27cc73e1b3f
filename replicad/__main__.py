"""`python -m replicad`."""

import sys

from replicad.cli.start import start

if __name__ == "__main__":
    sys.exit(start())
