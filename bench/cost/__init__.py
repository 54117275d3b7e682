"""What stoker costs, beside others that do the same work. `make bench` runs it; `__main__.py` says what it measures."""
