"""The whole proof of a program."""

from __future__ import annotations

from pathlib import Path

from anacc.program.image import Image
from anacc.targets import target_from_data
from anacc.verification.against_model import check_against_model
from anacc.verification.buffers import check_buffers
from anacc.verification.coverage import check_coverage
from anacc.verification.crossbars import check_crossbars
from anacc.verification.faults import Findings
from anacc.verification.origin import check_origin
from anacc.verification.progress import check_progress
from anacc.verification.registers import check_registers
from anacc.verification.routes import check_routes
from anacc.verification.structure import ends
from anacc.verification.units import check_units


def verify(image: Image, model: Path | None = None) -> Findings:
    """Prove the properties that `anacc.verification` lists, or find what breaks them.

    Args:
        image: a program as `anacc.load` gives it: well formed, hashes checked at first use.
        model: the ONNX model that it was compiled from, or None.

    Returns:
        Faults, figures, and what could not be proven.

    Raises:
        AnaccError: the model cannot be read, the program's target is none, or its table of
            origins is damaged.
    """
    check_origin(image)
    findings = Findings()
    target = target_from_data(image.manifest.target)
    moves = ends(image)
    check_registers(image, findings)
    check_buffers(image, findings)
    check_crossbars(image, target, findings)
    check_units(image, target, findings)
    check_routes(image, target, moves, findings)
    check_progress(image, moves, findings)
    tiles = check_coverage(image, moves, findings)
    if model is not None:
        if findings.counts.keys() & {"order", "deadlock"}:
            findings.unproven.append("the data flow, because of the faults in the order of things")
        else:
            check_against_model(image, moves, tiles, model, findings)
    return findings
