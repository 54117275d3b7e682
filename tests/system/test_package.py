"""The package on a real Debian or Ubuntu with a real systemd: one step installs it, an upgrade keeps what was changed,
a purge leaves nothing behind."""

import pytest

from system.conftest import MakeContainer
from system.machines import Machine

EVERYWHERE = pytest.mark.parametrize(
    "root", ["x86root", "trixie", "noble"], ids=["debian-12", "debian-13", "ubuntu-24.04"]
)

MOCK = """\
[mqtt]
host = "localhost"
[thermometers.inside]
driver = "mock"
interval = "1s"
start = 15.0
[heaters.radiator]
driver = "mock"
log = "/var/lib/stoker/relay"
min_on = 0
min_off = 0
[zones.room]
thermometer = "inside"
heater = "radiator"
"""

RELAY = 'test "$(tail -c 1 /var/lib/stoker/relay)" = {}'  # the mock relay's log ends with its level

TRACES = "/etc /var /usr /run /lib/systemd"


def install(machine: Machine) -> str:
    return machine.run("DEBIAN_FRONTEND=noninteractive apt-get install -q -y /root/stoker.deb 2>&1")


def heating(machine: Machine) -> None:
    """The service with a mock room that is cold."""
    machine.put(MOCK, "/etc/stoker/stoker.toml")
    machine.run("systemctl start stoker")
    machine.wait_for(RELAY.format(1))


@EVERYWHERE
def test_one_step_installs_it(container: MakeContainer, root: str) -> None:
    machine = container(root)
    assert "stoker has no configuration yet. To be asked for one: sudo stoker setup" in install(machine)
    assert machine.run("stoker --version").startswith("stoker 0.")
    assert machine.run("stat -c '%U %a' /var/lib/stoker") == "stoker 700"
    assert machine.run("systemctl is-enabled stoker") == "enabled"
    assert machine.run("systemctl is-failed stoker; true") == "inactive", "without a configuration nothing fails"
    heating(machine)
    assert "heating to 20" in machine.run("systemctl show -p StatusText --value stoker")


@EVERYWHERE
def test_nothing_of_the_systems_python_is_touched(container: MakeContainer, root: str) -> None:
    machine = container(root)
    machine.run("touch /root/before")
    install(machine)
    assert (
        machine.run("find /usr/lib/python3* /usr/local -newer /root/before -type f | grep -v __pycache__; true") == ""
    )
    assert "No module named" in machine.try_to("python3 -c 'import stoker'").stderr.decode()


def test_an_upgrade_keeps_what_was_changed_and_goes_on(container: MakeContainer) -> None:
    machine = container()
    install(machine)
    heating(machine)
    machine.run("dpkg-deb -R stoker.deb new && sed -i 's/^Version.*/Version: 99.0/' new/DEBIAN/control")
    machine.run("dpkg-deb --build new newer.deb >/dev/null && apt-get install -q -y ./newer.deb 2>&1")
    assert machine.run("cat /etc/stoker/stoker.toml") == MOCK.strip()
    machine.wait_for("systemctl is-active stoker")
    machine.wait_for(RELAY.format(1))


def test_a_removal_while_heating_ends_with_the_heater_off(container: MakeContainer) -> None:
    machine = container()
    install(machine)
    heating(machine)
    machine.run("apt-get remove -q -y stoker 2>&1")
    assert machine.run("tail -c 1 /var/lib/stoker/relay") == "0"
    assert machine.run("cat /etc/stoker/stoker.toml") == MOCK.strip(), "a removal keeps it, a purge does not"


@EVERYWHERE
def test_a_purge_leaves_nothing_behind(container: MakeContainer, root: str) -> None:
    machine = container(root)
    everything = f"find {TRACES} -iname '*stoker*' | sort; getent passwd stoker; getent group stoker gpio; true"
    before = machine.run(everything)
    install(machine)
    heating(machine)
    machine.put("hunter2\n", "/etc/credstore/stoker.mqtt.password", "600")
    assert machine.run(everything) != before
    machine.run("apt-get purge -q -y stoker 2>&1")
    left = set(machine.run(everything).splitlines()) - set(before.splitlines())
    assert {line for line in left if not line.startswith(("/run/systemd", "/var/log", "/var/cache/apt"))} == set()


def test_setup_writes_a_configuration_and_starts_the_service(container: MakeContainer) -> None:
    machine = container()
    install(machine)
    machine.put("hunter2\n", "/root/password", "600")
    said = machine.run(
        "stoker setup --yes --sensor mock --broker localhost --user shed --password-file /root/password 2>&1"
    )
    assert "the service runs" in said
    assert machine.run("systemctl is-active stoker") == "active"
    assert machine.run("stat -c '%U:%G %a' /etc/stoker/stoker.toml") == "root:stoker 640"
    assert machine.run("stat -c '%U:%G %a' /etc/credstore/stoker.mqtt.password") == "root:root 600"
    assert "hunter2" not in said + machine.run("journalctl --no-pager; cat /etc/stoker/stoker.toml")
    refused = machine.try_to("stoker setup --yes --sensor mock --broker localhost")
    assert (
        refused.stderr.decode().strip()
        == "/etc/stoker/stoker.toml is there already; --force keeps it beside the new one"
    )
