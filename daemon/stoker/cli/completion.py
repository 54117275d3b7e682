"""`stoker completion`: what a shell needs to complete stoker's commands."""

import importlib
import sys
from argparse import Namespace
from typing import Any

from stoker.cli import Exit, parser


def main(arguments: Namespace) -> int:
    """Print the script."""
    try:
        shtab: Any = importlib.import_module("shtab")
    except ImportError:
        print("completion needs the package shtab: pip install 'stoker[completion]'", file=sys.stderr)
        return Exit.FAILED
    print(shtab.complete(parser.build(), arguments.shell))
    return Exit.OK
