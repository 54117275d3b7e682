"""The pure part: inputs and the time in, effects out. No I/O, no clock, no threads, no logging."""
