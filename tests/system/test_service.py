"""The unit under a real systemd: when it is ready, what it tells a person, how it is watched, and what it may do."""

import pytest

from system.conftest import MakeContainer
from system.machines import Machine
from system.test_package import EVERYWHERE, MOCK, RELAY, heating, install


@pytest.fixture
def machine(container: MakeContainer) -> Machine:
    """A container with stoker installed."""
    one = container()
    install(one)
    return one


def shown(machine: Machine, name: str) -> str:
    return machine.run(f"systemctl show -p {name} --value stoker")


def test_ready_comes_with_the_first_reading(machine: Machine) -> None:
    """`systemctl start` waits for it."""
    machine.put(MOCK, "/etc/stoker/stoker.toml")
    machine.run("systemctl start stoker")
    assert shown(machine, "StatusText").startswith("room 15.")


def test_a_wrong_configuration_is_told_in_the_journal_and_tried_again(machine: Machine) -> None:
    machine.put(MOCK.replace("driver", "drivel", 1), "/etc/stoker/stoker.toml")
    machine.try_to("systemctl start stoker")
    machine.wait_for("journalctl -u stoker --no-pager | grep -q 'stoker.toml:3: thermometers.inside.driver: missing'")
    machine.put(MOCK, "/etc/stoker/stoker.toml")
    machine.wait_for("systemctl is-active stoker")
    assert "Traceback" not in machine.run("journalctl -u stoker --no-pager")


def test_a_daemon_that_hangs_is_killed_and_started_again(machine: Machine) -> None:
    heating(machine)
    machine.run("systemctl kill --kill-who=main --signal=STOP stoker")
    machine.wait_for(RELAY.format(0), within=30)
    machine.wait_for(RELAY.format(1))
    assert "watchdog" in machine.run("journalctl -u stoker --no-pager").lower()


def test_it_is_started_again_for_ever(machine: Machine) -> None:
    """Seven deaths in a row are no reason to give up, but not to heat for a while."""
    machine.run("mkdir -p /run/systemd/system/stoker.service.d")
    machine.put("[Service]\nRestartSec=0\n", "/run/systemd/system/stoker.service.d/quick.conf")
    machine.run("systemctl daemon-reload")
    heating(machine)
    for number in range(7):
        machine.run("systemctl kill --kill-who=main --signal=KILL stoker")
        machine.wait_for(f"test $(systemctl show -p NRestarts --value stoker) -gt {number}")
        machine.wait_for("systemctl is-active stoker")
    machine.wait_for("journalctl -u stoker --no-pager | grep -q too-many-restarts")
    assert machine.run("tail -c 1 /var/lib/stoker/relay") == "0"


@EVERYWHERE
def test_a_reload_reads_the_configuration_anew(container: MakeContainer, root: str) -> None:
    """Where systemd can wait for its end, the new configuration stands when `systemctl reload` returns."""
    machine = container(root)
    install(machine)
    heating(machine)
    pid = shown(machine, "MainPID")
    for target in (18, 19, 17):
        machine.put(f"{MOCK}target = {target}\n", "/etc/stoker/stoker.toml")
        status = machine.run("systemctl reload stoker && systemctl show -p StatusText --value stoker")
        if root == "x86root":  # systemd 252
            machine.wait_for(f"systemctl show -p StatusText --value stoker | grep -q 'heating to {target}'")
        else:
            assert f"heating to {target}" in status
    assert shown(machine, "MainPID") == pid
    assert shown(machine, "Type") == ("notify" if root == "x86root" else "notify-reload")
    machine.run("apt-get remove -q -y stoker 2>&1")
    assert machine.run("find /usr/lib/systemd /etc/systemd -path '*stoker.service.d*'") == ""


def test_a_systemd_that_became_newer_than_the_installation_reloads_as_before(container: MakeContainer) -> None:
    """The unit alone is right for every systemd."""
    machine = container("trixie")
    install(machine)
    machine.run("rm -r /usr/lib/systemd/system/stoker.service.d; systemctl daemon-reload")
    heating(machine)
    machine.put(f"{MOCK}target = 18\n", "/etc/stoker/stoker.toml")
    machine.run("systemctl reload stoker")
    machine.wait_for("systemctl show -p StatusText --value stoker | grep -q 'heating to 18'")


def test_the_journal_finds_a_zone_and_a_reason(machine: Machine) -> None:
    heating(machine)
    fields = "-o json --output-fields=ZONE,REASON,PRIORITY,TEMPERATURE"
    line = machine.run(f"journalctl -u stoker ZONE=room REASON=below-target {fields} -n 1")
    assert '"PRIORITY":"6"' in line
    assert '"TEMPERATURE":"15.' in line


def test_the_password_is_a_credential(machine: Machine) -> None:
    """Root's alone on the disk; the service may read it, and nobody sees it in a log."""
    machine.put("hunter2\n", "/etc/credstore/stoker.mqtt.password", "600")
    machine.put(MOCK.replace("[thermometers", 'username = "shed"\n[thermometers', 1), "/etc/stoker/stoker.toml")
    machine.run("systemctl start stoker")
    assert "without a password" not in machine.run("journalctl -u stoker --no-pager")
    assert "hunter2" not in machine.run("journalctl --no-pager; systemctl show stoker")


@EVERYWHERE
def test_what_it_may_do_is_narrow(container: MakeContainer, root: str) -> None:
    machine = container(root)
    install(machine)
    exposure = machine.run("systemd-analyze security stoker --no-pager | grep Overall")
    assert float(exposure.split(":")[1].split()[0]) <= 1.5, exposure


def whether_the_clock_is_right(machine: Machine, more: str = "") -> str:
    """What a program sees that may do what the service may, and `more`."""
    looks = "import sys; sys.path[:0] = ['/usr/lib/stoker']; from stoker.clock import known; print(known())"
    drop_in = f"[Service]\n{more}\nType=oneshot\nRestart=no\nExecStartPre=\nExecStopPost=\nExecStart=\n"
    machine.put(machine.run("cat /lib/systemd/system/stoker.service"), "/run/systemd/system/looker.service")
    machine.put(f'{drop_in}ExecStart=python3 -c "{looks}"\n', "/run/systemd/system/looker.service.d/looks.conf")
    machine.run("systemctl daemon-reload; systemctl start looker")
    return machine.run("journalctl -u looker -o cat --no-pager -t python3 -n 1")


def test_it_sees_whether_the_clock_is_right(machine: Machine) -> None:
    """The sandbox must not hide it: then a schedule would run by a clock that guesses."""
    machine.put(MOCK, "/etc/stoker/stoker.toml")
    machine.run("systemctl stop systemd-timesyncd || true; mkdir -p /run/systemd/timesync")
    machine.run("rm -f /run/systemd/timesync/synchronized")
    assert whether_the_clock_is_right(machine) == "False"
    machine.run("touch /run/systemd/timesync/synchronized")
    assert whether_the_clock_is_right(machine) == "True"


def test_another_keeper_of_the_time_is_seen_where_the_unit_was_told_of_it(x86: Machine) -> None:
    """The kernel knows what chrony did, and the service may ask it with the drop-in that the unit's comment gives."""
    x86.put(MOCK, "/etc/stoker/stoker.toml")
    told = "ProtectClock=no\nSystemCallFilter=@clock"
    x86.run("rm -rf /run/systemd/timesync")
    assert whether_the_clock_is_right(x86) == "None"
    assert whether_the_clock_is_right(x86, told) == "False"
    # struct timex: modes = ADJ_STATUS | ADJ_MAXERROR, no error, no status bit STA_UNSYNC
    as_chrony_does = "b = ctypes.create_string_buffer(struct.pack('@Iqqqqi', 20, 0, 0, 0, 0, 0), 512)"
    x86.run(f'python3 -c "import ctypes, struct; {as_chrony_does}; ctypes.CDLL(None).adjtimex(b)"')
    assert whether_the_clock_is_right(x86, told) == "True"
    x86.run("rm -r /etc/stoker/stoker.toml /run/systemd/system/looker.service*; systemctl daemon-reload")
