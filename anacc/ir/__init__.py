"""The intermediate representation: one SSA structure, three vocabularies.

Levels, from the model to the chip::

    graph   what networks are made of; one or a few ops for each node     (anacc.ir.graph_ops)
    layer   crossbar layers with fused affine, residual and activation (anacc.ir.layer_ops)
    chip    one op for each stream of the program; values are channels (anacc.ir.chip_ops)
"""

from anacc.ir.module import BATCH, Channel, Level, Module, Op, TensorType, Value
from anacc.ir.spec import Attribute, OpSpec, spec_of
from anacc.ir.verify import verify

__all__ = [
    "BATCH",
    "Attribute",
    "Channel",
    "Level",
    "Module",
    "Op",
    "OpSpec",
    "TensorType",
    "Value",
    "spec_of",
    "verify",
]
