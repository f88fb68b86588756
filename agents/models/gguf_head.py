"""Reading the head of a GGUF file: what the weights say about themselves."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from .faults import ModelFault

_SCALARS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
_STRING, _ARRAY = 8, 9
_LONGEST = 1 << 24
"""No string of a sane head is longer than 16 MiB; a hostile length must not become a huge read."""


@dataclass(frozen=True, slots=True)
class GgufHead:
    """The few facts of a GGUF head that sizing and the catalogue need.

    Attributes:
        name: the model's own name, "" where it gives none.
        licence: the licence it declares, "" where it declares none.
        context: the context length it was trained for, in tokens (0 where unknown).
        kv_bytes_per_token: size of one token in a 16-bit key-value cache, in bytes (0 if unknown).
        has_chat_template: whether it brings its own chat template.
    """

    name: str
    licence: str
    context: int
    kv_bytes_per_token: int
    has_chat_template: bool


def read_head(path: Path) -> GgufHead:
    """Read the head of a GGUF file (format versions 2 and 3).

    Args:
        path: the weights.

    Returns:
        What the file says about itself.

    Raises:
        ModelFault: where the file is missing, unreadable, cut short or no GGUF file.
    """
    try:
        with path.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise ModelFault(f"{path} is no GGUF file; give the weights as one .gguf file.")
            version, _tensors, count = struct.unpack("<IQQ", file.read(20))
            if version not in (2, 3) or count > 10_000:
                raise ModelFault(f"{path} is a GGUF file of an unknown version ({version}).")
            fields: dict[str, Any] = {}
            for _ in range(count):
                key = _string(file)
                (kind,) = struct.unpack("<I", file.read(4))
                fields[key] = _value(file, kind)
    except OSError as error:
        raise ModelFault(f"The weights {path} cannot be read: {error.strerror}.") from error
    except (struct.error, UnicodeDecodeError, ValueError) as error:
        raise ModelFault(f"{path} is a broken GGUF file; delete it and fetch it anew.") from error
    family = str(fields.get("general.architecture", ""))

    def number(name: str) -> int:
        found = fields.get(f"{family}.{name}", 0)
        return found if isinstance(found, int) else 0

    heads = number("attention.head_count")
    head_width = number("embedding_length") // heads if heads else 0
    key_width = number("attention.key_length") or head_width
    value_width = number("attention.value_length") or head_width
    kv_heads = number("attention.head_count_kv") or heads
    return GgufHead(
        name=str(fields.get("general.name", "")),
        licence=str(fields.get("general.license", "")),
        context=number("context_length"),
        kv_bytes_per_token=number("block_count") * kv_heads * (key_width + value_width) * 2,
        has_chat_template="tokenizer.chat_template" in fields,
    )


def _string(file: BinaryIO) -> str:
    (length,) = struct.unpack("<Q", file.read(8))
    if length > _LONGEST:
        raise ValueError("string too long")
    raw = file.read(length)
    if len(raw) < length:
        raise ValueError("cut short")
    return raw.decode()


def _value(file: BinaryIO, kind: int) -> Any:
    """One value; arrays are skipped over and given back as None, for no array is needed."""
    if kind == _STRING:
        return _string(file)
    if kind == _ARRAY:
        item, length = struct.unpack("<IQ", file.read(12))
        if item in _SCALARS:
            file.seek(struct.calcsize(_SCALARS[item]) * length, 1)
        else:
            for _ in range(length):
                if item != _STRING:
                    raise ValueError("nested array")
                (size,) = struct.unpack("<Q", file.read(8))
                file.seek(size, 1)
        return None
    if kind not in _SCALARS:
        raise ValueError("unknown kind")
    form = "<" + _SCALARS[kind]
    return struct.unpack(form, file.read(struct.calcsize(form)))[0]
