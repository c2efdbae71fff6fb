"""From ONNX to the graph level of the IR.

`import_model` reads a model and gives a module whose `source` is a `SourceModel`;
`supported_operators` lists what the chip can run, and on what conditions.
"""

from anacc.frontend.importer import import_model
from anacc.frontend.registry import supported_operators
from anacc.frontend.source import Port, Ports, SourceModel

__all__ = ["Port", "Ports", "SourceModel", "import_model", "supported_operators"]
