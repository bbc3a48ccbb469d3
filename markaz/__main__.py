"""`python -m markaz`: the command line without an installed script."""

import sys

from markaz.cli import main

if __name__ == "__main__":
    sys.exit(main())
