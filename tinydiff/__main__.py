"""python -m tinydiff, and the command `tinydiff`."""

import sys

from tinydiff import __version__
from tinydiff.extras import extra


def main() -> int:
    """Run the command line, whose imports take a moment too. `doctor` and --version need no extra."""
    try:
        if sys.argv[1:] == ["--version"]:
            print(f"tinydiff {__version__}")
            return 0
        if sys.argv[1:] == ["doctor"]:
            from tinydiff.app.doctor import doctor

            return doctor()
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
