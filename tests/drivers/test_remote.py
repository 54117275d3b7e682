"""What counts as a temperature in an MQTT payload, and that nothing else ever gets through or breaks the listener."""

import math

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stoker_drivers.interfaces import SensorError
from stoker_drivers.remote import LARGEST, Remote


def listener(pointer: str = "", topic: str = "TEMPERATURE") -> Remote:
    return Remote(msgspec.convert({"topic": topic, "pointer": pointer}, Remote.Options))


def reason(pointer: str, payload: bytes) -> str:
    with pytest.raises(SensorError) as caught:
        listener(pointer).decode(payload)
    return caught.value.reason


@pytest.mark.parametrize(
    ("payload", "celsius"),
    [(b"20.15", 20.15), (b"-3", -3.0), (b"+4.", 4.0), (b".5", 0.5), (b" 20.15\r\n", 20.15), (b"2.015e1", 20.15)],
)
def test_a_plain_number_is_a_temperature(payload: bytes, celsius: float) -> None:
    assert listener().decode(payload) == celsius


@pytest.mark.parametrize(
    "payload",
    [
        *(b"", b" ", b"nan", b"inf", b"-Infinity", b"1e400", b"0x14", b"1_0", b"20,15", b"20.15 C", b"2 0"),
        *("\u0662\u0660".encode(), b"\xff\xfe", b"20\0", b"unavailable", b"true", b'"20.15"', b'{"t":20}'),
    ],
)
def test_everything_else_is_not(payload: bytes) -> None:
    assert reason("", payload) == "not-a-number"


@pytest.mark.parametrize(
    ("pointer", "celsius"),
    [("/celsius", 20.15), ("/sensors/1/t", 18.0), ("/a~1b", 1.0), ("/m~0n", 2.0), ("/text", 3.5), ("/", 4.0)],
)
def test_a_pointer_finds_the_number_inside_json(pointer: str, celsius: float) -> None:
    payload = b'{"celsius": 20.15, "sensors": [{"t": 1}, {"t": 18}], "a/b": 1, "m~n": 2, "text": "3.5", "": 4}'
    assert listener(pointer).decode(payload) == celsius


@pytest.mark.parametrize("pointer", ["/none", "/list/2", "/list/-", "/list/01", "/list/x", "/number/deeper", "/null/0"])
def test_a_pointer_that_leads_nowhere_is_told(pointer: str) -> None:
    assert reason(pointer, b'{"list": [1, 2], "number": 1, "null": null}') == "not-found"


@pytest.mark.parametrize("value", [b"true", b"null", b'"warm"', b'"nan"', b'""', b"[1]", b"{}", b"1" * 400])
def test_what_stands_at_the_pointer_must_be_a_number(value: bytes) -> None:
    assert reason("/t", b'{"t": ' + value + b"}") == "not-a-number"


@pytest.mark.parametrize(
    "payload",
    [b"", b"{", b"20 15", b'{"t": NaN}', b'{"t": 1e400}', b'{"t": 1', b"\xff", b"[" * 60_000, b'{"t": "\xff"}'],
)
def test_what_is_not_json_is_told(payload: bytes) -> None:
    assert reason("/t", payload) == "bad-json"


def test_a_payload_of_any_size_is_not_even_parsed() -> None:
    assert reason("", b"1" * (LARGEST + 1)) == "too-large"


@pytest.mark.parametrize(
    ("topic", "pointer", "text"),
    [
        ("", "", "1 to 65535 bytes"),
        ("a/+/b", "", "has a wildcard"),
        ("a/#", "", "has a wildcard"),
        ("a\0b", "", "no NUL"),
        ("a", "celsius", "must start with /"),
        ("a", "/m~n", "neither ~0"),
    ],
)
def test_a_wrong_configuration_is_refused_by_name(topic: str, pointer: str, text: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=text):
        listener(pointer, topic)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["t", "0", ""]), inner, max_size=3),
    max_leaves=8,
)
_payloads = st.binary(max_size=60) | _json.map(msgspec.json.encode) | st.floats().map(lambda f: str(f).encode())


@given(payload=_payloads, pointer=st.sampled_from(["", "/t", "/t/0", "/", "/0/t"]))
@example(payload=b'{"t": ' + b"9" * 5000 + b"}", pointer="/t")
@example(payload=b'{"t": ' + b"[" * 900 + b"]" * 900 + b"}", pointer="/t")
@example(payload=b'{"\xff": 1}', pointer="/t")
def test_any_payload_is_a_finite_temperature_or_a_sensor_error(payload: bytes, pointer: str) -> None:
    try:
        celsius = listener(pointer).decode(payload)
    except SensorError:
        return
    assert isinstance(celsius, float)
    assert math.isfinite(celsius)
