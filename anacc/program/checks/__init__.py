"""The rules of a program, one concern a file; `anacc.program.check` applies them in order."""
