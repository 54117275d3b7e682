"""`stoker run`: the daemon in the foreground."""

import logging
from argparse import Namespace

from stoker import log
from stoker.app import App
from stoker.cli import configuration


def main(arguments: Namespace) -> int:
    """Run until a signal ends it."""
    config = configuration.load(arguments.config)
    log.start(arguments.verbose)
    for warning in config.warnings:
        logging.getLogger("stoker").warning("%s", warning)
    return App(config, arguments.config).run()
