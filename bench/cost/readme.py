"""Tables in the README that commands write."""

from cost.daemons import ROOT

README = ROOT / "README.md"
UNTIL = "<!-- until here -->\n"


def insert(command: str, text: str) -> None:
    """Put this in the place of what the command wrote the last time."""
    begin = f"<!-- written by {command} -->\n"
    before, rest = README.read_text().split(begin)
    README.write_text(before + begin + text + UNTIL + rest.split(UNTIL, 1)[1])
