"""From a mapped module to the program of a chip family."""
