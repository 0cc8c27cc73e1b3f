"""`python -m replicad`."""

import sys

from replicad.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
