"""Every configuration in `etc/examples/` works: no error, and no warning but that secrets are missing here."""

from pathlib import Path

import pytest

from stoker import devices

EXAMPLES = sorted((Path(__file__).parents[2] / "etc" / "examples").glob("*.toml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_a_configuration(path: Path) -> None:
    config = devices.load(path)

    assert config.core.zones
    expected = ("this file cannot be read now", "stuck_on_after")  # which yeast asks to be switched off
    assert [line for line in config.warnings if not any(words in line for words in expected)] == []


def test_there_is_one_for_each_that_people_ask_for() -> None:
    names = " ".join(path.stem for path in EXAMPLES)
    for word in ("room", "follows", "greenhouse", "fermentation", "boiler", "aquarium"):
        assert word in names
