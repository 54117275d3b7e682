"""What a broker would close the connection for: topics and filters that MQTT does not allow (MQTT 5, 1.5.4 and 4.7)."""

from functools import lru_cache

TOPIC_BYTES = 65535
ASKED_AGAIN = 1024  # topics; ours are looked at with each publication and with each SUBSCRIBE
SHORT = 100  # letters; others choose where they are answered, so longer ones are not kept


def is_topic(topic: str) -> bool:
    """Whether something may be published there."""
    return (_is_topic if len(topic) <= SHORT else _is_topic.__wrapped__)(topic)


def is_filter(text: str) -> bool:
    """Whether one may subscribe to it: `+` and `#` stand alone in their level, `#` in the last."""
    return (_is_filter if len(text) <= SHORT else _is_filter.__wrapped__)(text)


@lru_cache(ASKED_AGAIN)
def _is_topic(topic: str) -> bool:
    return _is_text(topic) and not set(topic) & {"+", "#"}


@lru_cache(ASKED_AGAIN)
def _is_filter(text: str) -> bool:
    *before, last = text.split("/")
    return _is_text(text) and all(_is_level(level) for level in before) and (last == "#" or _is_level(last))


def _is_level(level: str) -> bool:
    return level == "+" or not set(level) & {"+", "#"}


def _is_text(text: str) -> bool:
    try:
        encoded = text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return 0 < len(encoded) <= TOPIC_BYTES and text.isprintable()  # control characters end a connection too
