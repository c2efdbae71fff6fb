"""`pytest tests/passes --update-golden` writes the golden files anew; review the difference."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write what the passes give to tests/passes/golden/*.after.txt",
    )


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are written instead of compared."""
    # The option is unknown where pytest starts in another folder.
    return bool(request.config.getoption("--update-golden", default=False))
