"""python -m tinydiff, and the command `tinydiff`."""

import sys


def main() -> int:
    """Run the command line, whose imports take a moment too."""
    try:
        from tinydiff.app import cli

        return cli.main()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
