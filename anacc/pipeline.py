"""The passes of the compiler in order: the table of contents."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from anacc.calibration import Feed
from anacc.mapping_file import MappingFile
from anacc.targets import Target
from anacc_passes.advance import Advance
from anacc_passes.calibrate import Calibrate
from anacc_passes.converter_noise import converter_noise
from anacc_passes.cut_layers import Cut
from anacc_passes.equalise import Equalise
from anacc_passes.fuse import Fuse
from anacc_passes.infrastructure import Pass
from anacc_passes.integers import Integers
from anacc_passes.normalise import Normalise
from anacc_passes.pair import Pair
from anacc_passes.partition import Partition
from anacc_passes.place import Place
from anacc_passes.quantise import Quantise
from anacc_passes.replicate import Replicate
from anacc_passes.route import Route
from anacc_passes.tabulate import Tabulate
from anacc_passes.tile import Tile

PASSES = (
    Tabulate,
    Integers,
    Partition,
    Pair,
    Normalise,
    Calibrate,
    Advance,
    Fuse,
    Equalise,
    Quantise,
    Cut,
    Tile,
    Replicate,
    Place,
    Route,
)
"""The classes of the passes, in the order of `pipeline`."""


@dataclass(frozen=True)
class PassOptions:
    """What the passes are told beside the module; see `compile_image`.

    Attributes:
        target: the chip.
        read_mode: one of the target's.
        feeds: calibration data.
        method: calibration method.
        packing, correction, strict: as given.
        row_copies: whether rows that a tile leaves free hold copies of its rows.
        mapping: where a user wants layers to lie.
        chips: how many chips there are at most; None: as many as it takes.
        reload: whether crossbars may be programmed anew between rounds.
        optimize: as given.
        effort: of the placement, 0 to 3.
        seed: of chance.
    """

    target: Target
    read_mode: str
    feeds: tuple[Feed, ...]
    method: str = "mse"
    packing: str = "auto"
    correction: str = "bias"
    strict: bool = False
    row_copies: bool = True
    mapping: MappingFile | None = None
    chips: int | None = 1
    reload: bool = False
    optimize: str | None = None
    effort: int = 1
    seed: int = 0


def _crossbars(options: PassOptions) -> int | None:
    """How many crossbars there are; None: never too few, for they are programmed anew."""
    if options.reload:
        return None
    return options.target.cores * (options.chips or options.target.grid.max_chips.value)


def pipeline(options: PassOptions) -> tuple[Pass, ...]:
    """All passes in order."""
    target, feeds, read_mode = options.target, options.feeds, options.read_mode
    # What converters will add is part of the error that the method `mse` minimises.
    noise = partial(converter_noise, target=target, read_mode=read_mode)
    return (
        # Make chains of functions of one element one table each, if the target has tables.
        Tabulate(target, feeds),
        # Say what the integers of a quantised model stand for.
        Integers(),
        # Decide what runs on the chip; the rest goes to ONNX Runtime, in few segments.
        Partition(target, options.strict),
        # Hold what a quantised model quantises on its own grids.  From here on, nothing on the chip
        # is an integer tensor.
        Pair(),
        # Drop what does nothing.  From here on, no op of the graph is superfluous.
        Normalise(),
        # Learn the range of each value from calibration data.
        Calibrate(feeds, options.method, noise),
        # Bring activations before the data movement that a transposed convolution ends with.
        Advance(target),
        # Gather what one LDPU does into one layer.  From here on, ops are layers.
        Fuse(target),
        # Give each channel that depthwise convolutions read a range of its own.
        Equalise(feeds, options.method, noise),
        # Settle the scale of each value.  From here on, scales are fixed.
        Quantise(),
        # Where crossbars are short, cut layers so that they fill them.
        Cut(target, options.packing, _crossbars(options), options.mapping),
        # Cut layers into crossbar tiles and streams.  From here on, values are channels.
        Tile(target, read_mode, feeds, options.correction, options.row_copies, options.chips or 1),
        # Copy layers to cores that would be idle, if that is asked for.
        Replicate(target, options.optimize, options.packing, options.chips or 1),
        # Give each stream a unit, each tile its place on a crossbar.
        Place(
            target,
            options.packing,
            options.chips,
            options.reload,
            options.mapping is not None,
            options.optimize,
            options.effort,
            options.seed,
        ),
        # Give each transfer its links.
        Route(target, options.effort),
    )
