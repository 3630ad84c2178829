"""The command line: `tinydiff demo`, `tinydiff mnist`; `--help` on each lists its options.

Exit codes: 0 for success, 1 for a failure, told in one line, 2 for wrong usage, 130 when interrupted.
"""

import sys
from collections.abc import Sequence

import tyro

from tinydiff import runs


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name and return the exit code."""
    config = tyro.extras.subcommand_cli_from_dict(
        {"demo": runs.Demo, "mnist": runs.Mnist},
        prog="tinydiff",
        description="Denoising diffusion from scratch in NumPy, checked against exact truth.",
        args=sys.argv[1:] if arguments is None else arguments,
    )
    try:
        runs.demo(config) if isinstance(config, runs.Demo) else runs.mnist(config)
    except (ValueError, OSError, FloatingPointError) as error:
        print(f"tinydiff: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("tinydiff: interrupted", file=sys.stderr)
        return 130
    return 0
