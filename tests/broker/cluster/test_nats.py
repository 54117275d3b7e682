"""A cluster of NATS that loses the node that we are on, or all: we are back, and nothing is lost.

After a loss NATS elects leaders for some seconds. Meanwhile it answers no CONNECT, or refuses subscriptions. A will
goes with its node.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.cluster import stories
from broker.cluster.nats import nats
from broker.cluster.node import Cluster, Node
from broker.cluster.stories import MakeWitness
from broker.mosquitto import Authority
from broker.watching import MakeLink
from daemon.running import MakeDaemon

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def started(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = nats(tmp_path_factory.mktemp("nats"), authority)
    yield made
    made.end()


def test_its_node_is_killed(cluster: Cluster, daemon: MakeDaemon, witness: MakeWitness) -> None:
    stories.a_device_moves_on(cluster, daemon, witness, Node.kill)


def test_its_node_falls_silent(cluster: Cluster, daemon: MakeDaemon, witness: MakeWitness) -> None:
    stories.a_device_moves_on(cluster, daemon, witness, Node.freeze)


def test_every_node_is_killed(cluster: Cluster, daemon: MakeDaemon, witness: MakeWitness) -> None:
    stories.a_device_outlives_the_cluster(cluster, daemon, witness)


def test_no_reading_is_lost_with_a_node(cluster: Cluster, link: MakeLink, witness: MakeWitness, tmp_path: Path) -> None:
    # A busy NATS may not deliver to one of its listeners what it has acknowledged and delivered to another.
    stories.no_reading_is_lost(cluster, link, witness, tmp_path, Node.kill, heard_by=any)
