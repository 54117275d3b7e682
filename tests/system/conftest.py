"""What the system tests are made of: the package, machines with it installed, and a device that is heating."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from system.device import Device
from system.machines import X86, Container, Machine, RaspberryPi, why_not

ROOT = Path(__file__).parents[2]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All in this folder wait for `make test-system`."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("system")


MakeContainer = Callable[..., Container]


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], bytes]:
    """Build the package for an architecture, once."""
    folder = tmp_path_factory.mktemp("packages")
    built: dict[str, bytes] = {}

    def build(arch: str = "amd64") -> bytes:
        if arch not in built:
            command = [sys.executable, str(ROOT / "packaging/deb.py"), "--output", str(folder), arch]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            built[arch] = Path(done.stdout.strip().splitlines()[-1]).read_bytes()
        return built[arch]

    return build


@pytest.fixture
def container(package: Callable[[str], bytes]) -> Iterator[MakeContainer]:
    """Boot containers, each with the package lying in /root."""
    with ExitStack() as stack:

        def boot(root: str = "x86root") -> Container:
            if reason := why_not("noble" if root == "noble" else "base"):
                pytest.skip(reason)
            machine = Container(root)
            stack.callback(machine.stop)
            machine.put(package("amd64"), "/root/stoker.deb")
            return machine

        yield boot


@pytest.fixture(scope="session")
def x86(package: Callable[[str], bytes]) -> Iterator[Machine]:
    """The virtual machine, with the package installed, a chip and a thermometer."""
    if reason := why_not("base"):
        pytest.skip(reason)
    machine = X86()
    try:
        machine.put(package("amd64"), "/root/stoker.deb")
        machine.run("apt-get install -q -y ./stoker.deb 2>&1")
        machine.run("gpio-sim-up 54")
        yield machine
    finally:
        machine.stop()


@pytest.fixture(scope="session")
def raspberry_pi(package: Callable[[str], bytes]) -> Iterator[Machine]:
    """The emulated Pi, with the package installed."""
    if reason := why_not("pi"):
        pytest.skip(reason)
    machine = RaspberryPi()
    try:
        machine.put(package("arm64"), "/root/stoker.deb")
        machine.run("apt-get install -q -y ./stoker.deb 2>&1", timeout=600)
        yield machine
    finally:
        machine.stop()


@pytest.fixture
def device(x86: Machine) -> Iterator[Device]:
    """A device in the virtual machine whose room is cold, so that it heats."""
    one = Device(x86)
    try:
        yield one
    finally:
        one.end()
