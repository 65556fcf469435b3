"""Files of Hugging Face model repositories (open_clip's models among them), through huggingface_hub."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mediaml.errors import WeightsUnavailable, printable
from mediaml.weights.manifest import HubSource, WeightEntry, is_commit
from mediaml.weights.progress import Progress, bytes_below


def fetch(entry: WeightEntry, source: HubSource, folder: Path, progress: Progress) -> tuple[Path, str]:
    """The file, inside `folder`, and the commit that it came from. Resumes what lies in `folder`.

    Where the repository lacks the file and the source names a fallback, that one is fetched.
    The user's own settings hold (HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE, proxies). Raises WeightsUnavailable: offline,
    gated, gone, larger than `entry.size_limit`.
    """
    import huggingface_hub
    from huggingface_hub import errors

    where = f"weight {entry.name}: hub {source.repo} at {source.revision}, {source.file}"
    try:
        address = huggingface_hub.hf_hub_url(source.repo, source.file, revision=source.revision)
        facts = huggingface_hub.get_hf_file_metadata(address, token=huggingface_hub.get_token())
        if facts.size is not None and facts.size > entry.size_limit:
            raise WeightsUnavailable(f"{where} has {facts.size} bytes, the manifest allows {entry.size_limit}")
        commit = facts.commit_hash or (source.revision if is_commit(source.revision) else "")
        with _watched(entry.name, folder, facts.size, progress):
            path = huggingface_hub.hf_hub_download(
                source.repo, source.file, revision=commit or source.revision, local_dir=folder
            )
    except errors.GatedRepoError as error:
        raise WeightsUnavailable(f"{where}: access must be asked for on its page, then run: hf auth login") from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.EntryNotFoundError) as error:
        if isinstance(error, errors.LocalEntryNotFoundError):
            raise WeightsUnavailable(_offline(where, entry, error)) from error
        if isinstance(error, errors.EntryNotFoundError) and source.fallback is not None:
            older = source.model_copy(update={"file": source.fallback, "fallback": None})
            return fetch(entry, older, folder, progress)
        raise WeightsUnavailable(f"{where}: not there (404); use --from FILE with a copy of your own") from error
    except WeightsUnavailable:
        raise
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise  # the disk, not the hub
        raise WeightsUnavailable(_offline(where, entry, error)) from error
    except Exception as error:  # which HTTP library it uses, and so which errors, changes between releases
        raise WeightsUnavailable(_offline(where, entry, error)) from error
    return Path(path), commit


@contextmanager
def _watched(label: str, folder: Path, size: int | None, progress: Progress) -> Iterator[None]:
    """Tells `progress` how `folder` grows, in place of the library's own bars."""
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            progress.advance(label, bytes_below(folder))

    were_disabled = are_progress_bars_disabled()
    disable_progress_bars()
    progress.begin(label, size)
    watcher = threading.Thread(target=watch, name=f"watch-{label}", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
        progress.end(label)
        if not were_disabled:
            enable_progress_bars()


def _offline(where: str, entry: WeightEntry, error: Exception) -> str:
    reason = printable(str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__)
    return (
        f"{where}: the hub cannot be reached ({reason}); check the network, HF_ENDPOINT and the proxy settings, or fetch "
        f"the file on another machine and run: {entry.pull_command} --from FILE"
    )
