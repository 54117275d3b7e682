"""`stoker doctor`: what a person needs who stands before a cold room."""

import sys
import time
from argparse import Namespace

import msgspec

from stoker import devices, doctor
from stoker.cli import Exit, configuration
from stoker.core.messages import SwitchFailed
from stoker.doctor import Finding, Verdict

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
    """Switch each relay for a moment, and ask whoever stands before it whether it did the right thing."""
    config = configuration.load(arguments.config)
    for name, choice in config.heaters.items():
        port = devices.heater(name, choice)
        try:
            if isinstance(outcome := port.switch(False), SwitchFailed):
                print(f"heater {name}: {outcome.text}; if the daemon runs: sudo systemctl stop stoker", file=sys.stderr)
                return Exit.FAILED
            if not _asked(f"heater {name} is off now. Is its relay off, and the heater cold?"):
                print(f"then its polarity is wrong: set active_high in [heaters.{name}] to the other value")
                return Exit.FAILED
            if not _asked(f"heater {name} will be on for one second. Go on?"):
                continue
            outcome = port.switch(True)
            time.sleep(1.0)
            port.switch(False)
            if isinstance(outcome, SwitchFailed):
                print(f"heater {name}: {outcome.text}", file=sys.stderr)
                return Exit.FAILED
            if not _asked("Did it click on, and off again?"):
                print(f"then it is wired to another pin than [heaters.{name}] says, or has no power")
                return Exit.FAILED
        finally:
            port.close()
        print(f"heater {name}: good")
    return Exit.OK


def _asked(question: str) -> bool:
    """Only a clear yes is one."""
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False
