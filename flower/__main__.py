"""``python -m flower``: the same as the ``flower`` command."""

import sys

from flower.cli import main

if __name__ == "__main__":
    sys.exit(main())
