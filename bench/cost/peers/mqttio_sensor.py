"""A sensor module for mqtt-io: the kernel's file of a DS18B20. (Its own looks below /sys alone.)"""

import os
from pathlib import Path
from typing import Any

from mqtt_io.modules.sensor import GenericSensor


class Sensor(GenericSensor):  # type: ignore[misc]
    """One thermometer."""

    def setup_module(self) -> None:
        """Nothing to do."""

    def get_value(self, _: Any) -> float | None:
        """°C, or None where the kernel's checksum was wrong."""
        first, second = Path(os.environ["BENCH_SENSOR"]).read_text().splitlines()
        return float(second.split("t=")[1]) / 1000 if first.endswith("YES") else None
