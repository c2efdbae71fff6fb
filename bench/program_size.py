"""`python -m bench.program_size NAME...`: how much code the programs of generated networks have.

The chip is HERMES with as many cores as each network wants: 64 x 64.  Weights and calibration data
are random; they change hardly more than how many bytes a converter setting takes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from anacc.compiler import compile_image
from anacc.program.encode import encode
from anacc.program.model import Code, Loop, Node
from bench import shapes
from bench.feeds import random_feed

TARGET = """\
inherit = "hermes"
[grid]
rows = 64
columns = 64
"""


@dataclass(frozen=True)
class ProgramSize:
    """What a program consists of beside its weights.

    Attributes:
        streams: of all units.
        instructions: of all streams, a loop counting as one.
        code: bytes of the member that holds them.
        constants: bytes of scales and offsets.
    """

    streams: int
    instructions: int
    code: int
    constants: int


def program_size(model: onnx.ModelProto) -> ProgramSize:
    """Compile a model and measure its program."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of how accurate random weights are
        target = Path(folder) / "large.toml"
        target.write_text(TARGET)
        image, _ = compile_image(
            model, target=target, calibration=[random_feed(model)], calibration_method="minmax"
        )
    constants = image.constants16.nbytes + image.constants32.nbytes
    code = image.code
    return ProgramSize(len(code.streams), instructions(code), len(encode(code)), constants)


def instructions(code: Code) -> int:
    """Instructions and loops of all streams."""
    return sum(_count(stream.body) for stream in code.streams)


def _count(body: tuple[Node, ...]) -> int:
    return sum(1 + (_count(node.body) if isinstance(node, Loop) else 0) for node in body)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the sizes of the networks that are named; the exit status is 2 at an unknown name."""
    parser = argparse.ArgumentParser(prog="python -m bench.program_size", description=__doc__)
    parser.add_argument("names", nargs="+", help="networks of `python -m bench.shapes`")
    try:
        for name in parser.parse_args(arguments).names:
            size = program_size(shapes.build(name))
            print(
                f"{name}: {size.code:,} bytes of code, {size.instructions:,} instructions, "
                f"{size.streams:,} streams; {size.constants:,} bytes of constants",
                flush=True,
            )
    except (shapes.UnknownNetwork, shapes.TooLarge) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
