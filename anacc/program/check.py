"""Check a program before an instruction of it runs: nothing that a file says is trusted.

What passes here can be executed without any further check of a register, address, unit, token
count or deadlock.  The time does not depend on loop counts or on the sizes of tensors.
"""

from __future__ import annotations

from anacc.errors import ProgramError, TargetError
from anacc.program.checks.borders import check_borders
from anacc.program.checks.buffers import check_buffers
from anacc.program.checks.channels import check_channels
from anacc.program.checks.crossbars import check_crossbars
from anacc.program.checks.deadlock import check_deadlock
from anacc.program.checks.declarations import check_declarations
from anacc.program.checks.operands import check_operands
from anacc.program.checks.registers import check_registers
from anacc.program.image import Image
from anacc.targets import target_from_data


def check(image: Image) -> None:
    """Check every rule of the instruction set; docs/isa.md lists them.

    Weight blocks are counted but not read: `anacc.program.container` verifies them at first use.

    Args:
        image: a program, read from a file or made by a backend.

    Raises:
        ProgramError: the program breaks a rule; the sentence names the stream, the instruction and
            the rule.
    """
    try:
        target = target_from_data(image.manifest.target)
    except TargetError as error:
        raise ProgramError(error.message, error.hint) from None
    # Each step relies on those before.
    check_declarations(image, target)
    check_operands(image)
    check_borders(image)
    check_crossbars(image.code, target)
    check_registers(image.code)
    check_channels(image)
    check_buffers(image)
    check_deadlock(image)
