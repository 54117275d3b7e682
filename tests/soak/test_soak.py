"""Ten seconds of random faults, as `make soak` does it for twenty minutes."""

from pathlib import Path

import pytest

from broker.mosquitto import program
from soak.soak import soak


def test_random_faults_lose_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program("mosquitto")
    outcome = soak(tmp_path, minutes=1 / 6, seed=7, tell=print)
    assert outcome.complaints == [], f"{outcome.text}\n{capsys.readouterr().out}"
