"""A GPIO module for mqtt-io: a relay that is a file. As with each of its modules a thread of its pool sets the pin."""

import os
from typing import Any

from mqtt_io.modules.gpio import GenericGPIO


class GPIO(GenericGPIO):  # type: ignore[misc]
    """One pin."""

    def setup_module(self) -> None:
        """Once."""
        self.file = os.open(os.environ["BENCH_RELAY"], os.O_WRONLY | os.O_APPEND)
        self.value = False

    def setup_pin(self, *_: Any, **__: Any) -> None:
        """Nothing to do."""

    def set_pin(self, _: Any, value: bool) -> None:
        """Switch."""
        os.write(self.file, b"1" if value else b"0")
        self.value = value

    def get_pin(self, _: Any) -> bool:
        """How it is."""
        return self.value
