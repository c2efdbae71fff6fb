"""JSON members: one text for each value, so that equal programs are equal files."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from pydantic import ValidationError

from anacc.errors import ProgramError
from anacc.program.manifest import FORMAT_VERSION, Manifest
from anacc.program.names import shown

# Bytes; far above any real program, and small enough to parse.
MAX_JSON = 256 * 2**20


def dump(name: str, value: Any) -> bytes:
    """Encode a JSON value: sorted keys, no spaces, UTF-8, no NaN or infinity.

    Args:
        name: of the member, for messages.
        value: dicts with string keys, lists, tuples (written as lists), strings, numbers, bools,
            None.

    Raises:
        ProgramError: the value cannot be written as JSON, or is too large.
    """
    try:
        text = json.dumps(
            value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False
        )
        data = text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ProgramError(
            f"member `{name}` cannot be written as JSON: {_one_line(error)}"
        ) from None
    _check_size(name, data)
    return data


def load(name: str, data: bytes) -> dict[str, Any]:
    """Parse a member that `dump` wrote and that holds an object.

    Raises:
        ProgramError: it is not such JSON, or is not written canonically (a key occurs twice, for
            example).
    """
    _check_size(name, data)
    try:
        value = json.loads(data.decode(), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ProgramError(f"member `{name}` is not valid JSON: {_one_line(error)}") from None
    if not isinstance(value, dict):
        raise ProgramError(f"member `{name}` does not hold a JSON object")
    if dump(name, value) != data:
        raise ProgramError(f"member `{name}` is not written in the canonical form")
    return value


def dump_manifest(manifest: Manifest) -> bytes:
    """Encode a manifest; what it gives, `load_manifest` reads.

    Raises:
        ProgramError: the manifest holds what JSON cannot.
    """
    data = dump("manifest.json", manifest.model_dump(mode="python"))
    load_manifest(data)
    return data


def load_manifest(data: bytes) -> Manifest:
    """Parse and validate a manifest.

    Raises:
        ProgramError: the manifest is malformed, or of another format version.
    """
    version = load("manifest.json", data).get("format_version")
    if version != FORMAT_VERSION:
        raise ProgramError(
            f"the program has format version {shown(repr(version))}, this anacc reads "
            f"{FORMAT_VERSION}",
            "compile the model again, or use the version of anacc that compiled it",
        )
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = shown(".".join(map(str, first["loc"]))) or "the document"
        raise ProgramError(f"manifest: `{place}`: {_one_line(first['msg'])}") from None
    # Values that validation converts, or keys that it fills in, would not survive a second write.
    if dump("manifest.json", manifest.model_dump(mode="python")) != data:
        raise ProgramError("member `manifest.json` is not written in the canonical form")
    return manifest


def _check_size(name: str, data: bytes) -> None:
    if len(data) > MAX_JSON:
        raise ProgramError(f"member `{name}` has {len(data)} bytes, more than {MAX_JSON}")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")


def _one_line(error: object) -> str:
    return " ".join(str(error).split())
