"""What `stoker demo` needs and nothing else does: a broker on the spot."""
