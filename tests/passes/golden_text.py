"""Golden text: golden/NAME.before.txt, through a pass, must be golden/NAME.after.txt.

Both are read back and verified, so every golden file is a valid module.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from anacc.ir.parse import parse_module
from anacc.ir.text import print_module
from anacc_passes.infrastructure import Pass, run_pipeline

GOLDEN = Path(__file__).parent / "golden"


def check(name: str, each: Pass, update: bool = False, source: Any = None) -> None:
    """Run a pass on a golden module and compare.

    Args:
        name: of the files.
        each: the pass.
        update: write the expected text instead.
        source: what the module came from.
    """
    before = (GOLDEN / f"{name}.before.txt").read_text(encoding="utf-8")
    module, _ = run_pipeline(replace(parse_module(before), source=source), [each])
    text, path = print_module(module), GOLDEN / f"{name}.after.txt"
    if update:
        path.write_text(text, encoding="utf-8", newline="\n")
    assert text == path.read_text(encoding="utf-8")
    assert print_module(parse_module(text, module.constants)) == text
