"""Programs of chip modules that tests write as text."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from anacc.ir import verify
from anacc.ir.parse import parse_module
from anacc.program.image import Image
from anacc.program.manifest import Port
from anacc.targets import Target
from anacc_backends.emit import Origin, emit
from tests.passes.chips import target

HERMES = target()


@dataclass
class FakeSource:
    """The ONNX model behind a module: notes what is cut out of it."""

    asked: list[tuple[tuple[str, ...], ...]] = field(default_factory=list)

    def extract(
        self, nodes: tuple[str, ...], inputs: tuple[str, ...], outputs: tuple[str, ...]
    ) -> bytes:
        self.asked.append((nodes, inputs, outputs))
        return f"model {len(self.asked)}".encode()


def program(text: str, source: object = None, chip: Target = HERMES) -> Image:
    """The program of a routed chip module."""
    module = parse_module(text)
    verify(module)
    port = Port(name="x", dtype="float32", shape=(None, 4), batch_axis=0)
    origin = Origin(
        "0" * 64, (port,), (port.model_copy(update={"name": "y"}),), {}, {}, ("a warning",)
    )
    return emit(replace(module, source=source or FakeSource()), chip, origin)
