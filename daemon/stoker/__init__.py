"""stoker: reads a thermometer, publishes it over MQTT, and switches a heater's relay."""

__version__ = "0.1.0"
