"""Subscriptions: refused ones are told and asked for again; the set may change while the connection stands."""

import json
from pathlib import Path

import pytest

from broker.mosquitto import MakeBroker, Mosquitto
from broker.watching import MakeLink, MakeObserver
from stoker.core.messages import LinkUp, Message, Notice

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
    monkeypatch.setattr("stoker.link.subscriptions.RETRY_AFTER", 0.1)
    _, heard = link(guarded.settings(protocol=protocol), "allowed", "forbidden/order")
    heard.next(LinkUp)
    text = heard.notice("subscription-refused").text
    assert text.startswith("the broker refused the subscription to forbidden/order: ")
    assert text.endswith("It is asked again every 30 s")
    assert "grant it" in text or protocol == "3.1.1"
    others = observer(guarded)
    others.say("allowed", "meanwhile")
    assert heard.next(Message).payload == b"meanwhile"
    command = {"command": "removeRoleACL", "rolename": "guest", "acltype": "subscribePattern", "topic": "forbidden/#"}
    others.say("$CONTROL/dynamic-security/v1", json.dumps({"commands": [command]}))
    others.say("forbidden/order", "kept", retain=True)
    assert heard.next(Message).payload == b"kept"
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
    heard.next(LinkUp)
    notices = [heard.notice("subscription-refused").text for _ in range(2)]
    assert notices == ["'a/#/b' is no topic filter that MQTT allows", "'room+' is no topic filter that MQTT allows"]
    observer(broker).say("good/order", "21")
    assert heard.next(Message).payload == b"21"
