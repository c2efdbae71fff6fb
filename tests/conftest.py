"""Fixtures for folders that lie outside the repository, and the way hypothesis runs."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The same examples on every run, and no test fails because the machine is slow.
settings.register_profile(
    "deterministic",
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("deterministic")


@pytest.fixture(scope="session")
def anacc_models() -> Path:
    """The folder of real ONNX models; the test is skipped where there is none."""
    return _folder_named_by("ANACC_MODELS")


@pytest.fixture(scope="session")
def anacc_data() -> Path:
    """The folder of real data sets; the test is skipped where there is none."""
    return _folder_named_by("ANACC_DATA")


def _folder_named_by(variable: str) -> Path:
    folder = os.environ.get(variable)
    if not folder:
        pytest.skip(f"{variable} is not set")
    return Path(folder)
