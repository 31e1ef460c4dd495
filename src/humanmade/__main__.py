"""`python -m humanmade`, as torchrun starts it."""

import sys

from humanmade.commands import main

if __name__ == "__main__":
    sys.exit(main())
