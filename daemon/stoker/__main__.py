"""The command line: run · check · demo · watch · publish · set · status · doctor · setup · off · completion ..."""

import importlib
import os
import sys

from stoker.cli import Exit, parser


def main() -> int:
    """Run one command. Returns its exit code."""
    arguments = parser.build(sys.argv[1] if len(sys.argv) > 1 else "").parse_args()
    if arguments.command == "run":
        from stoker import signals

        signals.block()
    command = importlib.import_module(f"stoker.cli.{arguments.command.replace('-', '_')}")
    try:
        code: int = command.main(arguments)
        if sys.stdout is not None:  # closed by who called us
            sys.stdout.flush()
    except KeyboardInterrupt:
        return 128 + 2
    except BrokenPipeError:  # somebody read as much as they wanted: `stoker watch | head`
        _nothing_more()
        return Exit.OK
    except OSError as error:  # standard output on a full disk
        _nothing_more()
        print(f"stoker {arguments.command}: {error}", file=sys.stderr)
        return Exit.FAILED
    return code


def _nothing_more() -> None:
    """So that Python does not try to write the rest at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
