"""What one writes after the tutorials: paho-mqtt with loop_start(), gpiozero, time.sleep().

The relay is gpiozero's on pins in memory, each of which also writes 1 or 0 to a file.
"""

import os
import time
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from gpiozero import Device, OutputDevice
from gpiozero.pins.mock import MockFactory, MockPin

env = {name.removeprefix("BENCH_"): value for name, value in os.environ.items() if name.startswith("BENCH_")}
switched = os.open(env["RELAY"], os.O_WRONLY | os.O_APPEND)


class Pin(MockPin):
    """A pin in memory that tells."""

    def _set_state(self, value: bool) -> None:
        super()._set_state(value)
        self.states.clear()  # it keeps every change for ever
        os.write(switched, b"1" if value else b"0")


def read_temperature() -> float:
    """As every tutorial on the DS18B20 does it."""
    lines = Path(env["SENSOR"]).read_text().splitlines()
    while not lines[0].strip().endswith("YES"):
        time.sleep(0.2)
        lines = Path(env["SENSOR"]).read_text().splitlines()
    return float(lines[1].split("t=")[1]) / 1000.0


Device.pin_factory = MockFactory(pin_class=Pin)
relay = OutputDevice(17)


def on_connect(client: mqtt.Client, *_: Any) -> None:
    """Subscribe."""
    client.subscribe("RELAY/set", qos=1)


def on_message(client: mqtt.Client, _: Any, message: mqtt.MQTTMessage) -> None:
    """Obey."""
    if message.payload == b"ON":
        relay.on()
    elif message.payload == b"OFF":
        relay.off()
    else:
        return
    client.publish("RELAY", "ON" if relay.value else "OFF", qos=1, retain=True)


client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="tutorial")
client.username_pw_set(env["USER"], env["PASSWORD"])
client.tls_set(ca_certs=env["CA"])
client.on_connect = on_connect
client.on_message = on_message
client.connect(env["HOST"], int(env["PORT"]), int(env["KEEPALIVE"]))
client.loop_start()
while True:
    client.publish("TEMPERATURE", f"{read_temperature():.2f}", qos=1)
    time.sleep(float(env["INTERVAL"]))
