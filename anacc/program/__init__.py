"""The chip program: its data model, instruction set, encodings and container.

This package is all that the compiler's backend and the runtime share.
"""
