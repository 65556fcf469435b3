"""Files out of Debian packages, fetched with the user's own apt settings; nothing of a package is installed or run."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import platformdirs

from mediaml.errors import WeightsCorrupt, WeightsUnavailable

CACHE = "MEDIAML_TRAINING_MEDIA"


def cache_folder() -> Path:
    """Where training media are kept; the variable MEDIAML_TRAINING_MEDIA names another place."""
    return Path(os.environ.get(CACHE) or platformdirs.user_cache_path("mediaml") / "training_media")


def download(package: str, fact: Mapping[str, Any], folder: Path) -> Path:
    """The package's archive in `folder`, checked. `fact`: its version and sha256.

    Needs `apt-get` with Debian 12's lists (`apt-get update`). Raises WeightsUnavailable where it cannot be had and
    WeightsCorrupt where it is not the one that was listed.
    """
    apt = shutil.which("apt-get")
    if apt is None:
        raise WeightsUnavailable(
            f"{package}: training media come from Debian packages, and apt-get is not on this machine"
        )
    command = [apt, "download", "-q", f"{package}={fact['version']}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    found = list(folder.glob("*.deb"))
    if done.returncode or len(found) != 1:
        reason = (done.stderr.strip().splitlines() or ["no file came"])[-1]
        raise WeightsUnavailable(f"{' '.join(command)} failed: {reason}; run `apt-get update` on Debian 12 first")
    check(found[0].read_bytes(), fact["sha256"], found[0].name)
    return found[0]


def data_tar(archive: Path) -> bytes:
    """The data member of a Debian package, an `ar` archive (deb(5)); xz, gzip or bzip2, as tarfile reads them."""
    content = archive.read_bytes()
    at = 8  # after "!<arch>\n"
    while at + 60 <= len(content):
        name, size = content[at : at + 16].decode("ascii").strip().rstrip("/"), int(content[at + 48 : at + 58])
        if name.startswith("data.tar"):
            return content[at + 60 : at + 60 + size]
        at += 60 + size + size % 2
    raise WeightsCorrupt(f"{archive.name} holds no data.tar; it is not a Debian package")


def check(content: bytes, sha256: str, name: str) -> None:
    """Raises WeightsCorrupt where `content` is not what the list says."""
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise WeightsCorrupt(f"{name}: sha256 {found} is not the listed {sha256}; the list names another version")
