"""What the lowering refuses."""


class Unsupported(Exception):
    """A program is valid, but of a shape for which there are no native operations; the reference
    executes it."""
