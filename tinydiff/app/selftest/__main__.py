"""python -m tinydiff.app.selftest: the self-test of array libraries."""

import sys

from tinydiff.app.selftest import main

if __name__ == "__main__":
    sys.exit(main())
