"""python -m tinydiff, and the command `tinydiff`."""

import sys

from tinydiff.extras import extra


def main() -> int:
    """Run the command line, whose imports take a moment too."""
    try:
        with extra("app"):
            from tinydiff.app import cli
        return cli.main()
    except ModuleNotFoundError as error:
        print(f"tinydiff: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
