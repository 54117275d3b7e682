"""What a person sees who writes a configuration: defaults where all is well, and an exact line for each mistake."""

import math
import os
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from stoker.config import Config, ConfigError, Drivers, load, parse_seconds, show_seconds
from stoker.core.settings import Heater, Zone
from stoker_drivers import catalogue

BROKER = """\
[mqtt]
host = "localhost"
"""
INSIDE = """\
[thermometers.inside]
driver = "mock"
"""
ROOM = f"""\
{BROKER}
{INSIDE}
[heaters.radiator]
driver = "gpio"
pin = 17

[zones.room]
thermometer = "inside"
heater = "radiator"
"""
"""A complete configuration of 13 lines; what a test adds to [zones.room] begins with line 14."""

SPAN = 'as a number of seconds or text such as "500ms", "10s", "5min", "4h", "2d"'


@pytest.fixture(autouse=True)
def no_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STATE_DIRECTORY", "CREDENTIALS_DIRECTORY", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)


class Desk:
    """A folder with a `stoker.toml` and perhaps a `conf.d`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "stoker.toml"

    def write(self, text: str | bytes, **conf_d: str) -> None:
        self.file.write_bytes(text if isinstance(text, bytes) else text.encode())
        for name, more in conf_d.items():
            (self.folder / "conf.d").mkdir(exist_ok=True)
            (self.folder / "conf.d" / (name if "." in name else f"{name}.toml")).write_text(more)

    def load(self, text: str | bytes, **conf_d: str) -> Config:
        self.write(text, **conf_d)
        return load(self.file, DRIVERS)

    def problems(self, text: str | bytes, **conf_d: str) -> list[str]:
        """The lines that a user sees, the folder left out."""
        with pytest.raises(ConfigError) as caught:
            self.load(text, **conf_d)
        assert str(caught.value) == "\n".join(map(str, caught.value.problems))
        return [self.short(str(problem)) for problem in caught.value.problems]

    def warnings(self, text: str, **conf_d: str) -> list[str]:
        return [self.short(warning) for warning in self.load(text, **conf_d).warnings]

    def short(self, line: str) -> str:
        return line.replace(f"{self.folder}/", "")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


class OthersOptions(Struct, frozen=True, kw_only=True):
    """What a driver from another package may ask for."""

    weights: list[float] = []
    channel: Annotated[int, Meta(gt=0)] = 1
    key: str | int = ""
    api_token: str = ""


def thermometer_options(name: str) -> type[Struct]:
    if name == "others":
        return OthersOptions
    if name == "broken":
        raise ImportError("the package thermo-x\ncannot be loaded")
    return catalogue.thermometer(name).Options


DRIVERS = Drivers(thermometer_options, lambda name: catalogue.heater(name).Options)


# --- all is well ------------------------------------------------------------------------------------------------------


def test_what_is_not_said_has_its_default(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/stoker:/var/lib/other")
    config = desk.load(ROOM)
    host = config.core.device
    assert host
    assert host in os.uname().nodename
    assert config.core.base == f"stoker/{host}"
    assert config.core.zones == {"room": Zone(thermometer="inside", heater="radiator")}
    assert config.core.thermometers["inside"].publish == "TEMPERATURE"
    assert config.thermometers["inside"].options == catalogue.thermometer("mock").Options()
    assert config.heaters["radiator"].options == catalogue.heater("gpio").Options(pin=17)
    assert config.mqtt.address == ("localhost", 8883)
    assert config.mqtt.tls.enabled
    assert config.state_dir == Path("/var/lib/stoker")
    assert config.files == (desk.file,)
    assert config.warnings == ()


def test_what_is_said_counts(desk: Desk) -> None:
    config = desk.load(f"""
        [device]
        id = "shed.north"
        state_dir = "/srv/stoker"
        {BROKER}
        base = "heat/north"
        keepalive = "1min"
        tls.enabled = false
        {INSIDE}
        interval = 5
        publish = "shed/temperature"
        [topics]
        state = "{{base}}/{{device}}/all"
    """)
    assert (config.core.device, config.core.base) == ("shed.north", "heat/north")
    assert config.state_dir == Path("/srv/stoker")
    assert config.mqtt.keepalive == 60.0
    assert config.mqtt.address == ("localhost", 1883)
    assert config.core.thermometers["inside"].interval == 5.0
    assert config.core.thermometers["inside"].publish == "shed/temperature"
    assert config.core.topics.state == "{base}/{device}/all"
    assert config.core.zones == {}


def test_several_thermometers_each_have_their_topic_and_a_remote_one_is_not_said_again(desk: Desk) -> None:
    def topics(*more: str) -> dict[str, str]:
        config = desk.load("\n".join([BROKER, INSIDE, *more]))
        return {name: thermometer.publish for name, thermometer in config.core.thermometers.items()}

    remote = '[thermometers.garden]\ndriver = "remote"\ntopic = "garden/TEMPERATURE"'
    cellar = '[thermometers.cellar]\ndriver = "mock"'
    assert topics(remote) == {"inside": "TEMPERATURE", "garden": ""}
    assert topics(remote, 'publish = "GARDEN"') == {"inside": "TEMPERATURE", "garden": "GARDEN"}
    assert topics(cellar) == {"inside": "TEMPERATURE/inside", "cellar": "TEMPERATURE/cellar"}
    assert topics(cellar, 'publish = ""') == {"inside": "TEMPERATURE/inside", "cellar": ""}


def test_state_without_systemd_stands_in_the_users_own_folder(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    writable = os.access("/var/lib/stoker", os.W_OK)
    monkeypatch.setenv("HOME", "/home/somebody")
    expected = "/var/lib/stoker" if writable else "/home/somebody/.local/state/stoker"
    assert desk.load(ROOM).state_dir == Path(expected)
    monkeypatch.setenv("XDG_STATE_HOME", "/home/somebody/state")
    expected = "/var/lib/stoker" if writable else "/home/somebody/state/stoker"
    assert desk.load(ROOM).state_dir == Path(expected)


def test_a_file_in_conf_d_overrides_single_keys_and_the_last_one_wins(desk: Desk) -> None:
    config = desk.load(
        ROOM + "target = 19",
        **{
            "20-room": "zones.room.target = 22\n[heaters.radiator]\npin = 27\n",
            "30-room": "",
            "05-room": "",
            "25-room": "",
            "15-room": "",
            "10-room": "[zones.room]\ntarget = 21\nhysteresis = 1\n",
            "30-room.toml~": "this is an editor's copy",
            ".30-room.toml": "and so is this",
        },
    )
    assert (config.core.zones["room"].target, config.core.zones["room"].hysteresis) == (22.0, 1.0)
    assert config.heaters["radiator"].options == catalogue.heater("gpio").Options(pin=27)
    names = [file.stem for file in config.files]
    assert names == ["stoker", "05-room", "10-room", "15-room", "20-room", "25-room", "30-room"]


# --- mistakes ---------------------------------------------------------------------------------------------------------


def test_an_unknown_key(desk: Desk) -> None:
    allowed = ["cert_file", "ca_file"]
    (line,) = desk.problems(BROKER + INSIDE + "[mqtt.tls]\ncafile = 1")
    assert line.startswith("stoker.toml:6: mqtt.tls.cafile: unknown key; allowed: ")
    assert all(name in line for name in allowed)
    assert line.endswith('(did you mean "ca_file"?)')


def test_an_unknown_table(desk: Desk) -> None:
    assert desk.problems(ROOM + "[zone.bath]\ntarget = 20") == [
        "stoker.toml:14: zone: unknown key; allowed: backlog, device, heaters, metrics, mqtt, presence, thermometers, "
        'topics, zones (did you mean "zones"?)'
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            'target = "20"',
            'target: found "20"; allowed: a number -50 to 300 (setpoint until somebody orders otherwise, °C)',
        ),
        (
            "target = true",
            "target: found true; allowed: a number -50 to 300 (setpoint until somebody orders otherwise, °C)",
        ),
        (
            "hysteresis = nan",
            "hysteresis: found nan; allowed: a number 0 to 20 (width of the band around the target, K)",
        ),
        (
            "hysteresis = -inf",
            "hysteresis: found -inf; allowed: a number 0 to 20 (width of the band around the target, K)",
        ),
        (
            "hysteresis = 20.5",
            "hysteresis: found 20.5; allowed: a number 0 to 20 (width of the band around the target, K)",
        ),
        (
            "max_temperature = [35]",
            "max_temperature: found a list; allowed: a number -50 to 350 (never heats above this, °C)",
        ),
        (
            f"hysteresis = 0x{'f' * 5000}",
            "hysteresis: found a huge number; allowed: a number 0 to 20 (width of the band around the target, K)",
        ),
        (
            'mode = "heating"',
            'mode: found "heating"; allowed: "auto", "heat", "off" (what it does until somebody orders otherwise) '
            '(did you mean "heat"?)',
        ),
        (
            'order_hold = "2 hours"',
            f'order_hold: found "2 hours"; allowed: a span 1s to 7d, {SPAN} '
            "(how long an order by hand (heater ON, OFF) holds)",
        ),
        (
            'order_hold = "8d"',
            f'order_hold: found "8d"; allowed: a span 1s to 7d, {SPAN} '
            "(how long an order by hand (heater ON, OFF) holds)",
        ),
        (
            "order_hold = 07:30:00",
            f"order_hold: found a date or time; allowed: a span 1s to 7d, {SPAN} "
            "(how long an order by hand (heater ON, OFF) holds)",
        ),
    ],
)
def test_a_value_that_its_key_cannot_hold(desk: Desk, line: str, said: str) -> None:
    assert desk.problems(ROOM + line) == [f"stoker.toml:14: zones.room.{said}"]


def test_a_whole_number_and_a_choice(desk: Desk) -> None:
    assert desk.problems(f'{BROKER}port = "8883"\nprotocol = 5\n{INSIDE}') == [
        'stoker.toml:3: mqtt.port: found "8883"; allowed: a whole number 0 to 65535 (0: 8883 with TLS, 1883 without; '
        "websockets: 443, 80)",
        'stoker.toml:4: mqtt.protocol: found 5; allowed: "3.1.1", "5", "auto" '
        '(auto: 5, and 3.1.1 where that is refused) (did you mean "5"?)',
    ]


@pytest.mark.parametrize(
    "host", ["mqtts://example.org", "example.org:0", "[::1]:65536", "a:b:x", "", "two words", "example.org\\n"]
)
@pytest.mark.parametrize("form", ['"{}"', '["example.org", "{}"]'], ids=["one", "among several"])
def test_a_host_is_a_name_or_an_address(desk: Desk, host: str, form: str) -> None:
    assert desk.problems(f"[mqtt]\nhost = {form.format(host)}\n{INSIDE}") == [
        f'stoker.toml:2: mqtt.host: host "{host}" is none; allowed: a name or address, without mqtts://, or name:port'
    ]


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("example.org", ("example.org", 8883)),
        ("example.org:443", ("example.org", 443)),
        ("192.168.1.5", ("192.168.1.5", 8883)),
        ("::1", ("::1", 8883)),
        ("[::1]", ("::1", 8883)),
        ("[fe80::1%eth0]:1884", ("fe80::1%eth0", 1884)),
        ("my_broker", ("my_broker", 8883)),
    ],
)
def test_every_kind_of_host_is_allowed(desk: Desk, host: str, address: tuple[str, int]) -> None:
    assert desk.load(f'[mqtt]\nhost = "{host}"\n{INSIDE}').mqtt.address == address


def test_several_brokers_and_their_ports(desk: Desk) -> None:
    mqtt = desk.load(f'[mqtt]\nhost = ["a.example", "b.example:8883", "::1"]\nport = 1884\n{INSIDE}').mqtt
    assert [broker.address for broker in mqtt.brokers] == [("a.example", 1884), ("b.example", 8883), ("::1", 1884)]
    assert desk.problems(f"[mqtt]\nhost = []\n{INSIDE}") == [
        "stoker.toml:2: mqtt.host: host holds an empty list; allowed: a name or address, or several"
    ]
    assert desk.problems(f"[mqtt]\nhost = 7\n{INSIDE}") == [
        "stoker.toml:2: mqtt.host: found 7; allowed: text or a list, each text "
        "(the broker's name or address, without mqtts://, perhaps with :port; several: tried in turn)"
    ]


@pytest.mark.parametrize("transport", ["tcp", "websockets"])
def test_the_usual_port_of_each_way(desk: Desk, transport: str) -> None:
    text = f'{BROKER}transport = "{transport}"\n'
    found = [desk.load(text + more + INSIDE).mqtt.address[1] for more in ("", "[mqtt.tls]\nenabled = false\n")]
    assert found == ([8883, 1883] if transport == "tcp" else [443, 80])


@pytest.mark.parametrize(
    "proxy", ["socks5://shed:hunter2@proxy.example:1080", "hunter2", "socks4://a:1", "http://a", "http://a:b"]
)
def test_a_proxy_that_is_none_is_not_shown_since_a_password_may_stand_there(desk: Desk, proxy: str) -> None:
    assert desk.problems(f'{BROKER}proxy = "{proxy}"\n{INSIDE}') == [
        "stoker.toml:3: mqtt.proxy: proxy holds what is none (not shown here); "
        "allowed: socks5://host:1080, http://user@host:3128, the password in proxy_password_file"
    ]


def test_a_host_with_a_password_in_it_is_not_shown(desk: Desk) -> None:
    (line,) = desk.problems(f'[mqtt]\nhost = "mqtts://shed:hunter2@broker.example"\n{INSIDE}')
    assert "mqtt.host: host (not shown here) is none; " in line


@pytest.mark.parametrize("name", ["Host", "upgrade", "Sec-WebSocket-Key", "two words", "a:b", "x\\ny"])
def test_headers_that_are_not_the_users_to_set(desk: Desk, name: str) -> None:
    text = f'{BROKER}transport = "websockets"\n[mqtt.websocket.headers]\n"{name}" = "hunter2"\n{INSIDE}'
    (line,) = desk.problems(text)
    assert line.startswith("stoker.toml:4: mqtt.websocket.headers: headers ")
    assert line.endswith("may not be set; allowed: names such as Authorization")


@pytest.mark.parametrize(
    "value", ['"hunter2\\r\\nEvil: 1"', '"hunter2 \u20ac"', "{ file = 1 }", '{ path = "hunter2" }']
)
def test_a_header_that_http_does_not_take_is_not_shown(desk: Desk, value: str) -> None:
    text = f'{BROKER}transport = "websockets"\n[mqtt.websocket.headers]\nX-Key = {value}\n{INSIDE}'
    (line,) = desk.problems(text)
    assert ": mqtt.websocket.headers" in line
    assert "X-Key: " in line
    assert "hunter2" not in line


@pytest.mark.parametrize("value", ['["hunter2"]', "4711", "true"])
def test_a_header_that_is_no_text_is_named_and_not_shown(desk: Desk, value: str) -> None:
    text = f'{BROKER}transport = "websockets"\n[mqtt.websocket.headers]\nX-Key = {value}\n{INSIDE}'
    assert desk.problems(text) == [
        "stoker.toml:5: mqtt.websocket.headers.X-Key: found a value that is not shown here; "
        "allowed: text or { file = … }"
    ]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("mqtt?token=hunter2", 'path "mqtt" does not begin with /; allowed: such as "/mqtt"'),
        ("/my mqtt?token=hunter2", 'path "/my mqtt" holds what no URL holds as it is, such as a blank; allowed: %20'),
    ],
)
def test_a_path_is_shown_as_far_as_it_holds_no_token(desk: Desk, path: str, words: str) -> None:
    (line,) = desk.problems(f'{BROKER}transport = "websockets"\nwebsocket.path = "{path}"\n{INSIDE}')
    assert line.startswith(f"stoker.toml:4: mqtt.websocket.path: {words}")
    assert "hunter2" not in line


def test_a_zone_without_its_thermometer(desk: Desk) -> None:
    assert desk.problems(ROOM.replace('= "inside"', '= "insde"')) == [
        'stoker.toml:12: zones.room.thermometer: found "insde"; allowed: a table in [thermometers]: "inside" '
        '(did you mean "inside"?)'
    ]
    assert desk.problems(ROOM.replace('heater = "radiator"', "")) == [
        "stoker.toml:11: zones.room.heater: missing; allowed: text (name of a table in [heaters])"
    ]
    assert desk.problems(f'{BROKER}{INSIDE}[zones.room]\nthermometer = "inside"\nheater = "radiator"') == [
        'stoker.toml:7: zones.room.heater: found "radiator"; allowed: a table in [heaters]: none'
    ]


def test_two_heaters_on_one_pin(desk: Desk) -> None:
    assert desk.problems(ROOM + '[heaters.towels]\ndriver = "gpio"\npin = 17\nactive_high = false') == [
        "stoker.toml:16: heaters.towels.pin: found 17, two heaters on one pin; allowed: another than that of "
        "heaters.radiator"
    ]
    other_chip = '[heaters.towels]\ndriver = "gpio"\npin = 17\nchip = "pinctrl-other"'
    assert set(desk.load(ROOM + other_chip).heaters) == {"radiator", "towels"}


def test_two_zones_on_one_heater_are_a_boiler(desk: Desk) -> None:
    config = desk.load(ROOM + '[zones.bath]\nthermometer = "inside"\nheater = "radiator"')

    assert {zone.heater for zone in config.core.zones.values()} == {"radiator"}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("target = 31", "14: zones.room.target: found target 31; allowed: target_min 5 to target_max 30"),
        ("target_max = 15", "14: zones.room.target_max: found target 20; allowed: target_min 5 to target_max 15"),
        ("target_min = 22.5", "14: zones.room.target_min: found target 20; allowed: target_min 22.5 to target_max 30"),
        ("\ntarget_min = 31", "15: zones.room.target_min: found target_min 31; allowed: up to target_max 30"),
        ("target_max = 35", "14: zones.room.target_max: found target_max 35; allowed: below max_temperature 35"),
        (
            "max_temperature = 30",
            "14: zones.room.max_temperature: found target_max 30; allowed: below max_temperature 30",
        ),
        (
            "max_temperature = 85",
            "14: zones.room.max_temperature: found max_temperature 85; "
            "allowed: below thermometers.inside.maximum 85, or it is never seen",
        ),
    ],
)
def test_limits_that_contradict_each_other(desk: Desk, lines: str, said: str) -> None:
    assert desk.problems(ROOM + lines) == [f"stoker.toml:{said}"]


def test_limits_that_just_agree(desk: Desk) -> None:
    assert desk.warnings(ROOM + 'target_min = 20\ntarget_max = 40\nmax_temperature = 60\nstale_after = "30min"') == []


def test_a_thermometer_that_never_lets_too_hot_be_seen(desk: Desk) -> None:
    assert desk.problems(ROOM.replace('"mock"', '"mock"\nmaximum = 34')) == [
        "stoker.toml:6: thermometers.inside.maximum: found max_temperature 35; "
        "allowed: below thermometers.inside.maximum 34, or it is never seen"
    ]
    for minimum in (85, 90):
        assert desk.problems(f"{BROKER}{INSIDE}minimum = {minimum}") == [
            f"stoker.toml:5: thermometers.inside.minimum: found minimum {minimum}; allowed: below maximum 85"
        ]


def test_an_unknown_driver(desk: Desk) -> None:
    known = ", ".join(f'"{name}"' for name in catalogue.thermometers())
    assert desk.problems(ROOM.replace('"mock"', '"DS18B2O"\nid = "28-0316a2792c1e"')) == [
        f'stoker.toml:5: thermometers.inside.driver: found "DS18B2O"; allowed: {known} (did you mean "ds18b20"?)'
    ]
    assert desk.problems(ROOM.replace('driver = "mock"', "driver = 18")) == [
        f"stoker.toml:5: thermometers.inside.driver: found 18; allowed: {known}"
    ]
    assert desk.problems(ROOM.replace('driver = "mock"', "")) == [
        f"stoker.toml:4: thermometers.inside.driver: missing; allowed: {known}"
    ]


def test_an_unknown_option_of_a_driver(desk: Desk) -> None:
    own = ("active_high", "chip", "driver", "pin", "pin_factory")
    allowed = ", ".join(sorted((*own, *Heater.__struct_fields__)))
    assert desk.problems(ROOM.replace("pin = 17", "pin = 17\nactive_low = true")) == [
        f'stoker.toml:10: heaters.radiator.active_low: unknown key; allowed: {allowed} (did you mean "active_high"?)'
    ]


def test_a_rule_of_the_driver_itself(desk: Desk) -> None:
    assert desk.problems(f'{BROKER}[thermometers.far]\ntopic = "+/TEMPERATURE"\ndriver = "remote"') == [
        "stoker.toml:4: thermometers.far.topic: topic '+/TEMPERATURE' has a wildcard; "
        "a temperature comes from one topic"
    ]


def test_a_driver_of_another_package(desk: Desk) -> None:
    others = f'{BROKER}[thermometers.far]\ndriver = "others"\n'
    assert desk.load(others + "weights = [1, 2.5]").thermometers["far"].options == OthersOptions(weights=[1, 2.5])
    assert desk.problems(others + "weights = [1, nan]\nchannel = 0\nkey = 1.5\napi_token = 12345") == [
        "stoker.toml:5: thermometers.far.weights: found a list; allowed: a list, each a number",
        "stoker.toml:6: thermometers.far.channel: found 0; allowed: a whole number above 0",
        "stoker.toml:7: thermometers.far.key: found 1.5; allowed: text or a whole number",
        "stoker.toml:8: thermometers.far.api_token: found a value that is not shown here; allowed: text",
    ]
    assert desk.problems(others.replace("others", "broken")) == [
        'stoker.toml:4: thermometers.far.driver: found "broken": the package thermo-x cannot be loaded'
    ]


def test_a_password_does_not_stand_in_the_file_and_is_never_shown(desk: Desk) -> None:
    lines = desk.problems(f'{BROKER}username = "shed"\npassword = "hunter2"\npassword_file = ["hunter2"]\n{INSIDE}')
    assert lines == [
        "stoker.toml:4: mqtt.password: unknown key; allowed: the password in a file of its own, named by password_file",
        "stoker.toml:5: mqtt.password_file: found a value that is not shown here; allowed: text "
        "(file with the password; relative: a systemd credential; empty: credential mqtt.password)",
    ]


def test_what_is_missing_altogether(desk: Desk) -> None:
    host = (
        "missing; allowed: text or a list, each text "
        "(the broker's name or address, without mqtts://, perhaps with :port; several: tried in turn)"
    )
    thermometers = "thermometers: missing; allowed: at least one table [thermometers.NAME]"
    assert desk.problems("") == [f"stoker.toml: mqtt.host: {host}", f"stoker.toml: {thermometers}"]
    assert desk.problems(f"[mqtt]\nport = 1\n[mqtt.tls]\n{INSIDE}") == [f"stoker.toml:1: mqtt.host: {host}"]
    assert desk.problems("# only words\n[mqtt]\nport = 1\n[thermometers]\n") == [
        f"stoker.toml:2: mqtt.host: {host}",
        f"stoker.toml:4: {thermometers}",
    ]


def test_a_table_that_is_none(desk: Desk) -> None:
    assert desk.problems(f"zones = 5\n[[device]]\n{BROKER}tls = false\n[thermometers]\ninside = 20") == [
        "stoker.toml:1: zones: found 5; allowed: a table [zones]",
        "stoker.toml:2: device: found a list; allowed: a table [device]",
        "stoker.toml:5: mqtt.tls: found false; allowed: a table [mqtt.tls]",
        "stoker.toml:7: thermometers.inside: found 20; allowed: a table [thermometers.inside]",
    ]


def test_names_go_into_topics(desk: Desk) -> None:
    rule = "letters, digits, - and _, at most 64"
    text = (
        f'[device]\nid = "a/b"\n{BROKER}[thermometers."my room"]\ndriver = "mock"\n[zones.""]\n[heaters."\\u001bx"]\n'
    )
    assert desk.problems(text) == [
        'stoker.toml:2: device.id: found "a/b"; allowed: letters, digits, -, _ and dots, at most 64',
        f'stoker.toml:5: thermometers."my room": found the name "my room"; allowed: {rule}',
        f'stoker.toml:7: zones."": found the name ""; allowed: {rule}',
        f'stoker.toml:8: heaters."\\x1bx": found the name "\\x1bx"; allowed: {rule}',
    ]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            '[topics]\nmode = "{base}/mode"\n[zones.bath]\nthermometer = "inside"\nheater = "towels"\n'
            '[heaters.towels]\ndriver = "mock"',
            '15: topics.mode: found "{base}/mode" for more than one zone; allowed: a topic with {zone}',
        ),
        (
            '[topics]\nstate = "{base}/event"',
            '15: topics.state: found the topic "stoker/shed/event", which is that of topics.event too; '
            "allowed: one of its own",
        ),
        (
            '[topics]\nmode_set = "{base}/{zone}/mode"',
            '15: topics.mode_set: found the topic "stoker/shed/room/mode", which is that of topics.mode too; '
            "allowed: one of its own",
        ),
        (
            '[thermometers.b]\ndriver = "mock"\npublish = "stoker/shed/state"',
            '16: thermometers.b.publish: found the topic "stoker/shed/state", which is that of topics.state too; '
            "allowed: one of its own",
        ),
        (
            '[thermometers.far]\ndriver = "remote"\ntopic = "TEMPERATURE"',
            '16: thermometers.far.topic: found the topic "TEMPERATURE", which is that of '
            "thermometers.inside.publish too; allowed: one of its own",
        ),
        (
            '[topics]\nevent = "{zone}/event"',
            '15: topics.event: found "{zone}/event"; allowed in braces: {base}, {device}',
        ),
        (
            '[topics]\nmode = "{room}/mode"',
            '15: topics.mode: found "{room}/mode"; allowed in braces: {base}, {device}, {zone}',
        ),
        (
            '[topics]\nmode = "+/{zone}/mode"',
            '15: topics.mode: found "+/{zone}/mode"; '
            "allowed: an MQTT topic: 1 to 65535 bytes, printable, without + and #, no $ in front",
        ),
        (
            '[topics]\nmode = "$SYS/{zone}"',
            '15: topics.mode: found "$SYS/{zone}"; '
            "allowed: an MQTT topic: 1 to 65535 bytes, printable, without + and #, no $ in front",
        ),
        (
            '[topics]\nmode = ""',
            '15: topics.mode: found ""; '
            "allowed: an MQTT topic: 1 to 65535 bytes, printable, without + and #, no $ in front",
        ),
        (
            '[thermometers.b]\ndriver = "mock"\npublish = "{base}/b"',
            '16: thermometers.b.publish: found "{base}/b"; allowed in braces: none',
        ),
    ],
)
def test_topics_that_cannot_work(desk: Desk, more: str, said: str) -> None:
    (line,) = desk.problems(ROOM + more, device='[device]\nid = "shed"')
    assert line == f"stoker.toml:{said}"


def test_topics_that_only_collide_through_their_base(desk: Desk) -> None:
    more = '[thermometers.state]\ndriver = "mock"\n'
    assert desk.problems(f'{BROKER}base = "TEMPERATURE"\n{INSIDE}{more}') == [
        'stoker.toml:3: mqtt.base: found the topic "TEMPERATURE/state", which is that of topics.state too; '
        "allowed: one of its own"
    ]


def test_a_topic_that_gets_too_long(desk: Desk) -> None:
    assert desk.problems(f'{BROKER}base = "{"a/" * 32_767}"\n{INSIDE}') == [
        f'stoker.toml:3: mqtt.base: found "{"a/" * 30}…"; '
        "allowed: an MQTT topic: 1 to 65535 bytes, printable, without + and #, no $ in front"
    ]


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_file_that_is_not_there(desk: Desk) -> None:
    with pytest.raises(ConfigError) as caught:
        load(desk.file, DRIVERS)
    hint = "another one is named with --config FILE"
    assert str(caught.value) == f"{desk.file}: cannot be read: No such file or directory; {hint}"


def test_files_that_cannot_be_read(desk: Desk) -> None:
    (desk.folder / "conf.d" / "10.toml").mkdir(parents=True)
    assert desk.problems(ROOM) == ["conf.d/10.toml: cannot be read: Is a directory"]
    with pytest.raises(ConfigError) as caught:
        load(desk.folder, DRIVERS)
    assert str(caught.value) == f"{desk.folder}: cannot be read: Is a directory"


def test_a_conf_d_that_cannot_be_read(desk: Desk) -> None:
    (desk.folder / "conf.d").symlink_to("conf.d")
    assert desk.problems(ROOM) == ["conf.d: cannot be read: Too many levels of symbolic links"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[mqtt]\nhost = localhost\nport = "', "2: not TOML: Invalid value, column 8"),
        ("[mqtt\n", "1: not TOML: Expected ']' at the end of a table declaration, column 6"),
        ("[mqtt]\nports = [1,\n", "3: not TOML: Invalid value, end of document"),
        ("a = 1\na = 2\n", "2: not TOML: Cannot overwrite a value, column 6"),
        (b"[mqtt]\n# caf\xe9\n", "2: not UTF-8 text; allowed: a text file saved as UTF-8"),
    ],
)
def test_a_file_that_is_not_toml(desk: Desk, text: str | bytes, said: str) -> None:
    assert desk.problems(text) == [f"stoker.toml:{said}"]


def test_a_file_nested_too_deeply(desk: Desk) -> None:
    (line,) = desk.problems("a = " + "[" * 10_000)
    assert line.startswith("stoker.toml")
    assert "not TOML: " in line
    deep = ".".join("a" * 5_000)
    assert desk.problems(f"{BROKER}{INSIDE}[{deep}]\nb = 1") == [
        "stoker.toml:5: a: unknown key; allowed: backlog, device, heaters, metrics, mqtt, presence, thermometers, "
        "topics, zones"
    ]


def test_a_problem_names_the_file_in_which_the_value_stands(desk: Desk) -> None:
    lines = desk.problems(
        ROOM + "target = 31",
        a="# calm\n\n[zones.room]\ntarget = 32\n[heaters.towels]\ndriver = 'gpio'\npin = 17",
        b="[zones.room]\nmode = 'on'\n\n[mqtt]\nports = 1",
    )
    assert [line.partition(": found")[0].partition(": unknown")[0] for line in lines] == [
        "conf.d/a.toml:7: heaters.towels.pin",
        "conf.d/b.toml:2: zones.room.mode",
        "conf.d/b.toml:5: mqtt.ports",
    ]
    assert desk.problems(ROOM + "target = 31", a="# calm\n\n[zones.room]\ntarget = 32\n", b="") == [
        "conf.d/a.toml:4: zones.room.target: found target 32; allowed: target_min 5 to target_max 30"
    ]


def test_a_file_that_makes_another_things_of_a_table(desk: Desk) -> None:
    assert desk.problems(ROOM, a="zones = 1") == ["conf.d/a.toml:1: zones: found 1; allowed: a table [zones]"]
    assert desk.load("zones = 1\n" + BROKER + INSIDE, a="[zones]").core.zones == {}


def test_every_broken_file_is_named(desk: Desk) -> None:
    assert desk.problems("a = ", a="b = ", c="fine = 1") == [
        "stoker.toml:1: not TOML: Invalid value, end of document",
        "conf.d/a.toml:1: not TOML: Invalid value, end of document",
    ]


def test_several_problems_come_in_the_order_of_the_file(desk: Desk) -> None:
    text = ROOM.replace("pin = 17", "pin = 99\nbin = 1").replace('"localhost"', "1")
    lines = desk.problems(text + 'target = "warm"\nmode = "cool"')
    assert [line.split(": ")[:2] for line in lines] == [
        ["stoker.toml:2", "mqtt.host"],
        ["stoker.toml:9", "heaters.radiator.pin"],
        ["stoker.toml:10", "heaters.radiator.bin"],
        ["stoker.toml:15", "zones.room.target"],
        ["stoker.toml:16", "zones.room.mode"],
    ]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("\n\nmqtt.x = 1", "3: mqtt.x"),
        ("mqtt = { host = 'h', x = 1 }", "1: mqtt.x"),
        ("[mqtt] # of ours\n# more\n\nx = [\n  1,\n  # two\n  2,\n]", "4: mqtt.x"),
        ('[mqtt]\nx = """\n[mqtt]\nx = 1\n# """\nhost = "h"', "2: mqtt.x"),
        ("[mqtt]\nhost = '''h'''\n'x' = 1", "3: mqtt.x"),
        ('["mqtt"]\n"x y" = 1', '2: mqtt."x y"'),
        (" [ mqtt . tls ] \n\n  x = 1", "3: mqtt.tls.x"),
        ("[mqtt.tls]\n[mqtt]\nx=1", "3: mqtt.x"),
        ("[[mqtt]]\nx = 1", "1: mqtt"),
        ("[device]\r\nid = 'a'\r\n[mqtt]\r\nx = 1\r\n", "4: mqtt.x"),
        ("\ufeff[mqtt]\nx = 1", "2: mqtt.x"),
    ],
)
def test_the_line_is_that_of_the_statement(desk: Desk, text: str, place: str) -> None:
    assert f"stoker.toml:{place}" in [": ".join(line.split(": ")[:2]) for line in desk.problems(text)]


# --- legal, and dangerous ---------------------------------------------------------------------------------------------


def test_tls_off_is_worth_a_warning_unless_it_stays_on_this_computer(desk: Desk) -> None:
    off = "[mqtt.tls]\nenabled = false\n"
    assert desk.warnings(f'[mqtt]\nhost = "192.168.1.5"\n{off}{INSIDE}') == [
        "stoker.toml:4: mqtt.tls.enabled: TLS is off: everybody on the way can read the password and give orders"
    ]
    for host in ("localhost", "127.0.0.1", "::1"):
        assert desk.warnings(f'[mqtt]\nhost = "{host}"\n{off}{INSIDE}') == []


def test_figures_for_everybody_are_worth_a_warning(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    config = desk.load(BROKER + INSIDE + '[metrics]\nport = 9101\naddress = "::1"')
    assert (config.metrics.port, config.metrics.address, config.warnings) == (9101, "::1", ())
    everybody = BROKER + INSIDE + '[metrics]\nport = 9101\naddress = "0.0.0.0"'
    assert [warning.partition(": ")[2] for warning in desk.warnings(everybody)] == [
        "metrics.address: everybody who reaches this address can read the figures, and nothing is encrypted"
    ]
    assert desk.warnings(everybody.replace("9101", "0")) == []
    monkeypatch.setattr("stoker.config.check.find_spec", lambda _name: None)
    (warning,) = desk.warnings(BROKER + INSIDE + "[metrics]\nport = 9101")
    assert warning.endswith("is missing: install stoker[metrics], or Debian's python3-prometheus-client")


def test_how_often_it_says_that_it_lives(desk: Desk) -> None:
    assert desk.load(ROOM).core.alive_every == 60
    assert desk.load(ROOM.replace("[mqtt]", '[mqtt]\nalive_every = "5min"')).core.alive_every == 300


def test_a_line_that_is_tested_less_often_than_orders_die_is_worth_a_warning(desk: Desk) -> None:
    assert desk.warnings(f'{BROKER}keepalive = "40s"\n{INSIDE}') == []
    assert desk.warnings(f'{BROKER}keepalive = "1h"\n{INSIDE}') == [
        "stoker.toml:3: mqtt.keepalive: 1h is long for orders that live 1min (order_lifetime): "
        "the line is tested each 30s all the same"
    ]


def test_a_broker_that_is_not_verified_is_worth_a_warning(desk: Desk) -> None:
    assert desk.warnings(f"{BROKER}[mqtt.tls]\ninsecure = true\n{INSIDE}") == [
        "stoker.toml:4: mqtt.tls.insecure: the broker is not verified: "
        "whoever stands between can read the password and give orders"
    ]


def test_files_with_secrets_are_looked_at(desk: Desk) -> None:
    secret = desk.folder / "secret"
    secret.touch()
    secret.chmod(0o644)
    text = (
        f'{BROKER}transport = "websockets"\nproxy = "socks5://shed@proxy.example:1080"\n'
        f'proxy_password_file = "{secret}"\n[mqtt.tls]\nkey_password_file = "mqtt.key"\n'
        f'[mqtt.websocket.headers]\nX-Key = {{ file = "{secret}" }}\n{INSIDE}'
    )
    open_to_all = "everybody on this computer can read this file: chmod o= FILE"
    nobodys = "not a whole path, so a systemd credential, and there is none of this name"
    assert desk.warnings(text) == [
        f"stoker.toml:5: mqtt.proxy_password_file: {open_to_all}",
        f"stoker.toml:7: mqtt.tls.key_password_file: {nobodys}",
        f"stoker.toml:9: mqtt.websocket.headers.X-Key: {open_to_all}",
    ]
    secret.chmod(0o640)
    assert desk.warnings(text.replace("shed@", "").replace("websockets", "tcp")) == [
        "stoker.toml:5: mqtt.proxy_password_file: no password is sent without a user in proxy",
        f"stoker.toml:7: mqtt.tls.key_password_file: {nobodys}",
        'stoker.toml:8: mqtt.websocket: means nothing without transport = "websockets"',
    ]


def test_a_password_file_is_looked_at_and_its_name_not_shown(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = desk.folder / "hunter2"
    text = f'{BROKER}username = "shed"\npassword_file = "{secret}"\n{INSIDE}'
    key = "stoker.toml:4: mqtt.password_file"
    assert desk.warnings(text) == [f"{key}: this file cannot be read now: No such file or directory"]
    secret.touch()
    secret.chmod(0o644)
    assert desk.warnings(text) == [f"{key}: everybody on this computer can read this file: chmod o= FILE"]
    secret.chmod(0o640)
    assert desk.warnings(text) == []
    assert desk.warnings(text.replace('username = "shed"', "")) == [f"{key}: no password is sent without a username"]
    relative = text.replace(f"{desk.folder}/", "")
    assert desk.warnings(relative) == [
        f"{key}: not a whole path, so a systemd credential, and there is none of this name"
    ]
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(desk.folder))
    assert desk.warnings(relative) == []


def test_a_user_without_a_password(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    text = f'{BROKER}username = "shed"\n{INSIDE}'
    assert desk.warnings(text) == [
        "stoker.toml:3: mqtt.username: a user without a password: name its file with password_file, "
        "or give a credential mqtt.password"
    ]
    (desk.folder / "mqtt.password").touch()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(desk.folder))
    assert desk.warnings(text) == []


def test_certificates_are_looked_at(desk: Desk) -> None:
    (desk.folder / "key.pem").touch()
    (desk.folder / "key.pem").chmod(0o604)
    tls = f'[mqtt.tls]\nca_file = "/nowhere/ca.pem"\nkey_file = "{desk.folder}/key.pem"\ncert_file = "\\u0000"\n'
    assert desk.warnings(BROKER + tls + INSIDE) == [
        "stoker.toml:4: mqtt.tls.ca_file: this file cannot be read now: No such file or directory",
        "stoker.toml:5: mqtt.tls.key_file: everybody on this computer can read this file: chmod o= FILE",
        "stoker.toml:6: mqtt.tls.cert_file: this file cannot be read now: no such file",
    ]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            "max_temperature = 61",
            "14: zones.room.max_temperature: 61 °C lets this zone become dangerously hot; 60 or less is wise",
        ),
        ('stale_after = "40min"', "14: zones.room.stale_after: heats for 40min without a reading; 30min is much"),
        (
            'stale_after = "10s"',
            "14: zones.room.stale_after: 10s is no longer than its thermometer's interval: hardly any heat",
        ),
        (
            "frost = 21.5",
            "14: zones.room.frost: 21.5 °C is above target 20: frost is fought up to the target alone",
        ),
    ],
)
def test_a_zone_that_may_get_dangerous(desk: Desk, lines: str, said: str) -> None:
    assert desk.warnings(ROOM + lines) == [f"stoker.toml:{said}"]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('runaway_after = "13h"', "runaway_after: a sensor that slipped away is noticed only after 13h"),
        ('runaway_after = "0s"', "runaway_after: a sensor that slipped away is noticed never"),
        (
            'runaway_after = "20min"',
            "runaway_after: 20min is less than many a heater needs to be felt: false alarms",
        ),
        ('stuck_on_after = "0s"', "stuck_on_after: a relay that sticks is never noticed"),
        ('stuck_on_after = "3h"', "stuck_on_after: 3h is shorter than a sunny day: false alarms"),
        ("stale_duty = 0.1", "stale_duty: heats 10% of the time without knowing how warm it is"),
        ("max_temperature = 51", "max_temperature: 51 °C is far above target_max 30: a fault is seen late"),
        ("hysteresis = 6", "hysteresis: the temperature swings by 6 K and more"),
        (
            'runaway_test = "2d"',
            "runaway_test: a sensor that slipped away is put to the test for 2d, heating half of it",
        ),
        ('stuck_on_after = "25h"', "stuck_on_after: a relay that sticks is noticed only after 1d1h without any fall"),
        ("stuck_on_rise = 11", "stuck_on_rise: a relay that sticks is noticed only when it is 11 K warmer"),
        ('order_hold = "7d"', "order_hold: an order by hand stands above target and schedule for 7d"),
        ('order_lifetime = "1h"', "order_lifetime: an order that was held up for 1h on its way still counts"),
    ],
)
def test_limits_of_a_zone_that_are_not_wise(desk: Desk, lines: str, said: str) -> None:
    assert desk.warnings(ROOM + lines) == [f"stoker.toml:14: zones.room.{said}"]


@pytest.mark.parametrize(
    ("after", "line", "said"),
    [
        ("pin = 17", "max_on = 0", "heaters.radiator.max_on: may stay on for ever without a rest; 1d is much"),
        ("pin = 17", 'max_on = "2d"', "heaters.radiator.max_on: may stay on for 2d without a rest; 1d is much"),
        ("pin = 17", "max_on = 5", "heaters.radiator.max_on: max_on 5s ends heating before min_on 10s"),
        (
            "pin = 17",
            'max_on = "20min"',
            "heaters.radiator.max_on: rests 30min after 20min on: a heater without effect, or a sensor that slipped "
            "away, is hardly ever noticed",
        ),
        (
            'driver = "mock"',
            "max_rate = 0",
            "thermometers.inside.max_rate: a sensor may leap to any temperature and be believed at once; "
            "10 K a minute is fast for a room",
        ),
        (
            'driver = "mock"',
            "max_rate = 100",
            "thermometers.inside.max_rate: a sensor may leap by 100 K in a minute and be believed; "
            "10 K is fast for a room",
        ),
        (
            "pin = 17",
            'min_on = "1h"',
            "heaters.radiator.min_on: goes on for 1h although the place has long been warm enough",
        ),
        (
            "pin = 17",
            'max_on_rest = "0s"',
            "heaters.radiator.max_on_rest: no rest after 12h on: it goes straight on, so max_on does nothing",
        ),
        (
            "pin = 17",
            '[heaters.spare]\ndriver = "gpio"\npin = 27',
            "heaters.spare: no zone has this heater, so it stays off",
        ),
        (
            BROKER.strip(),
            "[device]\nmax_restarts = 0",
            "device.max_restarts: a crash that comes with each heating goes on and on",
        ),
    ],
)
def test_limits_of_a_device_that_are_not_wise(desk: Desk, after: str, line: str, said: str) -> None:
    text = ROOM.replace(after, f"{after}\n{line}")
    (warning,) = desk.warnings(text)
    assert warning.partition(": ")[2] == said


def test_the_limits_of_restarts_reach_the_core(desk: Desk) -> None:
    config = desk.load('[device]\nmax_restarts = 3\nstable_after = "1min"\n' + ROOM)
    assert (config.core.max_restarts, config.core.stable_after) == (3, 60.0)


def test_a_slow_thermometer_makes_a_zone_dangerous(desk: Desk) -> None:
    assert desk.warnings(ROOM.replace('"mock"', '"mock"\ninterval = "20min"')) == [
        "stoker.toml:6: thermometers.inside.interval: heats for 1h without a reading; 30min is much"
    ]


# --- spans ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("10s", 10),
        ("5min", 300),
        ("4h", 14400),
        ("2d", 172800),
        ("1h30min", 5400),
        ("1.5h", 5400),
        ("0s", 0),
    ],
)
def test_spans(text: str, seconds: float) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "10", "s", "10 s", "-10s", "10m", "10S", "1.s", ".5s", "1e3s", "\u0661s", "10s\n", "nan", "1h 5"]
)
def test_what_is_no_span(text: str) -> None:
    with pytest.raises(ValueError, match="is not a span"):
        parse_seconds(text)


@given(st.integers(0, 10**11))
def test_a_span_is_read_as_it_is_shown(milliseconds: int) -> None:
    assert parse_seconds(show_seconds(milliseconds / 1000)) == milliseconds / 1000


# --- anything at all --------------------------------------------------------------------------------------------------

WORDS = [
    *("device", "mqtt", "tls", "thermometers", "heaters", "zones", "topics", "id", "state_dir", "host", "port", "base"),
    *("driver", "password_file", "enabled", "inside", "room", "thermometer", "heater", "target", "stale_after", "mode"),
    *("pin", "topic", "publish", "interval", "weights", "channel", "fault", "mock", "gpio", "remote", "others", "heat"),
    *("10s", "{base}/{zone}", "TEMPERATURE", ""),
]
KEYS = st.sampled_from(WORDS) | st.text(max_size=5)
SCALARS = (
    st.booleans()
    | st.integers()
    | st.integers(0, 40)
    | st.floats()
    | st.sampled_from(WORDS)
    | st.text(max_size=8)
    | st.dates()
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda each: st.lists(each, max_size=3) | st.dictionaries(KEYS, each, max_size=5), max_leaves=12
)
NAMED = st.dictionaries(KEYS, st.dictionaries(KEYS, VALUES, max_size=4) | VALUES, max_size=3)
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "mqtt": st.fixed_dictionaries({"host": st.just("h") | VALUES}, optional={"tls": VALUES, "base": VALUES})
        | VALUES,
        "thermometers": st.just({"inside": {"driver": "mock"}}) | NAMED,
        "heaters": st.just({"radiator": {"driver": "gpio", "pin": 17}}) | NAMED,
        "zones": NAMED,
        "topics": st.dictionaries(st.sampled_from(["mode", "state", "target_set"]), VALUES) | VALUES,
        "device": st.dictionaries(st.sampled_from(["id", "state_dir"]), VALUES) | VALUES,
    },
) | st.dictionaries(KEYS, VALUES)


def toml(value: Any) -> str:
    """A value as TOML; a surrogate, which TOML cannot hold, as a mistake in the file."""
    match value:
        case dict():
            return "{" + ", ".join(f"{toml(key)} = {toml(each)}" for key, each in value.items()) + "}"
        case list():
            return "[\n" + ",\n".join(map(toml, value)) + "]"
        case bool():
            return str(value).lower()
        case str():
            return '"' + "".join(c if c.isalnum() and c.isascii() else f"\\U{ord(c):08x}" for c in value) + '"'
        case float():
            return repr(value) if math.isfinite(value) else str(value)
        case _:
            return str(value)


def document(tables: dict[str, Any]) -> str:
    plain = "".join(f"{toml(name)} = {toml(value)}\n" for name, value in tables.items() if not isinstance(value, dict))
    headed = "".join(
        f"[{toml(name)}]\n" + "".join(f"{toml(key)} = {toml(each)}\n" for key, each in value.items())
        for name, value in tables.items()
        if isinstance(value, dict)
    )
    return plain + headed


@pytest.fixture(scope="module")
def anywhere(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(tmp_path_factory.mktemp("anything"))


def config_or_lines(desk: Desk, *texts: bytes) -> None:
    """Whatever is written: a Config, or problems that each are one line and lead to a place that there is."""
    desk.write(texts[0])
    (desk.folder / "conf.d").mkdir(exist_ok=True)
    (desk.folder / "conf.d" / "more.toml").write_bytes(texts[1] if len(texts) > 1 else b"")
    files = [desk.file, desk.folder / "conf.d" / "more.toml"]
    found = attempt(desk.file)
    if isinstance(found, Config):
        assert set(found.thermometers) == set(found.core.thermometers)
        assert set(found.heaters) == set(found.core.heaters)
        return
    places = [(files.index(problem.file), problem.line) for problem in found.problems]
    assert places == sorted(places)
    assert places
    for problem in found.problems:
        assert str(problem).isprintable()
        assert 0 <= problem.line <= problem.file.read_bytes().count(b"\n") + 1


def attempt(file: Path) -> Config | ConfigError:
    try:
        return load(file, DRIVERS)
    except ConfigError as error:
        return error


@given(DOCUMENTS, DOCUMENTS | st.just({}))
def test_any_tables_give_a_configuration_or_clear_lines(anywhere: Desk, first: Any, second: Any) -> None:
    config_or_lines(anywhere, document(first).encode(), document(second).encode())


@given(st.binary() | st.text(st.characters(codec="utf-8")).map(str.encode))
def test_any_bytes_give_a_configuration_or_clear_lines(anywhere: Desk, data: bytes) -> None:
    config_or_lines(anywhere, data)


@given(st.data())
def test_any_damage_to_a_good_file_gives_a_configuration_or_clear_lines(anywhere: Desk, data: st.DataObject) -> None:
    lines = ROOM.splitlines()
    at = data.draw(st.integers(0, len(lines) - 1))
    key = lines[at].partition(" = ")[0]
    lines[at] = data.draw(st.just("") | VALUES.map(lambda value: f"{key} = {toml(value)}") | st.text(max_size=20))
    config_or_lines(anywhere, "\n".join(lines).encode("utf-8", "replace"))
