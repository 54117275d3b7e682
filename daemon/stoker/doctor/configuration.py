"""The configuration: whether it can be read, and what it warns of."""

from collections.abc import Iterator
from pathlib import Path

from stoker import devices
from stoker.config import Config, ConfigError
from stoker.doctor import Finding, Verdict

WHAT = "configuration"


def examine(path: Path) -> Iterator[Finding | Config]:
    """The findings, and the configuration itself where it has no errors."""
    try:
        config = devices.load(path)
    except ConfigError as error:
        for problem in error.problems:
            yield Finding(WHAT, Verdict.BAD, str(problem), "sudo stoker setup, or edit it and try `stoker check`")
        return
    for warning in config.warnings:
        yield Finding(WHAT, Verdict.DOUBTFUL, str(warning))
    if not config.warnings:
        yield Finding(WHAT, Verdict.GOOD, f"{', '.join(map(str, config.files))}: no errors, nothing dangerous")
    yield config
