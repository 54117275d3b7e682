"""`stoker install-service`: what the Debian package does, for a stoker that came by pipx or pip.

Rule: the service's user may look neither into a home nor into /root, so a stoker that lies there is copied to
/usr/local/lib/stoker first. Run it again after an upgrade; `--remove` takes all of it away again, but /etc/stoker.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import stoker
from stoker.cli import Exit

UNIT = Path("/etc/systemd/system/stoker.service")
PLACES = {  # what comes with the program -> where it goes
    "stoker.service": UNIT,
    "stoker.sysusers": Path("/etc/sysusers.d/stoker.conf"),
    "stoker.rules": Path("/etc/udev/rules.d/60-stoker.rules"),
}
DROP_IN = UNIT.with_name("stoker.service.d") / "10-notify-reload.conf"
NOTIFY_RELOAD = 253  # the first systemd that understands it
COPY = Path("/usr/local/lib/stoker")
LAUNCHER = Path("/usr/local/bin/stoker")
CONFIGURATION = Path("/etc/stoker")
PRIVATE = (Path("/home"), Path("/root"))


def main(arguments: Namespace) -> int:
    """Install it, or remove it."""
    if os.geteuid():
        print(f"this needs root: sudo {Path(sys.argv[0]).resolve()} install-service", file=sys.stderr)
        return Exit.FAILED
    try:
        return _remove() if arguments.remove else _install()
    except subprocess.CalledProcessError as error:
        print(f"{' '.join(map(str, error.cmd))}: exit {error.returncode}", file=sys.stderr)
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
    return Exit.FAILED


def _install() -> int:
    program = _program()
    places = PLACES | ({"notify-reload.conf": DROP_IN} if _systemd() >= NOTIFY_RELOAD else {})
    for name, place in places.items():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(_delivered(name).replace("/usr/bin/stoker", str(program)))
        print(f"wrote {place}")
    CONFIGURATION.mkdir(exist_ok=True)
    _run("systemd-sysusers", "stoker.conf")
    _run("systemctl", "daemon-reload")
    _run("udevadm", "control", "--reload", check=False)
    _run("udevadm", "trigger", "--subsystem-match=gpio", check=False)
    _run("systemctl", "enable", "stoker.service")
    if (CONFIGURATION / "stoker.toml").exists():
        _run("systemctl", "restart", "stoker.service")
        print("the service runs: systemctl status stoker")
    else:
        print(f"the service starts once there is a configuration: sudo {program} setup")
    return Exit.OK


def _remove() -> int:
    """The heater is off when the service has stopped."""
    _run("systemctl", "disable", "--now", "stoker.service", check=False)
    for place in (*PLACES.values(), DROP_IN, *([LAUNCHER] if COPY.exists() else [])):
        place.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # somebody else's drop-ins stay
        DROP_IN.parent.rmdir()
    shutil.rmtree(COPY, ignore_errors=True)
    _run("systemctl", "daemon-reload")
    _run("userdel", "stoker", check=False)
    print(f"removed; {CONFIGURATION} and /var/lib/stoker stay, for you to remove")
    return Exit.OK


def _program() -> Path:
    """The stoker that the service starts."""
    here = Path(sys.argv[0]).resolve()
    libraries = Path(stoker.__file__).resolve().parents[1]
    if not any(private in (*here.parents, *libraries.parents) for private in PRIVATE):
        return here
    shutil.rmtree(COPY, ignore_errors=True)
    shutil.copytree(libraries, COPY, ignore=shutil.ignore_patterns("__pycache__", "pip", "pip-*"))
    _run(sys.executable, "-m", "compileall", "-q", COPY, check=False)
    python = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    LAUNCHER.write_text(
        f"#!{python} -I\nimport sys\n\nsys.path.insert(0, {str(COPY)!r})\n\n"
        "from stoker.__main__ import main\n\nsys.exit(main())\n"
    )
    LAUNCHER.chmod(0o755)
    print(f"copied to {COPY}, as nobody else may look into {libraries}")
    return LAUNCHER


def _delivered(name: str) -> str:
    """A file of the folder systemd/: inside of an installed package, or beside the sources."""
    package = Path(stoker.__file__).parent
    folder = package / "service" if (package / "service").is_dir() else package.parents[1] / "systemd"
    return (folder / name).read_text()


def _systemd() -> int:
    """Its version."""
    said = subprocess.run(["systemctl", "--version"], check=True, capture_output=True, text=True).stdout  # noqa: S607
    return int(said.split()[1])


def _run(*command: str | Path, check: bool = True) -> None:
    """`check=False`: it may fail, and may be missing (a container has no udevadm)."""
    quiet = None if check else subprocess.DEVNULL
    with contextlib.nullcontext() if check else contextlib.suppress(FileNotFoundError):
        subprocess.run(command, check=check, stdout=quiet, stderr=quiet)  # noqa: S603
