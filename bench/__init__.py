"""The benchmark: anacc beside other engines on the same machine, as ratios; see
docs/performance.md.  `make bench` or `python -m bench` runs it."""
