"""Read targets: shipped ones by name, a user's from a TOML file, embedded ones from plain data.

A target file states every key as a table of value, unit, source and note.  A file with
`inherit = "hermes"` (a shipped name, or a path relative to the file) states only what differs, as
such a table or as a bare value: `crossbar.rows = 128`.  The unit is then inherited, the source is
`assumed`, and the note names the file.
"""

from __future__ import annotations

import os
import stat
import tomllib
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from anacc.errors import TargetError, UnknownTargetError
from anacc.targets import keys
from anacc.targets.problems import invalid, shown, unknown_key
from anacc.targets.quantity import QUANTITY_KEYS, SET_IN
from anacc.targets.schema import Target

MAX_FILE_BYTES = 1024 * 1024
MAX_INHERITANCE = 8

_SUFFIX = ".toml"


def shipped_targets() -> list[str]:
    """Return the names of the targets that come with anacc, sorted."""
    folder = resources.files("anacc.targets")
    names = (entry.name for entry in folder.iterdir())
    return sorted(name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX))


def load_target(name_or_path: str | Path) -> Target:
    """Return a shipped target (`hermes`) or the target of a TOML file.

    A string without a folder and without `.toml` is a shipped name; anything else is a path.

    Raises:
        TargetError: there is no such target or file, or the file states something wrong; the
            message names the dotted key and the reason, the hint says the way out.
    """
    if isinstance(name_or_path, str) and name_or_path in shipped_targets():
        return _shipped(name_or_path)
    return _validated(*_resolve(name_or_path, Path(), ()))


@cache
def _shipped(name: str) -> Target:
    """A shipped target: it cannot change, and reading it takes longer than compiling a node."""
    return _validated(*_resolve(name, Path(), ()))


def target_to_data(target: Target) -> dict[str, Any]:
    """Return a target with all units, sources and notes, as data that JSON and TOML can hold."""
    return target.model_dump(mode="json", exclude_none=True)


def target_from_data(data: dict[str, Any], origin: str = "target in program") -> Target:
    """Return the target that `target_to_data` wrote; the data are not trusted.

    Args:
        data: the whole target.
        origin: how messages call the data.

    Raises:
        TargetError: a key is unknown or missing, or a value is impossible.
    """
    if not isinstance(data, dict):
        raise TargetError(f"{origin} must be a table, not `{shown(data)}`")
    return _validated(_complete(data, origin), origin)


def _validated(data: dict[str, Any], origin: str) -> Target:
    try:
        return Target.model_validate(data)
    except ValidationError as error:
        raise invalid(origin, error) from None


def _resolve(
    name_or_path: str | Path, folder: Path, chain: tuple[str, ...]
) -> tuple[dict[str, Any], str]:
    """Return the whole data of a target with what it inherits, and how messages call it.

    `chain` holds the resolved files that inherit from this one, to refuse a cycle.
    """
    text, file_name, identity, directory = _read(name_or_path, folder)
    origin = f"target `{_shown_path(str(name_or_path))}`"
    if identity in chain:
        raise TargetError(
            f"{origin} inherits from itself", "remove one `inherit` of the files in the circle"
        )
    if len(chain) >= MAX_INHERITANCE:
        raise TargetError(
            f"{origin} is inherited over more than {MAX_INHERITANCE} files",
            "inherit from a file nearer to the shipped target",
        )
    data = _parse(text, origin)
    parent = data.pop("inherit", None)
    if parent is None:
        return _complete(data, origin), origin
    if not isinstance(parent, str):
        raise TargetError(
            f"{origin}: `inherit` must be a name or a path, not `{shown(parent)}`",
            'write for example `inherit = "hermes"`',
        )
    base, base_origin = _resolve(parent, directory, (*chain, identity))
    _validated(base, base_origin)  # a mistake of the parent is reported as the parent's
    return _overlay(base, data, origin, file_name), origin


def _read(name_or_path: str | Path, folder: Path) -> tuple[bytes, str, str, Path]:
    """Return (content, file name, identity, folder) of a shipped target or a file."""
    name = str(name_or_path)
    is_name = (
        isinstance(name_or_path, str)
        and not name.endswith(_SUFFIX)
        and not (os.sep in name or "/" in name)
    )
    if is_name:
        if name not in shipped_targets():
            raise UnknownTargetError(
                f"there is no target `{_shown_path(name)}`",
                f"use one of {', '.join(f'`{n}`' for n in shipped_targets())}, or the path of a "
                "`.toml` file",
            )
        entry = resources.files("anacc.targets").joinpath(name + _SUFFIX)
        return entry.read_bytes(), name + _SUFFIX, f"shipped:{name}", Path()
    path = folder / name_or_path
    try:
        identity = os.path.realpath(path)
        # Opening a pipe would wait for a writer for ever.
        if not stat.S_ISREG(path.stat().st_mode):
            raise TargetError(f"target `{_shown_path(name)}` is not a regular file")
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        reason = error.strerror if isinstance(error, OSError) else str(error)
        hint = "give the path of a target file, or one of " + ", ".join(
            f"`{n}`" for n in shipped_targets()
        )
        raise TargetError(f"target `{_shown_path(name)}` cannot be read: {reason}", hint) from None
    if len(content) > MAX_FILE_BYTES:
        raise TargetError(
            f"target `{_shown_path(name)}` is larger than {MAX_FILE_BYTES // 1024} KiB",
            "a target file holds some hundred values; is this the right file?",
        )
    return content, path.name, identity, path.parent


def _parse(content: bytes, origin: str) -> dict[str, Any]:
    try:
        return tomllib.loads(content.decode("utf-8"))
    except UnicodeDecodeError:
        raise TargetError(f"{origin} is not UTF-8 text", "save it as UTF-8") from None
    except RecursionError:
        raise TargetError(f"{origin} is nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError, or an integer of thousands of digits
        raise TargetError(
            f"{origin} is not valid TOML: {shown(str(error))}", "see https://toml.io"
        ) from None


def _complete(data: dict[str, Any], origin: str) -> dict[str, Any]:
    """Check the keys of data that inherit nothing: each quantity is a table."""
    for key, value in _leaves(data, origin):
        if not isinstance(value, dict):
            raise TargetError(
                f"{origin}: `{key}` has no unit and no source",
                f'write it as a table of value, unit ("{keys.units()[key]}"), source and note; '
                'only a file with `inherit = "..."` may state bare values',
            )
    return data


def _overlay(
    base: dict[str, Any], data: dict[str, Any], origin: str, file_name: str
) -> dict[str, Any]:
    """Return a copy of `base` with the quantities of `data` in place of its own."""
    merged = _copy(base)
    for key, value in _leaves(data, origin):
        *parents, last = key.split(".")
        table = merged
        for parent in parents:
            table = table.setdefault(parent, {})
        table[last] = _quantity(key, value, origin, file_name)
    return merged


def _quantity(key: str, value: Any, origin: str, file_name: str) -> dict[str, Any]:
    """Return the full table of a quantity that a file overrides."""
    given = value if isinstance(value, dict) else {"value": value}
    if "source" in given and "note" not in given:
        raise TargetError(
            f"{origin}: `{key}` states a source but no `note`",
            "say in `note` where the value comes from",
        )
    inherited = {
        "unit": keys.units()[key],
        "source": "assumed",
        # The name only: a folder would make the program differ from machine to machine.
        "note": f"{SET_IN}{file_name}",
    }
    return {**inherited, **given}


def _leaves(data: dict[str, Any], origin: str, prefix: str = "") -> list[tuple[str, Any]]:
    """Return (dotted key, value) of the quantities in data; refuse keys that no target has."""
    found: list[tuple[str, Any]] = []
    for name, value in data.items():
        key = f"{prefix}{name}"
        if "." in name:
            raise TargetError(
                f'{origin}: the key `"{shown(name)}"` holds a dot', "write it without quotes"
            )
        if key in keys.units():
            if isinstance(value, dict):
                for part in value:
                    if part not in QUANTITY_KEYS:
                        raise unknown_key(origin, f"{key}.{part}")
            found.append((key, value))
        elif key in keys.sections():
            if not isinstance(value, dict):
                raise TargetError(
                    f"{origin}: `{key}` is a table of keys, not the value `{shown(value)}`",
                    f"set one of its keys, such as `{_first_key(key)}`",
                )
            found.extend(_leaves(value, origin, f"{key}."))
        else:
            raise unknown_key(origin, key)
    return found


def _shown_path(path: str) -> str:
    return shown(path, limit=4096)  # a path that is cut short cannot be found


def _first_key(section: str) -> str:
    return next(key for key in keys.units() if key.startswith(section + "."))


def _copy(data: dict[str, Any]) -> dict[str, Any]:
    return {k: _copy(v) if isinstance(v, dict) else v for k, v in data.items()}
