"""The command line as it is typed: every command, its arguments and its help.

Rule: where a command is named, it alone is built. On a small Pi each costs its time, and `stoker off` is in a hurry.
"""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

from stoker import __version__

CONFIG = Path("/etc/stoker/stoker.toml")

_EXITS = """\
exit codes: 0 done · 1 failed, the line before says why · 2 wrong command line · 69 broker not reached ·
78 error in the configuration
"""


SUBJECTS = ("target", "mode", "preset", "schedule", "tune", "heater")


def _seconds(text: str) -> float:
    if not 0 < (seconds := float(text)) <= 86400:
        raise argparse.ArgumentTypeError(f"{text} is no time to wait; allowed: above 0, up to 86400 s")
    return seconds


def _port(text: str) -> int:
    if not 0 <= (port := int(text)) <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is no port; allowed: 0 (a free one) to 65535")
    return port


def _help(prog: str) -> argparse.HelpFormatter:
    """As wide as the terminal. argparse would ask shutil, and with it zlib, bz2 and lzma, for each argument."""
    try:
        width = int(os.environ.get("COLUMNS", "0")) or os.get_terminal_size().columns
    except (ValueError, OSError):
        width = 80
    return argparse.RawDescriptionHelpFormatter(prog, width=width - 2)


Command = Callable[..., argparse.ArgumentParser]
"""Makes the parser of one command from its name, a summary and details."""


def _setup(command: Command) -> None:
    setup = command(
        "setup",
        "ask for what it needs to know, write the configuration, and start the service",
        "Every question is an option too; with --yes none is asked.",
    )
    setup.add_argument("--zone", metavar="NAME", help="name of the place to keep warm")
    setup.add_argument("--sensor", metavar="ID", help="1-wire id such as 28-0316a2792c1e, or mock: a simulated room")
    setup.add_argument("--pin", type=int, metavar="N", help="GPIO number of the heater's relay")
    setup.add_argument("--chip", default="", metavar="LABEL", help="GPIO chip, for a board that is no Raspberry Pi")
    setup.add_argument("--active-low", action="store_true", help="the relay is on while its pin is low")
    setup.add_argument("--target", type=float, metavar="C", help="how warm, °C")
    setup.add_argument("--broker", metavar="HOST", help="MQTT broker, or HOST:PORT")
    setup.add_argument("--user", metavar="NAME", help="user there")
    setup.add_argument("--password-file", type=Path, metavar="FILE", help="file with the password, which is copied")
    setup.add_argument("--ca-file", type=Path, metavar="FILE", help="CA that signed the broker's certificate")
    setup.add_argument("--no-tls", action="store_true", help="only on a network that nobody else can reach")
    setup.add_argument("--yes", action="store_true", help="ask nothing")
    setup.add_argument("--force", action="store_true", help="also where there is a configuration, which is kept")
    setup.add_argument("--no-service", action="store_true", help="do not start the service")


def _install_service(command: Command) -> None:
    service = command(
        "install-service", "make a systemd service of a stoker that came by pipx or pip", configured=False
    )
    service.add_argument("--remove", action="store_true", help="take it away again")


def _doctor(command: Command) -> None:
    doctor = command(
        "doctor",
        "look at everything that heat hangs on, and say what to do about it",
        "Nothing is switched but with --click. Exit code 1 where something is bad.",
    )
    doctor.add_argument("--json", action="store_true", help="the findings as JSON")
    doctor.add_argument("--click", action="store_true", help="try each relay, and ask whether it clicked")


def _run(command: Command) -> None:
    run = command(
        "run",
        "run the daemon in the foreground",
        "SIGTERM and SIGINT end it with every heater off. SIGHUP reads the configuration anew without dropping the\n"
        "connection or blinking a relay; with an error in the files the old configuration stays.",
    )
    run.add_argument("-v", "--verbose", action="store_true", help="tell every reading and every try to connect")


def _check(command: Command) -> None:
    command("check", "read the configuration and say what is wrong or dangerous in it", "Nothing is switched.")


def _demo(command: Command) -> None:
    demo = command(
        "demo",
        "show it all on this machine: a broker with TLS, a simulated room, the daemon",
        "Needs no root and no hardware. Ctrl-C ends everything.",
        configured=False,
    )
    demo.add_argument("--port", type=_port, default=0, metavar="N", help="the broker's port (default: a free one)")
    demo.add_argument(
        "--directory", type=Path, metavar="DIR", help="where ca.pem and stoker.toml go (default: a new one)"
    )
    demo.add_argument(
        "--broker", choices=("mosquitto", "amqtt"), help="which broker (default: this machine's mosquitto, else amqtt)"
    )
    demo.add_argument("--speed", type=float, default=60.0, metavar="X", help="simulated seconds a second (default: 60)")


def _watch(command: Command) -> None:
    watch = command(
        "watch",
        "subscribe, and print what comes in",
        "examples:\n  stoker watch                     all that this device says\n"
        "  stoker watch TEMPERATURE         its readings\n  stoker watch 'encyclopedia/#'    any topic filter",
    )
    watch.add_argument("filter", nargs="*", metavar="FILTER", help="topic filters (default: this device's topics)")


def _publish(command: Command) -> None:
    publish = command("publish", "publish one message, and wait until the broker has it")
    publish.add_argument("topic", metavar="TOPIC")
    publish.add_argument("payload", metavar="PAYLOAD")
    publish.add_argument("--retain", action="store_true", help="the broker keeps it for later subscribers")


def _set(command: Command) -> None:
    order = command(
        "set",
        "give the daemon an order over MQTT, and wait for its answer",
        "examples:\n  stoker set room target 21        °C; `default` returns to the configuration's\n"
        "  stoker set room mode off         off, heat or auto; `default` likewise\n"
        "  stoker set room preset boost     none, comfort, eco, away, boost\n"
        '  stoker set room schedule \'{"daily": ["06:30 comfort", "22:00 eco"]}\'\n'
        "  stoker set room heater ON        by hand, for a while: ON, OFF or AUTO",
    )
    order.add_argument("zone", metavar="ZONE")
    order.add_argument("subject", choices=SUBJECTS, metavar="|".join(SUBJECTS))
    order.add_argument("value", metavar="VALUE")
    order.add_argument("--timeout", type=_seconds, default=10.0, metavar="S", help="seconds to wait (default: 10)")


def _reset(command: Command) -> None:
    reset = command(
        "reset",
        "reset a zone's latched fault, and wait for the daemon's answer",
        "Look first for what caused it: while that is still so, the fault comes again.",
    )
    reset.add_argument("zone", metavar="ZONE")
    reset.add_argument("--timeout", type=_seconds, default=10.0, metavar="S", help="seconds to wait (default: 10)")


def _status(command: Command) -> None:
    status = command("status", "ask the broker how the device is")
    status.add_argument("--json", action="store_true", help="print the state as the daemon published it")
    status.add_argument("--timeout", type=_seconds, default=10.0, metavar="S", help="seconds to wait (default: 10)")


def _off(command: Command) -> None:
    command("off", "drive every configured heater off without the daemon", "For a service's ExecStopPost.")


def _completion(command: Command) -> None:
    completion = command("completion", "print a completion script for a shell", configured=False)
    completion.add_argument("shell", choices=("bash", "zsh", "tcsh"))


COMMANDS: dict[str, Callable[[Command], None]] = {
    "run": _run,
    "check": _check,
    "demo": _demo,
    "watch": _watch,
    "publish": _publish,
    "set": _set,
    "reset": _reset,
    "status": _status,
    "setup": _setup,
    "install-service": _install_service,
    "doctor": _doctor,
    "off": _off,
    "completion": _completion,
}


def build(typed: str = "") -> argparse.ArgumentParser:
    """The parser; `command` in its result names the module in this folder. `typed`: the first word, if there is one."""
    parser = argparse.ArgumentParser(
        prog="stoker",
        description="Keeps a place at temperature: thermometer in, relay out, MQTT between.",
        epilog=_EXITS,
        formatter_class=_help,
    )
    parser.add_argument("--version", action="version", version=f"stoker {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, summary: str, details: str = "", configured: bool = True) -> argparse.ArgumentParser:
        one = commands.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            epilog=details,
            formatter_class=_help,
        )
        if configured:
            one.add_argument(
                "--config", type=Path, default=CONFIG, metavar="FILE", help=f"configuration (default: {CONFIG})"
            )
        return one

    wanted = [typed] if typed in COMMANDS else [] if typed == "--version" else COMMANDS
    for name in wanted:
        COMMANDS[name](command)
    return parser
