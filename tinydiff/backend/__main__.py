"""python -m tinydiff.backend: the self-test of array libraries."""

import sys

from tinydiff.selftest import main

if __name__ == "__main__":
    sys.exit(main())
