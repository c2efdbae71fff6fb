"""Networks of well-known shapes with random weights as ONNX models, to measure the mapper on.

`python -m bench.shapes` lists them, `python -m bench.shapes NAME -o FILE.onnx` writes one, and
`build` gives one in memory.
"""

from bench.shapes.catalogue import UnknownNetwork, build, names, network
from bench.shapes.description import Network, Parameter, TooLarge

__all__ = ["Network", "Parameter", "TooLarge", "UnknownNetwork", "build", "names", "network"]
