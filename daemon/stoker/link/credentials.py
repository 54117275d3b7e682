"""Where a secret lies that the configuration does not name by its whole path.

Rule: in the service systemd shows them in $CREDENTIALS_DIRECTORY. A command typed by root finds them where systemd
takes them from: /etc/credstore/stoker.NAME, as `systemd/stoker.service` says.
"""

import os
from pathlib import Path

STORE = Path("/etc/credstore")  # of systemd, see systemd.exec(5)


def place(name: str) -> Path:
    """The file of the credential `name`. It may not exist."""
    if folder := os.environ.get("CREDENTIALS_DIRECTORY"):
        return Path(folder, name)
    return STORE / f"stoker.{name}"
