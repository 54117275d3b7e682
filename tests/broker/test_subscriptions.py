"""Subscriptions: refused ones are told and asked for again; the set may change while the connection stands.

Who is online hears orders. So we are not before every subscription stands, unless the broker goes on refusing one.
"""

import json
import math
import time
from pathlib import Path

import pytest

from broker.mosquitto import MakeBroker, Mosquitto
from broker.tiny import TinyBroker, connack, plain
from broker.watching import MakeLink, MakeObserver
from stoker.core.messages import LinkUp, Message, Notice
from stoker.link.subscriptions import FOR_GOOD, REFUSED, Subscriptions

PLUGIN = "mosquitto_dynamic_security.*"
PLACES = ("/usr/lib", "/usr/lib/*", "/usr/local/lib", "/opt/homebrew/lib")


@pytest.fixture
def guarded(mosquitto: MakeBroker, tmp_path: Path) -> Mosquitto:
    """A broker that refuses subscriptions to forbidden/#, until somebody orders otherwise."""
    found = [path for place in PLACES for path in Path("/").glob(f"{place[1:]}/{PLUGIN}")]
    if not found:
        pytest.skip("this Mosquitto has no dynamic-security plugin")
    refuse = {"acltype": "subscribePattern", "topic": "forbidden/#", "priority": 1, "allow": False}
    govern = {"acltype": "publishClientSend", "topic": "$CONTROL/#", "priority": 1, "allow": True}
    rights = tmp_path / "rights.json"
    rights.write_text(
        json.dumps(
            {
                "defaultACLAccess": {
                    "publishClientSend": True,
                    "publishClientReceive": True,
                    "subscribe": True,
                    "unsubscribe": True,
                },
                "groups": [{"groupname": "all", "roles": [{"rolename": "guest"}], "clients": []}],
                "roles": [{"rolename": "guest", "acls": [refuse, govern]}],
                "clients": [],
                "anonymousGroup": "all",
            }
        )
    )
    return mosquitto(users=None, lines=[f"plugin {found[0]}", f"plugin_opt_config_file {rights}"]).start()


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_refused_subscription_is_told_once_and_asked_for_until_it_stands(
    guarded: Mosquitto, link: MakeLink, observer: MakeObserver, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    monkeypatch.setattr("stoker.link.subscriptions.RETRY_AFTER", 0.05)
    monkeypatch.setattr("stoker.link.link.STAND_WITHIN", 0.5)
    _, heard = link(guarded.settings(protocol=protocol), "allowed", "forbidden/order")
    text = heard.notice("subscription-refused").text
    assert text.startswith("the broker refused the subscription to forbidden/order: ")
    assert text.endswith("It is asked for again until it stands")
    assert "grant it" in text or protocol == "3.1.1"
    heard.next(LinkUp)
    others = observer(guarded)
    others.say("allowed", "meanwhile")
    assert heard.next(Message).payload == b"meanwhile"
    command = {"command": "removeRoleACL", "rolename": "guest", "acltype": "subscribePattern", "topic": "forbidden/#"}
    others.say("$CONTROL/dynamic-security/v1", json.dumps({"commands": [command]}))
    others.say("forbidden/order", "kept", retain=True)
    assert heard.next(Message).payload == b"kept"  # Mosquitto ends connections whose rights have changed
    assert sum(isinstance(event, Notice) for event in heard.all) == 1


def test_the_set_changes_on_a_connection_that_stands(broker: Mosquitto, link: MakeLink, observer: MakeObserver) -> None:
    line, heard = link(broker.settings(), "old", "both")
    heard.next(LinkUp)
    line.subscribe(["both", "new", "new"])
    others = observer(broker)
    others.say("new", "kept", retain=True)
    assert heard.next(Message).payload == b"kept"
    others.say("old", "unheard")
    others.say("both", "heard")
    assert heard.next(Message).payload == b"heard"
    assert [event for event in heard.all if isinstance(event, LinkUp)] == [heard.all[0]]


def test_a_filter_that_mqtt_does_not_allow_is_told_and_hurts_nothing_else(
    broker: Mosquitto, link: MakeLink, observer: MakeObserver
) -> None:
    _, heard = link(broker.settings(), "a/#/b", "room+", "good/#")
    notices = [heard.notice("subscription-refused").text for _ in range(2)]
    assert notices == ["'a/#/b' is no topic filter that MQTT allows", "'room+' is no topic filter that MQTT allows"]
    heard.next(LinkUp)
    observer(broker).say("good/order", "21")
    assert heard.next(Message).payload == b"21"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stoker.link.subscriptions.RETRY_AFTER", 0.05)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("level", [5, 4])
def test_a_cluster_that_has_lost_a_node_refuses_for_a_while_and_we_are_not_online_meanwhile(
    link: MakeLink, level: int
) -> None:
    with TinyBroker({level: connack(0, level)}) as tiny:
        tiny.refused = {"orders": 0x80, "mode": 0x80}
        _, heard = link(plain(tiny.port, protocol="5" if level == 5 else "3.1.1"), "orders", "mode")
        assert [heard.notice("subscription-refused").text.split(": ")[0] for _ in range(2)] == [
            "the broker refused the subscription to orders",
            "the broker refused the subscription to mode",
        ]
        tiny.wait_for(8, 4)
        assert LinkUp not in map(type, heard.all)
        tiny.refused = {}
        granted = {heard.notice("subscription-granted").text for _ in range(2)}
        assert granted == {f"the broker grants the subscription to {name} now" for name in ("orders", "mode")}
        heard.next(LinkUp)
        assert len(heard.all) == 5, "each is told once"


@pytest.mark.usefixtures("quick")
def test_a_subscription_refused_for_good_does_not_keep_us_silent(
    link: MakeLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stoker.link.link.STAND_WITHIN", 0.3)
    with TinyBroker({4: connack(0)}) as tiny:
        tiny.refused = {"forbidden": 0x80}
        _, heard = link(plain(tiny.port, protocol="3.1.1"), "orders", "forbidden")
        heard.notice("subscription-refused")
        refused = time.monotonic()
        heard.next(LinkUp)
        assert time.monotonic() - refused < 3
        monkeypatch.setattr("stoker.link.link.STAND_WITHIN", 100.0)  # the next time it is not waited for
        tiny.hang_up()
        heard.down("closed")
        heard.next(LinkUp)
        tiny.refused = {}
        assert heard.notice("subscription-granted").text == "the broker grants the subscription to forbidden now"


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("code", sorted(FOR_GOOD))
def test_where_mqtt_5_says_that_it_is_for_good_nobody_waits(link: MakeLink, code: int) -> None:
    with TinyBroker({5: connack(0, 5)}) as tiny:
        tiny.refused = {"forbidden": code}
        _, heard = link(plain(tiny.port), "orders", "forbidden")
        heard.notice("subscription-refused")
        heard.next(LinkUp, timeout=5)
        tiny.refused = {}
        heard.notice("subscription-granted")


def test_refused_ones_are_asked_for_more_and_more_seldom() -> None:
    standing = Subscriptions(lambda: 1.0)
    pauses, now = [], 100.0
    for packet in range(8):
        assert standing.missing(["x"], now) == ["x"]
        standing.asked(packet, ["x"], now)
        standing.answered(packet, [0x80], now)
        pauses.append(standing.next_retry(["x"]) - now)
        now = standing.next_retry(["x"])
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]


def test_many_filters_are_asked_for_a_few_at_a_time(link: MakeLink) -> None:
    with TinyBroker({5: connack(0, 5)}) as tiny:
        _, heard = link(plain(tiny.port), "a/#/b", *(f"zone/{number}/set" for number in range(20)))
        heard.next(LinkUp)
        asked = [body.count(b"zone/") for _, body in tiny.received(8)]
        assert asked == [8, 8, 4]


def test_a_broker_that_hangs_up_on_subscriptions_with_qos_1_is_asked_for_qos_0(link: MakeLink) -> None:
    with TinyBroker({5: connack(0, 5)}) as tiny:
        tiny.best = 0
        _, heard = link(plain(tiny.port), "orders")
        text = heard.down("closed").text
        assert text.endswith(
            "closed the connection without an answer to our subscriptions: does it forbid one of our topics?"
            " The next try asks for QoS 0"
        )
        heard.next(LinkUp)
        tiny.best = 2
        tiny.hang_up()
        heard.next(LinkUp)
        assert [body[-1] for _, body in tiny.received(8)] == [1, 0, 1]


def test_who_was_refused_asks_again_when_the_question_before_is_answered() -> None:
    standing = Subscriptions(lambda: 1.0)
    standing.asked(1, ["a", "b"], 0.0)
    standing.answered(1, [REFUSED, REFUSED], 0.0)
    due = standing.next_retry(["a", "b"])
    standing.asked(2, ["a"], due)
    assert standing.next_retry(["a", "b"]) == math.inf, "until then nobody needs to look at the clock"
    standing.answered(2, [1], due + 5)
    assert standing.next_retry(["a", "b"]) == due
