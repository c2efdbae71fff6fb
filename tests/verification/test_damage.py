"""Every kind of damage is found, as what it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from anacc.errors import ProgramError
from anacc.program.check import check
from anacc.program.image import Image
from anacc.verification.check import verify
from tests.verification import mapper_damages, resource_damages  # noqa: F401 - add to DAMAGES
from tests.verification.damages import DAMAGES
from tests.verification.networks import NETWORKS, compiled, saved


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_good_programs_have_no_fault(name: str, tmp_path: Path) -> None:
    findings = verify(compiled(name), saved(name, tmp_path))
    assert [fault.message for fault in findings.faults] == []
    assert findings.unproven == []
    products = findings.figures["multiply_adds"]
    assert products["program"] == products["model"] == compiled(name).mapping["macs"]["crossbar"]


@pytest.mark.parametrize("name", sorted(DAMAGES))
def test_damage_is_found(name: str, tmp_path: Path) -> None:
    damage = DAMAGES[name]
    image = damage.apply(compiled(damage.network))
    model = saved(damage.network, tmp_path) if damage.model else None
    findings = verify(image, model)
    assert damage.kind in {fault.kind for fault in findings.faults}, findings.faults
    assert _loads(image) == damage.loads


def test_at_least_twenty_damages_load() -> None:
    """The loader is quick and knows the format only, so it has no reason to refuse these."""
    assert sum(damage.loads for damage in DAMAGES.values()) >= 20


def _loads(image: Image) -> bool:
    try:
        check(image)
    except ProgramError:
        return False
    return True
