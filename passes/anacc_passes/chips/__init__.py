"""Several chips, and several rounds of one."""
