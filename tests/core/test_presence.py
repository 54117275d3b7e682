"""Who is at home: what phones and trackers say, and that nothing is concluded from what nobody knows."""

import math

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stoker.core.messages import Now
from stoker.core.presence import LARGEST, AtHome, Position, Presence, decode, distance

HOME = Position(52.5200, 13.4050)
WALL = 1_767_571_200.0
DEGREE = 111_195.1  # m, one of latitude


def north(metres: float, accuracy: float = 0.0, stamp: float | None = None) -> Position:
    """A place so far north of home."""
    return Position(HOME.lat + metres / DEGREE, HOME.lon, accuracy, stamp)


def after(seconds: float) -> Now:
    return Now(1000.0 + seconds, WALL + seconds)


def family(*people: str, expire_after: float = 0.0) -> Presence:
    return Presence(people or ("ann", "bob"), HOME, radius=200.0, hysteresis=100.0, expire_after=expire_after)


# --- what arrives


@pytest.mark.parametrize(
    ("payload", "what"),
    [
        (b"home", AtHome(True)),
        (b" NOT_HOME\n", AtHome(False)),
        (b'{"lat": 52.5, "lon": 13.4}', Position(52.5, 13.4)),
        (b'{"latitude": "52.5", "longitude": "-13.4"}', Position(52.5, -13.4)),
        (b'{"lat": 52, "lon": 13, "battery": 71}', Position(52.0, 13.0)),
        (b'{"lat": " 0.0 ", "lon": "9.5"}', Position(0.0, 9.5)),
        (b'{"lat": 52.5, "lon": 13.4, "acc": "1e999", "tst": "1e999"}', Position(52.5, 13.4)),
        (
            b'{"_type":"location","acc":14,"alt":40,"batt":71,"lat":52.5,"lon":13.4,"tid":"an","tst":1767571200}',
            Position(52.5, 13.4, 14.0, WALL),
        ),
        (b'{"_type":"location","acc":-1,"lat":52.5,"lon":13.4,"tst":"soon"}', Position(52.5, 13.4)),
        (
            b'{"_type":"transition","event":"enter","desc":"Home","tst":1767571200,"lat":52.5,"lon":13.4,"acc":14}',
            AtHome(True, WALL),
        ),
        (b'{"_type":"transition","event":"leave","desc":"home"}', AtHome(False)),
        (b'{"_type":"transition","event":"enter","desc":"work","lat":52.4,"lon":13.1}', Position(52.4, 13.1)),
        (b'{"_type":"transition","event":"enter","desc":"work"}', None),
        (b'{"_type":"transition","event":"vanish","desc":"home"}', None),
        (b'{"_type":"lwt","tst":1767571200}', None),
        (b'{"_type":"waypoint","desc":"home","lat":52.5,"lon":13.4,"rad":50,"tst":1767571200}', None),
        (b'{"_type":["location"],"lat":52.5,"lon":13.4}', None),
        (b"", None),
    ],
)
def test_what_a_message_says(payload: bytes, what: Position | AtHome | None) -> None:
    assert decode(payload) == what


FORMS = 'allowed: home, not_home, JSON such as {"lat": 52.5, "lon": 13.4}, or what OwnTracks publishes'


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b"at work", f"not understood; {FORMS}"),
        (b"\xff\xfe", f"not understood; {FORMS}"),
        (b"[52.5, 13.4]", f"not understood; {FORMS}"),
        (b"[" * 8000, f"not understood; {FORMS}"),
        (b'{"lat": 52.5}', f"no longitude; {FORMS}"),
        (b'{"lat": null, "lon": 13.4}', f"no latitude; {FORMS}"),
        (b'{"lat": 90.1, "lon": 13.4}', "the latitude is not a number from -90 to 90"),
        (b'{"lat": 52.5, "lon": -180.1}', "the longitude is not a number from -180 to 180"),
        (b'{"lat": "nan", "lon": 13.4}', "the latitude is not a number from -90 to 90"),
        (b'{"lat": true, "lon": 13.4}', "the latitude is not a number from -90 to 90"),
        (b'{"lat": [52.5], "lon": 13.4}', "the latitude is not a number from -90 to 90"),
        (b'{"lat": 1' + b"0" * 400 + b', "lon": 13.4}', "the latitude is not a number from -90 to 90"),
        (
            b'{"lat": 0.0, "lon": 0}',
            "latitude 0, longitude 0 is what trackers send when they don't know where they are",
        ),
        (
            b'{"_type":"encrypted","data":"..."}',
            "an encrypted OwnTracks message cannot be read; remove the encryption key in the app",
        ),
        (b" " * (LARGEST + 1), f"{LARGEST + 1} bytes are no place; allowed: at most {LARGEST}"),
    ],
)
def test_what_is_not_understood_is_one_line(payload: bytes, text: str) -> None:
    with pytest.raises(ValueError, match=r"^\S") as refused:
        decode(payload)
    assert str(refused.value) == text


def test_distances_are_those_of_the_map() -> None:
    paris, new_york = Position(48.8566, 2.3522), Position(40.7128, -74.0060)
    assert distance(HOME, paris) == pytest.approx(877_500, rel=0.005)
    assert distance(paris, new_york) == pytest.approx(5_837_000, rel=0.005)
    assert distance(HOME, north(250)) == pytest.approx(250, abs=0.1)
    assert distance(Position(-17.5, 179.999), Position(-17.5, -179.999)) == pytest.approx(212, abs=1), "the date line"
    assert distance(Position(90.0, 0.0), Position(-90.0, 50.0)) == pytest.approx(20_015_000, rel=0.001)


# --- stories


def test_the_house_is_empty_when_the_last_one_has_left_and_not_before() -> None:
    house = family()
    assert house.hear("ann", north(5000), after(0)) == "ann is away from home, 5000 m from its middle"
    assert not house.everybody_away(1000.0), "nobody ever heard of Bob"
    assert house.state(1000.0) == {"ann": "away", "bob": "unknown"}

    assert house.hear("bob", AtHome(True), after(10)) == "bob is at home"
    assert not house.everybody_away(1010.0)
    assert house.hear("bob", AtHome(False), after(20)) == "bob is away from home"
    assert house.everybody_away(1020.0)

    assert house.hear("ann", north(150), after(30)) == "ann is at home, 150 m from its middle"
    assert not house.everybody_away(1030.0)
    assert house.state(1030.0) == {"ann": "home", "bob": "away"}


def test_a_walk_along_the_edge_does_not_flap() -> None:
    house = family("ann")
    walk = [100, 190, 210, 290, 299, 301, 290, 210, 201, 199, 210]
    news = [house.hear("ann", north(metres), after(metres)) for metres in walk]
    assert [text.partition(",")[0] for text in news if text] == [
        "ann is at home",
        "ann is away from home",
        "ann is at home",
    ]
    assert [metres for metres, text in zip(walk, news, strict=True) if text] == [100, 301, 199]


def test_a_first_word_from_the_edge_tells_nothing() -> None:
    house = family("ann")
    assert not house.hear("ann", north(250), after(0))
    assert house.state(1000.0) == {"ann": "unknown"}


def test_a_position_that_may_be_wrong_by_more_than_it_is_far_makes_nobody_away() -> None:
    house = family("ann")
    house.hear("ann", north(10), after(0))
    assert not house.hear("ann", north(2000, accuracy=1800), after(1)), "only a cell tower knows"
    assert house.state(1001.0) == {"ann": "home"}
    assert house.hear("ann", north(2000, accuracy=1600), after(2))
    assert house.everybody_away(1002.0)


def test_the_backlog_of_a_phone_does_not_take_anybody_back() -> None:
    house = family("ann")
    house.hear("ann", north(10, stamp=WALL + 600), after(610))
    assert not house.hear("ann", north(9000, stamp=WALL), after(620))
    assert house.state(1620.0) == {"ann": "home"}
    assert house.hear("ann", north(9000, stamp=WALL + 615), after(630))


def test_a_retained_place_says_itself_how_old_it_is() -> None:
    house = family("ann", "bob")
    house.hear("ann", AtHome(True), after(0))
    assert not house.hear("ann", north(9000, stamp=WALL - 86400), after(10), retained=True)
    assert house.hear("ann", north(9000, stamp=WALL + 5), after(10), retained=True)
    assert house.hear("bob", AtHome(False), after(10), retained=True) == "bob is away from home"
    assert house.everybody_away(1010.0)


def test_what_the_broker_kept_tells_who_left_while_nobody_listened() -> None:
    house = family("ann")
    house.hear("ann", AtHome(True), after(0))
    assert house.hear("ann", AtHome(False), after(7200), retained=True) == "ann is away from home"


def test_two_messages_of_one_second_both_count() -> None:
    house = family("ann")
    house.hear("ann", north(5000, stamp=WALL), after(1))
    assert house.hear("ann", AtHome(True, WALL), after(2)) == "ann is at home"


def test_a_phone_whose_clock_is_ahead_is_still_believed_later() -> None:
    house = family("ann", expire_after=3600.0)
    house.hear("ann", AtHome(True, WALL + 2 * 365 * 86400), after(0))
    assert house.hear("ann", AtHome(False, WALL + 60), after(60)) == "ann is away from home"
    house.hear("ann", AtHome(True, WALL + 2 * 365 * 86400), after(120))
    assert house.state(1000.0 + 3720) == {"ann": "unknown"}, "nor does it tell of the years to come"


def test_a_clock_that_was_put_back_makes_nothing_old() -> None:
    house = family("ann")
    house.hear("ann", AtHome(True), Now(1000.0, WALL + 30 * 86400))
    assert house.hear("ann", AtHome(False, WALL), Now(1010.0, WALL + 10))


def test_what_is_known_expires_where_that_is_wanted_and_is_then_unknown() -> None:
    house = family("ann", expire_after=3600.0)
    house.hear("ann", AtHome(False), after(0))
    assert house.next_expiry() == 4600.0
    assert house.everybody_away(4599.0)
    assert not house.everybody_away(4600.0)
    assert (house.expire(4599.0), house.expire(4600.0), house.expire(4601.0)) == ([], ["ann"], [])
    assert (house.state(4600.0), house.next_expiry()) == ({"ann": "unknown"}, math.inf)

    house.hear("ann", AtHome(False), after(3700), retained=True)
    assert house.state(4700.0) == {"ann": "unknown"}, "what the broker kept is no younger for being told again"
    assert not house.hear("ann", AtHome(True, WALL + 50), after(3700))
    assert house.next_expiry() == math.inf, "what is too old when it arrives has nothing to expire"
    assert house.hear("ann", AtHome(False), after(3800)) == "ann is away from home"
    assert not house.hear("ann", AtHome(False, WALL - 4000), after(3900)), "too old to be news"
    assert house.state(4900.0) == {"ann": "away"}


def test_what_is_known_never_expires_unless_somebody_says_so() -> None:
    house = family("ann")
    house.hear("ann", AtHome(False), after(0))
    assert house.everybody_away(1e9)
    assert house.next_expiry() == math.inf


def test_who_was_away_is_away_after_a_restart() -> None:
    house = family("ann", "bob", "cem")
    house.hear("ann", north(5000), after(0))
    house.hear("bob", AtHome(True), after(0))
    kept = house.to_json()
    assert b"52." not in kept, "no place is kept"

    restarted = family("ann", "cem", expire_after=7200.0)
    restarted.recall(kept, Now(5.0, WALL + 3600))
    assert restarted.state(5.0) == {"ann": "away", "cem": "unknown"}, "Bob is not asked after any more"
    assert restarted.next_expiry() == 3605.0, "an hour of it had passed"
    assert restarted.hear("ann", AtHome(True), Now(6.0, WALL + 3601))


@pytest.mark.parametrize(
    "kept",
    [b"", b"\xff", b"[]", b'{"ann": true}', b'{"ann": {"away": 1, "stamp": 2}}', b'{"ann": {"x": ' + b"[" * 5000],
)
def test_what_was_kept_and_cannot_be_read_is_one_line(kept: bytes) -> None:
    house = family("ann")
    with pytest.raises(ValueError, match=r"^what was kept of presence cannot be read: "):
        house.recall(kept, after(0))
    assert house.state(1000.0) == {"ann": "unknown"}


def test_a_stranger_and_an_empty_list_make_no_empty_house() -> None:
    nobody = Presence((), HOME)
    assert not nobody.hear("ann", AtHome(False), after(0))
    assert not nobody.everybody_away(1000.0)


# --- whatever comes

numbers = st.one_of(st.floats(), st.integers(), st.floats(-200, 200), st.floats(-90, 90).map(str), st.text(max_size=5))
keys = st.sampled_from(["lat", "lon", "latitude", "longitude", "acc", "tst", "_type", "event", "desc", "x"])
words = st.sampled_from(["location", "transition", "encrypted", "lwt", "enter", "leave", "home"])
payloads = st.one_of(
    st.binary(max_size=40),
    st.dictionaries(keys, numbers | words | st.none() | st.lists(numbers, max_size=2)).map(msgspec.json.encode),
)


@settings(deadline=None)
@given(payload=payloads)
@example(payload=b'{"lat": ' + b"9" * 5000 + b', "lon": 1}')
@example(payload=b'{"_type": "transition", "desc": ' + b"9" * 19 + b"}")
def test_whatever_arrives_is_understood_or_one_line(payload: bytes) -> None:
    refusal, what = "", None
    try:
        what = decode(payload)
    except ValueError as error:
        refusal = str(error)
    assert refusal.isprintable()
    if isinstance(what, Position):
        assert abs(what.lat) <= 90
        assert abs(what.lon) <= 180
        assert 0 <= what.accuracy < math.inf
        assert 0 <= distance(what, HOME) < 20_100_000
    if what and what.stamp is not None:
        assert math.isfinite(what.stamp)


# Whole seconds, so that a span is the same by both clocks to the last bit.
seconds = st.integers(0, 100_000).map(float)
stamps = (
    st.none() | st.integers(-1_000_000, 1_000_000).map(lambda offset: WALL + offset) | st.just(-1e300) | st.just(1e300)
)
places = st.one_of(
    st.builds(AtHome, st.booleans(), stamps),
    st.builds(north, st.floats(0, 1000), st.floats(0, 1000), stamps),
    st.builds(Position, st.floats(-90, 90), st.floats(-180, 180), st.floats(0, 1e9), stamps),
)
heard = st.tuples(st.sampled_from(["ann", "bob", "eve"]), places, seconds, st.booleans())


@settings(deadline=None)
@given(messages=st.lists(heard), expire_after=st.sampled_from([0.0, 3600.0]))
def test_nobody_is_away_of_whom_nothing_said_so(
    messages: list[tuple[str, Position | AtHome, float, bool]], expire_after: float
) -> None:
    house, time = family(expire_after=expire_after), 0.0
    said_away: set[str] = set()
    for person, what, seconds, retained in messages:
        time += seconds
        before = house.state(1000.0 + time)
        news = house.hear(person, what, after(time), retained)
        now = house.state(1000.0 + time)
        assert bool(news) is (now != before), "news exactly where something changed"
        far = distance(what, HOME) > 300 if isinstance(what, Position) else not what.home
        said_away |= {person} if far else set()
        away = {name for name, where in now.items() if where == "away"}
        assert away <= said_away
        assert house.everybody_away(1000.0 + time) is (away == {"ann", "bob"})
        house.expire(1000.0 + time)
        assert house.next_expiry() > 1000.0 + time
        again = family(expire_after=expire_after)
        again.recall(house.to_json(), after(time))
        assert again.state(1000.0 + time) == now, "a restart changes nothing"
