"""Compare a program with its model: data flow, multiply-adds, weights, scales.

The program is run on fingerprints, then the model; wherever the program says, or the border to the
host fixes, that channels hold a tensor of the model, both must agree element by element.  After a
difference both go on with the program's, so that each fault is told where it arises.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anacc.program.image import Image
from anacc.program.model import Format
from anacc.verification.algebra import Prints
from anacc.verification.blocks import Region, regions
from anacc.verification.bounds import is_too_large
from anacc.verification.codes import Floats, check_codes
from anacc.verification.coverage import Tile
from anacc.verification.faults import Findings
from anacc.verification.flow import Flow
from anacc.verification.graph import OnnxGraph, read_graph
from anacc.verification.held import Holding, holdings
from anacc.verification.layers import Surroundings, readers_of, surroundings
from anacc.verification.matrices import Matrix, matrix_of
from anacc.verification.model_flow import ModelFlow
from anacc.verification.scales import Scales, check_scales
from anacc.verification.structure import Ends, host_borders, integer, named, steps


def check_against_model(
    image: Image, ends: Ends, tiles: list[Tile], path: Path, findings: Findings
) -> None:
    """Prove that the program computes what the model says.

    Args:
        image: the program; its streams move balanced tokens.
        ends: of its channels.
        tiles: its tiles.
        path: the model.
        findings: where faults go.
    """
    graph = read_graph(path)
    model = _Model(image, ends, graph, findings)
    model.follow()
    model.count(tiles)
    model.weights(tiles)


class _Model:
    def __init__(self, image: Image, ends: Ends, graph: OnnxGraph, findings: Findings) -> None:
        self.image, self.ends, self.graph, self.findings = image, ends, graph, findings
        self.producer = {
            output: name
            for node, name in zip(graph.nodes, graph.names, strict=True)
            for output in node.output
        }
        self.holdings = holdings(image)
        self.compared = self.proven = 0
        self.adopted: list[str] = []
        self.matrices: dict[str, Matrix] = {}
        self.flow: ModelFlow | None = None
        self.regions: dict[int, Region] = {}

    def follow(self) -> None:
        """Run program and model on fingerprints."""
        self._fold()
        for node, name in zip(self.graph.nodes, self.graph.names, strict=True):
            matrix = matrix_of(self.graph, node, name)
            if matrix is not None and name not in self.matrices:
                self.matrices[name] = matrix
        stated_ = self.image.origin.get("weights", [])
        names = {node for each in stated_ for node in each["nodes"]}
        if names and names.isdisjoint(self.graph.names):
            reason = "this is not the model of the program: it has no node of its layers"
            self.findings.fault("coverage", reason)
            return
        self.regions = regions(self.image, self.matrices)
        for number, stated in enumerate(self.image.origin.get("weights", [])):
            region = self.regions.get(number)
            if region is None:
                self.findings.fault(
                    "coverage", f"weight block {number} does not have the size of its region"
                )
            elif region.matrix is None:
                alike = region.node in self.matrices
                reason = "columns that look alike" if alike else "no constant matrix of its name"
                self.findings.unproven.append(f"layer `{stated['layer']}`: the model has {reason}")
        if len(self.regions) < len(self.image.code.weights):
            return
        for region in self.regions.values():
            if region.matrix is None:
                self.matrices.pop(region.node, None)
        if is_too_large(self.image, self.ends):
            self.findings.unproven.append("the data flow: the program is too large to follow it")
            return
        kept = {
            channel
            for each in self.holdings.values()
            for holding in each
            for channel in holding.channels
        }
        blocks = {number: region.block() for number, region in self.regions.items()}
        program = Flow(self.image, self.ends, blocks, kept, self.findings)
        program.run()
        self.tracks = program.tracks
        self.flow = ModelFlow(
            self.graph, self._inputs(), self._sources(), self.matrices, self._settle
        )
        self.flow.run()
        self.findings.figures["flow"] = {
            "elements_compared": self.proven,
            "tensors_compared": self.compared,
            "tensors_taken_as_stated": len(self.adopted),
        }
        if self.adopted:
            self.findings.unproven.append(
                "no rule for what makes these tensors, so they are taken as the program has them: "
                + ", ".join(f"`{name}`" for name in self.adopted[:20])
                + (" and more" if len(self.adopted) > 20 else "")
            )

    def _fold(self) -> None:
        """Constants that are computed from constants, so that their matrices are known."""
        ModelFlow(self.graph, {}, {}, {}, lambda name, prints: None).run()

    def _inputs(self) -> dict[str, tuple[tuple[int, ...], int | None]]:
        ports = self.image.manifest.inputs
        batch = self.image.manifest.batch or 1
        return {
            port.name: (tuple(batch if s is None else s for s in port.shape), port.batch_axis)
            for port in ports
        }

    def _sources(self) -> dict[str, tuple[tuple[int, ...], int | None]]:
        """Tensors that the host gives to the chip."""
        batch = self.image.manifest.batch or 1
        found = {}
        for stream in self.image.code.streams:
            for way, number in host_borders(self.image, stream):
                border = self.image.manifest.borders[number]
                tensor = self.image.code.channels[border.channel].format is Format.TENSOR
                if way == "send" and not tensor:
                    shape = tuple(batch if size is None else size for size in border.shape)
                    found[border.name] = shape, border.batch_axis
        return found

    def _settle(self, name: str, prints: Prints | None) -> Prints | None:
        """Compare a tensor with what the program holds."""
        for holding in self.holdings.get(name, []):
            held = holding.prints(self.tracks)
            if held is None:
                self._differs(name, holding, "the tokens of its channels do not make it up")
                continue
            if prints is None:
                self.adopted.append(name)
                prints = holding.batched(held, self._batch)
                continue
            ours = prints if holding.axis is None else prints.take(0, axis=holding.axis)
            if ours.shape != held.shape:
                self._differs(name, holding, f"it is {ours.shape}, the program's {held.shape}")
                return prints
            self.compared += 1
            self.proven += held.size
            wrong = ours != held
            if wrong.any():
                where = tuple(int(i) for i in np.argwhere(wrong)[0])
                self._differs(
                    name,
                    holding,
                    f"element {where} is not made of the products and elements that the model "
                    f"says ({int(wrong.sum())} of {wrong.size} elements differ)",
                )
                prints = holding.batched(held, self._batch)
        return prints

    @property
    def _batch(self) -> int:
        return self.image.manifest.batch or 1

    def _differs(self, name: str, holding: Holding, reason: str) -> None:
        writers = sorted({self.ends.writer[channel] for channel in holding.channels})
        node = f" of node `{self.producer[name]}`" if name in self.producer else ""
        streams = ", ".join(named(self.image, writer) for writer in writers[:3])
        self.findings.fault("flow", f"tensor `{name}`{node}, which {streams} gives: {reason}")

    def count(self, tiles: list[Tile]) -> None:
        """Multiply-adds per sample, as the program does and as the model states them."""
        if self.flow is None:
            return
        done: dict[str, int] = {}
        for tile in tiles:
            for step in steps(self.image.code.streams[tile.stream].body):
                if step.instr.op == "program":
                    region = self.regions[integer(step.instr, "weight")]
                    done[region.node] = done.get(region.node, 0) + region.cells * tile.products
        counted = 0
        for name, number in done.items():
            positions = self.flow.positions.get(name)
            if positions is None:
                continue
            stated = positions * self.matrices[name].cells
            counted += stated
            if stated != number:
                self.findings.fault(
                    "coverage",
                    f"node `{name}`: the program does {number} multiply-adds per sample, the model "
                    f"states {stated}",
                )
        self.findings.figures["multiply_adds"] = {
            "program": sum(done.values()),
            "model": counted,
            "nodes": sum(name in self.flow.positions for name in done),
        }

    def weights(self, tiles: list[Tile]) -> None:
        """Codes, and what the LDPUs multiply and add."""
        stated = self.image.origin.get("tensors", [])
        ranges = {
            each["tensor"]: np.asarray(each["factors"], np.float64)
            for each in stated
            if each["factors"]
        }
        readers = readers_of(self.graph)
        around: dict[str, Surroundings] = {}
        channels: dict[str, Floats] = {}
        fused = {
            region.node: self.image.origin["weights"][number]["nodes"]
            for number, region in self.regions.items()
        }
        for number, name in enumerate(self.graph.names):
            matrix = self.matrices.get(name)
            if name not in fused or matrix is None:
                continue
            operand = self.graph.nodes[number].input[0]
            if operand in ranges:
                channels[name] = ranges[operand]
            found = surroundings(self.graph, readers, number, matrix, fused[name])
            if found is not None:
                around[name] = found
        correction = self.image.manifest.options.get("correction", "none")
        scales = Scales(
            {each["tensor"]: float(each["scale"]) for each in stated},
            ranges,
            {
                each["tensor"]: frozenset(
                    channel for channels_ in each["channels"].values() for channel in channels_
                )
                for each in stated
            },
            frozenset(each["tensor"] for each in stated if each["zero"]),
        )
        intervals = check_codes(self.image, self.regions, channels, self.findings)
        if correction in ("none", "bias"):
            check_scales(
                self.image, self.ends, tiles, self.regions, intervals, around, scales, self.findings
            )
        else:
            self.findings.unproven.append(
                f"scales and offsets: the correction `{correction}` changes scales by what "
                "calibration data show"
            )
