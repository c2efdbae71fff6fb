"""The errors that anacc raises on purpose.

Every error is one sentence that names the node, option or file and the reason, with an optional
hint that says the way out; where it counts many things, lines between both list them.  The command
line prints all of it and exits with status 1 (a compile or a run failed) or 2 (the command was used
wrongly); nothing else may reach a user.
"""

from __future__ import annotations


class AnaccError(Exception):
    """Base of all errors that a user can act on.

    Args:
        message: one sentence: the thing, then the reason.
        hint: one sentence that says what to do, or None.
        details: lines that list what the sentence counts.
    """

    exit_status = 1

    def __init__(
        self, message: str, hint: str | None = None, details: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = details

    def __str__(self) -> str:
        hint = () if self.hint is None else (f"hint: {self.hint}",)
        return "\n".join((self.message, *self.details, *hint))


class UsageError(AnaccError):
    """An option or an argument is wrong; the command line exits with status 2."""

    exit_status = 2


class TargetError(AnaccError):
    """A target file is missing, malformed, or states something impossible."""


class UnknownTargetError(TargetError, UsageError):
    """There is no shipped target of that name, or the target has no such read mode."""


class SettingError(TargetError, UsageError):
    """A setting names no key of a target, or gives it an impossible value."""


class ModelError(AnaccError):
    """A model file cannot be read, or is not valid ONNX."""


class CompileError(AnaccError):
    """A valid model cannot be compiled for the target."""


class IrError(AnaccError):
    """An IR module breaks an invariant of its level, or its text cannot be parsed."""


class ProgramError(AnaccError):
    """A program file, or its assembly text, is damaged or breaks a rule of the instruction set."""


class MappingError(AnaccError):
    """A mapping file is malformed, or does not fit the model or the target."""


class FeedError(AnaccError):
    """An input array has a wrong name, shape or element type."""
