"""Spans of time as people write them."""

import re

MILLISECONDS = {"d": 86_400_000, "h": 3_600_000, "min": 60_000, "s": 1000, "ms": 1}


def parse_seconds(text: str) -> float:
    """Seconds from "500ms", "10s", "5min", "4h", "2d" or a sum such as "1h30min". Raises ValueError."""
    parts = re.findall(r"([0-9]+(?:\.[0-9]+)?)(ms|s|min|h|d)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not a span")
    return sum(float(number) * MILLISECONDS[unit] for number, unit in parts) / 1000


def show_seconds(seconds: float) -> str:
    """The text that `parse_seconds` reads, to the millisecond."""
    rest, parts = round(seconds * 1000), ""
    for unit, size in MILLISECONDS.items():
        count, rest = divmod(rest, size)
        parts += f"{count}{unit}" if count else ""
    return parts or "0s"
