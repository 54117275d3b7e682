"""Three nodes of NATS: Debian's nats-server, with its MQTT gateway, which keeps sessions and retained messages in JetStream."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from broker.cluster.node import NAMES, Node
from broker.mosquitto import HOST, Authority, free_port, program

CONFIGURATION = """
server_name: {name}
listen: "{host}:{clients}"
jetstream {{ store_dir: "{directory}/jetstream" }}
cluster {{ name: stories, listen: "{host}:{routes}", routes: [{others}] }}
mqtt {{
    stream_replicas: 3 # otherwise as many as are up when the first client comes, and two of them bear no loss
    listen: "{host}:{port}"
    tls {{ cert_file: "{certificate}", key_file: "{key}" }}
}}
authorization {{ users: [{users}] }}
"""


class Nats(Node):
    """One nats-server."""

    def __init__(self, name: str, directory: Path, authority: Authority, routes: Mapping[str, int]) -> None:
        super().__init__(name, directory, authority)
        self._program = program("nats-server")
        certificate, key = authority.issue(HOST, "localhost")
        self._configuration = self.directory / "nats.conf"
        self._configuration.write_text(
            CONFIGURATION.format(
                name=name,
                host=HOST,
                port=self.port,
                directory=self.directory,
                clients=free_port(),
                routes=routes[name],
                others=", ".join(f'"nats-route://{HOST}:{port}"' for other, port in routes.items() if other != name),
                certificate=certificate,
                key=key,
                users=", ".join(f'{{user: {user}, password: "{word}"}}' for user, word in self.users.items()),
            )
        )

    def command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        return [self._program, "-c", str(self._configuration)], {}


def nats(directory: Path, authority: Authority) -> list[Nats]:
    """Three nodes that know each other, not yet started."""
    routes = {name: free_port() for name in NAMES}
    return [Nats(name, directory, authority, routes) for name in NAMES]
