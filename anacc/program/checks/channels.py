"""Channels: one writer, at least one reader, and each reader takes all tokens."""

from __future__ import annotations

from anacc.program.checks.fault import fault, stream_fault
from anacc.program.graph import readers, stream_borders, traffic, writers
from anacc.program.image import Image
from anacc.program.model import Code
from anacc.program.names import shown


def check_channels(image: Image) -> None:
    """Channels have one writer, readers that stand in no earlier round, and balanced tokens.
    (Tensors stay on the host because no instruction of the chip moves them.)

    Raises:
        ProgramError: a channel breaks this.
    """
    code, moved = image.code, traffic(image.code, image.manifest)
    ends = zip(writers(moved), readers(moved), strict=True)
    for number, (sources, sinks) in enumerate(ends):
        if len(sources) != 1:
            raise fault(f"channel {number} has {len(sources)} writers, not one")
        if not sinks:
            raise fault(f"channel {number} has no reader")
        (writer,) = sources
        if writer in sinks:
            raise stream_fault(
                writer, code.streams[writer], f"both writes and reads channel {number}"
            )
        tokens = moved.sent[writer][number]
        for reader in sinks:
            taken = moved.received[reader][number]
            if taken != tokens:
                raise stream_fault(
                    reader,
                    code.streams[reader],
                    f"takes {taken} tokens of channel {number}, into which "
                    f"{_name(code, writer)} puts {tokens}",
                )
            if code.streams[reader].round < code.streams[writer].round:
                raise stream_fault(
                    reader,
                    code.streams[reader],
                    f"reads channel {number} in round {code.streams[reader].round}, but "
                    f"{_name(code, writer)} writes it in round {code.streams[writer].round}",
                )
    _check_borders(image)


def _check_borders(image: Image) -> None:
    """A host stream moves a channel through one border: it holds one tensor, not several."""
    for position, stream in enumerate(image.code.streams):
        used: set[int] = set()
        for _, border in stream_borders(stream, image.manifest):
            channel = image.manifest.borders[border].channel
            if channel in used:
                raise stream_fault(
                    position, stream, f"moves channel {channel} through more than one border"
                )
            used.add(channel)


def _name(code: Code, position: int) -> str:
    return f"stream {position} `{shown(code.streams[position].name)}`"
