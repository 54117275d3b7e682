"""Three nodes of RabbitMQ: Debian's rabbitmq-server with its MQTT plugin, and an epmd of their own that tells them where they are."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from broker.cluster.node import NAMES, Node
from broker.mosquitto import HOST, Authority, free_port, program

SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"  # what stands on the path changes the user and the folder

CONFIGURATION = """
listeners.tcp = none
mqtt.listeners.tcp = none
mqtt.listeners.ssl.default = {host}:{port}
mqtt.allow_anonymous = false
ssl_options.certfile = {certificate}
ssl_options.keyfile = {key}
default_user = shed
default_pass = s3cret
cluster_formation.peer_discovery_backend = classic_config
cluster_partition_handling = pause_minority
log.console = true
log.console.level = info
log.file = false
{nodes}
"""


class RabbitMq(Node):
    """One rabbitmq-server; `names` is the port of the epmd."""

    def __init__(self, name: str, directory: Path, authority: Authority, names: int) -> None:
        super().__init__(name, directory, authority)
        self._program = program(SERVER)
        self._names = names
        self._distribution = free_port()
        certificate, key = authority.issue(HOST, "localhost")
        (self.directory / "plugins").write_text("[rabbitmq_mqtt].\n")
        (self.directory / "rabbitmq.conf").write_text(
            CONFIGURATION.format(
                host=HOST,
                port=self.port,
                certificate=certificate,
                key=key,
                nodes="\n".join(
                    f"cluster_formation.classic_config.nodes.{number} = {other}@localhost"
                    for number, other in enumerate(NAMES, 1)
                ),
            )
        )
        cookie = self.directory / ".erlang.cookie"
        cookie.write_text("STORIES")
        cookie.chmod(0o400)

    def command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        address = "{" + HOST.replace(".", ",") + "}"
        return [self._program], {
            "HOME": str(self.directory),
            "ERL_EPMD_PORT": str(self._names),
            "RABBITMQ_NODENAME": f"{self.name}@localhost",
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"-kernel inet_dist_use_interface {address} +sbwt none",
            "RABBITMQ_CONFIG_FILE": str(self.directory / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": str(self.directory / "none"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.directory / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.directory / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.directory),
            "RUNNING_UNDER_SYSTEMD": "true",  # the script becomes the server, so its process id is the server's
        }


class Epmd:
    """Erlang's name server, for these nodes alone."""

    def __init__(self) -> None:
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self):
        self._process = subprocess.Popen(
            [program("epmd"), "-port", str(self.port), "-address", HOST],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def kill(self):
        self._process.kill()
        self._process.wait()
