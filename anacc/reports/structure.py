"""The structure of what a report is made from: anyone can edit a program file.

Keys that are not named here may be there and hold anything; those that are may be absent or null.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from anacc.errors import ProgramError

_UNION_TAGS = ("int", "constrained-int", "float", "str")

_Count = Annotated[int, Field(ge=0, le=2**63 - 1)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class _Layer(_Part):
    name: str | None = None
    nodes: list[str] | None = None
    kind: str | None = None
    matrix: list[_Count] | None = None
    groups: _Count | None = None
    tiles: _Count | None = None
    replicas: _Count | None = None
    cores: list[_Count | str] | None = None
    unit: str | None = None
    positions: _Count | None = None
    operator: str | None = None
    weight: str | None = None
    bias: str | None = None
    weight_shape: list[_Count] | None = None


class _Tile(_Part):
    core: _Count | str | None = None
    row: _Count | None = None
    column: _Count | None = None
    rows: _Count | None = None
    columns: _Count | None = None
    layer: str | None = None
    weight_rows: list[_Count] | None = None
    weight_columns: list[_Count] | None = None
    cells_used: _Count | None = None
    copies: _Count | None = None
    replica: _Count | None = None
    conversion_snr_db: float | None = None


class _Chip(_Part):
    chip: _Count | None = None
    cores: _Count | None = None
    cells: _Count | None = None
    layers: list[str] | None = None
    to_next: _Count | None = None
    to_previous: _Count | None = None


class _Round(_Part):
    round: _Count | None = None
    cores: _Count | None = None
    cells: _Count | None = None
    ns: float | None = None
    waiting: _Count | None = None


class _Programming(_Part):
    ns_before: float | None = None
    ns_per_batch: float | None = None
    cells_per_batch: _Count | None = None
    most_per_batch: _Count | None = None
    meaning: str | None = None


class _Bound(_Part):
    value: _Count | float | None = None
    bound: _Count | float | None = None
    meaning: str | None = None


class _Host(_Part):
    nodes: list[str] | None = None
    reasons: list[str] | None = None
    hints: list[str] | None = None


class _Macs(_Part):
    crossbar: _Count | None = None
    host: _Count | None = None
    host_activations: _Count | None = None


class _Node(_Part):
    name: str | None = None
    operator: str | None = None
    where: str | None = None
    units: list[str] | None = None
    tiles: _Count | None = None
    segment: _Count | None = None
    reason: str | None = None
    hint: str | None = None


class _Border(_Part):
    tensor: str | None = None
    at: str | None = None
    segment: _Count | None = None
    format: str | None = None
    bytes: _Count | None = None
    crosses: bool | None = None


class _Recoded(_Part):
    tensor: str | None = None
    kind: str | None = None
    bits_lost: float | None = None
    codes_saturated: _Count | None = None


class _Busy(_Part):
    ns: float | None = None
    unit: str | None = None
    layers: list[str] | None = None


class _Quantity(_Part):
    key: str | None = None
    value: float | str | None = None
    unit: str | None = None
    source: str | None = None


class _Performance(_Part):
    slowest_ns: float | None = None
    slowest: _Busy | None = None
    bound_ns: float | None = None
    fractional_ns: float | None = None
    latency_ns: float | None = None
    mvm_latency_ns: float | None = None
    mvms: _Count | None = None
    mvm_energy_nj: float | None = None
    busy: dict[str, _Busy] | None = None
    figures: list[_Quantity] | None = None


class _Mapping(_Part):
    chips: list[_Chip] | None = None
    rounds: list[_Round] | None = None
    programming: _Programming | None = None
    layers: list[_Layer] | None = None
    tiles: list[_Tile] | None = None
    units: list[dict[str, Any]] | None = None
    links: dict[str, Any] | None = None
    bounds: dict[str, _Bound] | None = None
    performance: _Performance | None = None
    host: list[_Host] | None = None
    macs: _Macs | None = None
    nodes: list[_Node] | None = None
    borders: list[_Border] | None = None
    quantisation: list[_Recoded] | None = None
    warnings: list[str] | None = None


class _Name(_Part):
    value: str | None = None


class _Integer(_Part):
    value: _Count | None = None


class _ChipName(_Part):
    name: _Name | None = None


class _Area(_Part):
    rows: _Integer | None = None
    columns: _Integer | None = None


class _Target(_Part):
    chip: _ChipName | None = None
    grid: _Area | None = None
    crossbar: _Area | None = None


def check_mapping(mapping: Mapping[str, Any]) -> None:
    """Refuse what no mapper writes down.

    Raises:
        ProgramError: naming the first entry of another structure.
    """
    _check(_Mapping, mapping, "mapping report")


def check_target(target: Mapping[str, Any]) -> None:
    """Refuse a target whose figures that the report shows are not of their type.

    Raises:
        ProgramError: naming the first such figure.
    """
    _check(_Target, target, "target in program")


def _check(model: type[_Part], data: Mapping[str, Any], what: str) -> None:
    try:
        model.model_validate(data)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        place = [str(part) for part in problem["loc"]]
        if len(place) > 1 and place[-1] in _UNION_TAGS:  # which of `int | str` was tried last
            place.pop()
        reason = problem["msg"][:1].lower() + problem["msg"][1:]
        raise ProgramError(f"{what}: `{'.'.join(place)}` is wrong: {reason}") from None
