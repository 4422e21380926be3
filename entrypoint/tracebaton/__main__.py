"""As `tracebaton`: `python -m tracebaton`."""

import sys

from tracebaton.cli import main

if __name__ == "__main__":
    sys.exit(main())
