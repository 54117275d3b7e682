"""What a broker would close the connection for: topics and filters that MQTT does not allow (MQTT 5, 1.5.4 and 4.7)."""

from functools import lru_cache

TOPIC_BYTES = 65535
ASKED_AGAIN = 1024  # filters, our own: all that are missing are looked at with each SUBSCRIBE


def is_topic(topic: str) -> bool:
    """Whether something may be published there."""
    return _is_text(topic) and not set(topic) & {"+", "#"}


@lru_cache(ASKED_AGAIN)
def is_filter(text: str) -> bool:
    """Whether one may subscribe to it: `+` and `#` stand alone in their level, `#` in the last."""
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
