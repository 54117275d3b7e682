"""The command line: run · check · demo · watch · publish · set · status · off · completion."""

import importlib
import os
import sys

from stoker.cli import Exit, parser


def main() -> int:
    """Run one command. Returns its exit code."""
    arguments = parser.build().parse_args()
    command = importlib.import_module(f"stoker.cli.{arguments.command}")
    try:
        code: int = command.main(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 128 + 2
    except BrokenPipeError:  # somebody read as much as they wanted: `stoker watch | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    return code


if __name__ == "__main__":
    sys.exit(main())
