"""The machines that the system tests run on: boot one, run commands in it as root, and throw it away.

Rule: every machine starts from the same untouched disk and has no way out to any network. All of it is built by
`lab/build` below $STOKER_LAB; without that, or without root, the tests that need it are skipped and say so.
"""

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO

import pytest

LAB = Path(os.environ.get("STOKER_LAB") or Path.home() / ".cache/stoker-lab")
TOOL = Path(__file__).parent / "lab/tool"
PATIENCE = 120.0  # seconds; an emulated machine is five to ten times slower than the real one


class Machine:
    """A booted machine. `run` a shell command in it as root, `put` a file into it, `stop` it."""

    slow = 1.0  # how many times slower than a Pi it is

    def __init__(self) -> None:
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 -- closed with the machine
        self._process: subprocess.Popen[bytes] | None = None

    def _command(self, command: str) -> list[str]:
        raise NotImplementedError

    def try_to(self, command: str, timeout: float = PATIENCE, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run it; its output and exit status."""
        return subprocess.run(self._command(command), input=stdin, capture_output=True, timeout=timeout, check=False)

    def run(self, command: str, timeout: float = PATIENCE, stdin: bytes = b"") -> str:
        """Run it; what it printed. An exit status that is not 0 fails the test, with what it said."""
        done = self.try_to(command, timeout, stdin)
        output = done.stdout.decode(errors="replace")
        assert done.returncode == 0, f"{command!r}: exit {done.returncode}\n{output}{done.stderr.decode()}"
        return output.strip()

    def put(self, text: str | bytes, path: str, mode: str = "644") -> None:
        """Write a file."""
        data = text.encode() if isinstance(text, str) else text
        place = shlex.quote(path)
        self.run(f"mkdir -p $(dirname {place}) && cat >{place} && chmod {mode} {place}", stdin=data)

    def wait_for(self, command: str, within: float = PATIENCE) -> float:
        """Until the command succeeds; how long that took, by the host's clock."""
        start = time.monotonic()
        while (done := self.try_to(command)).returncode:
            took = time.monotonic() - start
            assert took < within, f"{command!r}: not after {within:g} s\n{done.stdout.decode()}{done.stderr.decode()}"
        return time.monotonic() - start

    def is_on(self) -> bool:
        """Nobody has switched it off, nor has it by itself."""
        return self._process is not None and self._process.poll() is None

    def ends(self, within: float = PATIENCE) -> None:
        """Wait until it has switched itself off."""
        assert self._process
        self._process.wait(within)

    def said(self) -> str:
        """What came out of its console."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def stop(self) -> None:
        """Switch it off, as by pulling the plug."""
        if self._process:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def _boot(self, command: list[str]) -> None:
        environment = os.environ | {"STOKER_LAB": str(LAB)}
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(command, stdin=quiet, stdout=self._log, stderr=self._log, env=environment)
        until = time.monotonic() + PATIENCE
        while self._process.poll() is None and time.monotonic() < until:
            if self._answers():
                return
            time.sleep(0.1)
        said = self.said()[-3000:]
        self.stop()
        pytest.fail(f"the machine does not boot:\n{said}")

    def _answers(self) -> bool:
        try:
            state = self.try_to("systemctl is-system-running --wait", timeout=30).stdout.decode().strip()
            return state in ("running", "degraded")
        except (OSError, subprocess.TimeoutExpired):
            return False


class Container(Machine):
    """systemd as process 1 in a container on this machine's kernel: no GPIO, no 1-wire, up in a second."""

    def __init__(self, root: str = "x86root") -> None:
        super().__init__()
        self._groups = [group / f"stoker-test-{os.getpid()}-{id(self)}" for group in _hierarchies()]
        for group in self._groups:
            group.mkdir()
        nspawn = f"exec {TOOL} systemd-nspawn -q -D {LAB / root} -M pi --boot --register=no --keep-unit"
        nspawn += " --private-network --volatile=overlay --link-journal=no --resolv-conf=off --timezone=off"
        nspawn += " systemd.show_status=0"
        joined = "".join(f"echo $$ >{group}/cgroup.procs; " for group in self._groups)
        hidden = "mount -t tmpfs t /run; export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1; "
        try:
            self._boot(["unshare", "--mount", "--propagation", "private", "bash", "-c", joined + hidden + nspawn])
        except BaseException:
            self.stop()
            raise

    def _command(self, command: str) -> list[str]:
        return ["nsenter", "--target", str(self._first()), "--all", "--root", "--", "/bin/sh", "-c", f"cd; {command}"]

    def _first(self) -> int:
        """The container's process 1, as this machine numbers it."""
        assert self._process
        for child in _descendants(self._process.pid):
            status = Path(f"/proc/{child}/status").read_text()
            numbers = next(line for line in status.splitlines() if line.startswith("NSpid")).split()[1:]
            if len(numbers) > 1 and numbers[-1] == "1":
                return child
        raise ProcessLookupError("not yet")

    def stop(self) -> None:
        """Kill everything in it, and remove its control groups."""
        assert self._process
        for pid in [*_descendants(self._process.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        super().stop()
        for top in self._groups:
            for group in [*sorted(top.rglob("*/"), reverse=True), top]:
                _remove_once_empty(group)


class _Emulated(Machine):
    """A machine that QEMU makes, spoken to with ssh."""

    def __init__(self, qemu: list[str], network: str) -> None:
        super().__init__()
        self._port = _free_port()
        self._scratch = tempfile.mkdtemp(prefix="stoker-ssh-")
        forward = f"user,id=n0,restrict=on,hostfwd=tcp:127.0.0.1:{self._port}-:22"
        self._boot([str(TOOL), *qemu, "-netdev", forward, "-device", network])

    def _command(self, command: str) -> list[str]:
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "ConnectTimeout=5"]
        options += ["ControlMaster=auto", "ControlPersist=yes", f"ControlPath={self._scratch}/%C"]  # one login for all
        login = ["ssh", "-i", str(LAB / "work/id"), "-p", str(self._port)]
        return [*login, *(f"-o{option}" for option in options), "root@127.0.0.1", command]

    def stop(self) -> None:
        """Switch it off, and end the login."""
        super().stop()
        for control in Path(self._scratch).iterdir():
            leave = ["ssh", "-O", "exit", f"-oControlPath={control}", "root@127.0.0.1"]
            subprocess.run(leave, check=False, capture_output=True)
        shutil.rmtree(self._scratch, ignore_errors=True)


_KERNEL = "rw loglevel=4 panic=-1 audit=0 selinux=0 apparmor=0 net.ifnames=0 systemd.show_status=0"


class X86(_Emulated):
    """A virtual machine with a simulated GPIO chip and a DS18B20 under the kernel's own driver."""

    slow = 2.0

    def __init__(self) -> None:
        work = LAB / "work"
        machine = "-nodefaults -no-reboot -display none -serial stdio -accel tcg,thread=multi -smp 2 -cpu max -m 768"
        qemu = ["qemu-system-x86_64", *machine.split(), "-M", "pc,hpet=off", "-device", "virtio-rng-pci"]
        qemu += ["-kernel", str(_kernel("amd64")), "-initrd", str(work / "x86.initrd")]
        qemu += ["-append", f"root=/dev/vda console=ttyS0 mitigations=off {_KERNEL}"]
        qemu += ["-drive", f"file={work / 'x86.ext4'},if=none,id=root,format=raw,snapshot=on,cache=unsafe"]
        super().__init__([*qemu, "-device", "virtio-blk-pci,drive=root"], "virtio-net-pci,netdev=n0,romfile=")


class RaspberryPi(_Emulated):
    """An emulated Pi 3B, kernel 6.12: what an output was driven to stays when its process dies."""

    slow = 6.0

    def __init__(self) -> None:
        work = LAB / "work"
        machine = "-M raspi3b -accel tcg,thread=multi -nodefaults -no-reboot -display none -serial stdio"
        qemu = ["qemu-system-aarch64", *machine.split(), "-kernel", str(_kernel("arm64"))]
        qemu += ["-initrd", str(work / "pi.initrd"), "-dtb", str(work / "pi.dtb")]
        persist = "pinctrl_bcm2835.persist_gpio_outputs=1"  # as on Raspberry Pi OS
        qemu += ["-append", f"root=/dev/mmcblk0 console=ttyAMA0,115200 {persist} {_KERNEL}"]
        qemu += ["-drive", f"file={work / 'pi.ext4'},if=sd,format=raw,snapshot=on,cache=unsafe"]
        super().__init__(qemu, "usb-net,netdev=n0")


def why_not(what: str) -> str:
    """Why the machines cannot be booted here, or nothing. `what`: base, noble or pi, as `lab/build` calls them."""
    if os.geteuid():
        return "needs root"
    if not shutil.which("ssh"):
        return "needs ssh: sudo apt install openssh-client"
    if not (LAB / f"{what}.built").exists():
        return f"not built in {LAB}: tests/system/lab/build {what}"
    return ""


def _kernel(arch: str) -> Path:
    return next((LAB / "k" / arch / "boot").glob("vmlinuz-*"))


def _hierarchies() -> list[Path]:
    """Where control groups are made: the one tree, or the two of a hybrid one."""
    top = Path("/sys/fs/cgroup")
    return [tree for tree in (top / "unified", top / "systemd") if tree.is_dir()] or [top]


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    waiting = [pid]
    while waiting:
        children = Path(f"/proc/{waiting[0]}/task/{waiting.pop(0)}/children")
        if children.exists():
            new = [int(child) for child in children.read_text().split()]
            found += new
            waiting += new
    return found


def _remove_once_empty(group: Path) -> None:
    """A control group is busy until the last of its processes is gone."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return group.rmdir()
        except FileNotFoundError:
            return None
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
