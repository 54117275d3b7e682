"""Three nodes of RabbitMQ: Debian's rabbitmq-server with its MQTT plugin, and an epmd that tells them their ports."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from broker.cluster.node import NAMES, Cluster, Node, server
from broker.mosquitto import HOST, Authority, free_port

NOTICES_AFTER = 8  # seconds after which a node that has fallen silent is given up by the others; 60 by itself
SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"  # Debian's on the path goes to the system's own user and folders

CONFIGURATION = """
listeners.tcp = none
mqtt.listeners.tcp = none
mqtt.listeners.ssl.default = {host}:{port}
mqtt.allow_anonymous = false
ssl_options.certfile = {certificate}
ssl_options.keyfile = {key}
default_user = {user}
default_pass = {password}
cluster_formation.peer_discovery_backend = classic_config
cluster_partition_handling = pause_minority
log.console = true
log.file = false
{nodes}
"""


class RabbitMq(Node):
    """One rabbitmq-server; `epmd`: the port at which the nodes find each other."""

    def __init__(self, name: str, directory: Path, authority: Authority, epmd: int) -> None:
        self._program = server(SERVER, "rabbitmq-server")
        super().__init__(name, directory, authority)
        self._epmd = epmd
        self._distribution = free_port()
        certificate, key = authority.issue(HOST, "localhost")
        ((user, password),) = self.users.items()
        self._configuration = self.directory / "rabbitmq.conf"
        self._configuration.write_text(
            CONFIGURATION.format(
                host=HOST,
                port=self.port,
                certificate=certificate,
                key=key,
                user=user,
                password=password,
                nodes="\n".join(
                    f"cluster_formation.classic_config.nodes.{number} = {other}@localhost"
                    for number, other in enumerate(NAMES, 1)
                ),
            )
        )
        self._plugins = self.directory / "plugins"
        self._plugins.write_text("[rabbitmq_mqtt].\n")
        cookie = self.directory / ".erlang.cookie"
        cookie.write_text("STORIES")
        cookie.chmod(0o400)

    def command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        """Everything that it keeps is in its folder, which is its home too."""
        address = "{" + HOST.replace(".", ",") + "}"
        erl = f"-kernel inet_dist_use_interface {address} -kernel net_ticktime {NOTICES_AFTER} +sbwt none"
        return [self._program], {
            "HOME": str(self.directory),
            "ERL_EPMD_PORT": str(self._epmd),
            "RABBITMQ_NODENAME": f"{self.name}@localhost",
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": erl,
            "RABBITMQ_CONFIG_FILE": str(self._configuration),
            "RABBITMQ_CONF_ENV_FILE": str(self.directory / "none"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._plugins),
            "RABBITMQ_MNESIA_BASE": str(self.directory / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.directory),
            "RUNNING_UNDER_SYSTEMD": "true",  # then the script becomes the server, and its process id the server's
        }


class RabbitMqCluster(Cluster):
    """The nodes and their epmd."""

    def __init__(self, directory: Path, authority: Authority) -> None:
        self._port = free_port()
        self._epmd: subprocess.Popen[bytes] | None = None
        super().__init__([RabbitMq(name, directory, authority, self._port) for name in NAMES])

    def heal(self) -> None:
        """The first time one after the other: nodes that all make the cluster at once may not agree."""
        if self._epmd is None:
            command = [server("epmd", "rabbitmq-server"), "-port", str(self._port), "-address", HOST]
            self._epmd = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.nodes[0].start()
            self.nodes[0].wait()
        super().heal()

    def end(self) -> None:
        """The epmd goes last."""
        super().end()
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait()
