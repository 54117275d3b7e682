"""MQTT. paho lives in this folder and nowhere else."""
