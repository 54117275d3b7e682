"""Thermometers and heaters. This package never imports `stoker`."""
