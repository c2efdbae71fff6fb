"""How compile time and memory grow with weights and ops: `python -m bench.scale`."""
