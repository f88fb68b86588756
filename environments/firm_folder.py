"""Writing a firm's folder whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from .faults import fault
from .loading import load_environment


def write_firm(
    target: Path,
    *,
    config: Mapping[str, Any],
    policy: str,
    personas: Mapping[str, Mapping[str, Any]],
    scenarios: Mapping[str, Mapping[str, Any]],
    handbook: Path | None = None,
) -> None:
    """Write a firm beside its place, load it, and only then move it there.

    Args:
        target: the folder to make; must not exist.
        config: what environment.yaml shall hold.
        policy: the text of policy.md.
        personas, scenarios: what each file shall hold, by name.
        handbook: a folder of handbook files to copy, if any.

    Raises:
        EnvironmentFault: where the folder cannot be written, or what was written is no valid firm.
            Nothing half-made stays behind.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise fault(target, f"cannot be written: {error.strerror}") from error
    try:
        (staging / "policy.md").write_text(policy, encoding="utf-8")
        write_yaml(staging / "environment.yaml", config)
        for kind, values in (("personas", personas), ("scenarios", scenarios)):
            (staging / kind).mkdir()
            for id_, value in values.items():
                write_yaml(staging / kind / f"{id_}.yaml", value)
        if handbook is not None and handbook.is_dir():
            shutil.copytree(handbook, staging / "handbook")
        load_environment(staging)
        staging.chmod(0o755)
        staging.rename(target)
    except OSError as error:
        raise fault(target, f"cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def write_yaml(path: Path, value: Mapping[str, Any]) -> None:
    """Write one file of a firm."""
    text = yaml.safe_dump(dict(value), sort_keys=False, allow_unicode=True, width=100)
    path.write_text(text, encoding="utf-8")
