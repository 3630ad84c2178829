"""python -m tinydiff."""

import sys

from tinydiff.cli import main

sys.exit(main())
