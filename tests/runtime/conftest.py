"""`pytest tests/passes tests/runtime --update-golden` writes these golden files anew, too."""

from tests.passes.conftest import update_golden

__all__ = ["update_golden"]
