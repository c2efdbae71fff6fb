"""How each chip op becomes the stream of a unit."""
