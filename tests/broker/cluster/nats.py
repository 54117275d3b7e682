"""Three nodes of NATS: Debian's nats-server with its MQTT gateway, which keeps all that lasts in JetStream."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from broker.cluster.node import NAMES, Cluster, Node, server
from broker.mosquitto import HOST, Authority, free_port

# Without stream_replicas it makes as many copies as there are nodes when the first client comes; of two, none may go.
CONFIGURATION = """
server_name: {name}
listen: "{host}:{clients}"
jetstream {{ store_dir: "{directory}/jetstream" }}
cluster {{ name: stories, listen: "{host}:{routes}", routes: [{others}] }}
mqtt {{
    listen: "{host}:{port}"
    tls {{ cert_file: "{certificate}", key_file: "{key}" }}
    stream_replicas: 3
}}
authorization {{ users: [{users}] }}
"""


class Nats(Node):
    """One nats-server; `routes`: the ports at which the nodes meet."""

    def __init__(self, name: str, directory: Path, authority: Authority, routes: Mapping[str, int]) -> None:
        self._program = server("nats-server", "nats-server")
        super().__init__(name, directory, authority)
        certificate, key = authority.issue(HOST, "localhost")
        self._configuration = self.directory / "nats.conf"
        self._configuration.write_text(
            CONFIGURATION.format(
                name=name,
                host=HOST,
                port=self.port,
                clients=free_port(),
                directory=self.directory,
                routes=routes[name],
                others=", ".join(f'"nats-route://{HOST}:{port}"' for other, port in routes.items() if other != name),
                certificate=certificate,
                key=key,
                users=", ".join(f'{{user: {user}, password: "{word}"}}' for user, word in self.users.items()),
            )
        )

    def command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        """A nats-server needs nothing but its file."""
        return [self._program, "-c", str(self._configuration)], {}


def nats(directory: Path, authority: Authority) -> Cluster:
    """The cluster, not yet started."""
    routes = {name: free_port() for name in NAMES}
    return Cluster([Nats(name, directory, authority, routes) for name in NAMES])
