"""Clusters that last for a file of stories, whole at the start of each, and who looks on at their nodes."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from broker.cluster.node import Cluster, Node
from broker.cluster.stories import MakeWitness
from broker.cluster.witness import Witness
from daemon import running
from daemon.conftest import daemon  # noqa: F401 - a fixture


@pytest.fixture
def cluster(started: Cluster, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """The file's cluster, with every node at work."""
    monkeypatch.setattr(running, "PATIENCE", 120.0)
    started.heal()
    return started


@pytest.fixture
def witness() -> Iterator[MakeWitness]:
    """Make clients that look on at a node."""
    with ExitStack() as stack:

        def make(node: Node, *filters: str) -> Witness:
            made = Witness(node, *filters)
            stack.callback(made.close)
            return made

        yield make
