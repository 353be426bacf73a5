"""The door of a checkout: ``python cli.py fit --config jacobi.yaml``."""

import sys

from regularizer_collection.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
