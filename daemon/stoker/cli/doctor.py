"""`stoker doctor`: what a person needs who stands before a cold room."""

import signal
import sys
import time
from argparse import Namespace
from types import FrameType
from typing import NoReturn

import msgspec

from stoker import devices, doctor
from stoker.cli import Exit, configuration
from stoker.core.messages import SwitchFailed
from stoker.doctor import Finding, Verdict
from stoker.heaters import HeaterPort

MARKS = {Verdict.GOOD: "ok", Verdict.DOUBTFUL: "??", Verdict.BAD: "!!", Verdict.UNKNOWN: "--"}


def main(arguments: Namespace) -> int:
    """Print each finding as soon as it is there. Fails where one is bad."""
    if arguments.click:
        return _click(arguments)
    findings: list[Finding] = []
    for finding in doctor.examine(arguments.config):
        findings.append(finding)
        if not arguments.json:
            show(finding)
    if arguments.json:
        print(msgspec.json.format(msgspec.json.encode(findings), indent=2).decode())
    return Exit.FAILED if any(finding.verdict is Verdict.BAD for finding in findings) else Exit.OK


def show(finding: Finding) -> None:
    """One finding, for a person."""
    print(f"{MARKS[finding.verdict]}  {finding.what}: {finding.text}", flush=True)
    if finding.remedy:
        print(f"      -> {finding.remedy}", flush=True)


def _click(arguments: Namespace) -> int:
    """Try each relay, up to the first that is not as it should be."""
    config = configuration.load(arguments.config)
    for number in (signal.SIGTERM, signal.SIGHUP):  # as when a login breaks off: the relay must not stay as it is
        signal.signal(number, _leave)
    for name, choice in config.heaters.items():
        port = devices.heater(name, choice)
        try:
            wrong = _try(name, port)
        finally:
            left = port.close()
        if isinstance(left, SwitchFailed):
            wrong = f"heater {name} may be ON: {left.text}"
        if wrong:
            print(wrong, file=sys.stderr)
            return Exit.FAILED
    return Exit.OK


def _leave(number: int, _: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


def _try(name: str, port: HeaterPort) -> str:
    """Switch it for a moment, and ask whoever stands before it whether it did the right thing. What is wrong, or ""."""
    if isinstance(outcome := port.switch(False), SwitchFailed):
        return f"heater {name}: {outcome.text}; if the daemon runs: sudo systemctl stop stoker"
    if not _asked(f"heater {name} is off now. Is its relay off, and the heater cold?"):
        return f"then its polarity is wrong: set active_high in [heaters.{name}] to the other value"
    if not _asked(f"heater {name} will be on for one second. Go on?"):
        return ""
    outcome = port.switch(True)
    time.sleep(1.0)
    for answer in (port.switch(False), outcome):
        if isinstance(answer, SwitchFailed):
            return f"heater {name}: {answer.text}"
    if not _asked("Did it click on, and off again?"):
        return f"then it is wired to another pin than [heaters.{name}] says, or has no power"
    print(f"heater {name}: good")
    return ""


def _asked(question: str) -> bool:
    """Only a clear yes is one."""
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False
