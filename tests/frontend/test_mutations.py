"""Damaged models are compiled or refused in one sentence: no other error comes out."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import anacc
from anacc.errors import AnaccError
from tests.frontend.mutations import BASES, base, damaged


@pytest.mark.parametrize("name", BASES)
def test_the_models_are_valid(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert anacc.compile(base(name)).image.code.streams


@settings(max_examples=250, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_damage_finds_no_traceback(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    model = damaged(data.draw, base(data.draw(st.sampled_from(BASES))))
    source: Any = model
    if isinstance(model, bytes):
        source = tmp_path_factory.getbasetemp() / "damaged.onnx"
        source.write_bytes(model)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            anacc.compile(source)
    except AnaccError as error:
        assert error.message and "\n" not in error.message
