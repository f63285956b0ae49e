"""Download from the Hugging Face hub, and say what to do when that does not work."""

from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from finetune.hub import TransportError, hub_problem

# No .bin, .pt or .py file is ever fetched.
_DESCRIPTIONS = ["*.json"]
_WEIGHTS = ["*.safetensors"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One commit of a repository, in the local cache."""

    folder: Path
    commit: str


def download(repository: str, revision: str | None, *, with_weights: bool) -> Snapshot:
    """Fetch what is missing of a checkpoint into the Hugging Face cache.

    Args:
        with_weights: Or only the config and the tokenizer, some megabytes instead of gigabytes.

    Raises:
        ValueError: If the hub refuses, does not know the name or cannot be reached, saying what to do.
    """
    page = f"https://huggingface.co/{repository}"
    elsewhere = "or give a folder: model=local model.path=/path/to/checkpoint"
    patterns = [*_DESCRIPTIONS, *(_WEIGHTS if with_weights else [])]
    problem = hub_problem(repository, kind="model")
    is_local = problem is not None
    try:
        folder = Path(
            snapshot_download(repository, revision=revision, allow_patterns=patterns, local_files_only=is_local)
        )
    except GatedRepoError:
        raise ValueError(
            f"{repository} is gated: accept the licence at {page} and log in with `hf auth login`; {elsewhere}"
        ) from None
    except RevisionNotFoundError:
        raise ValueError(f"{repository} has no revision {revision!r}; see {page}/tree/main") from None
    except RepositoryNotFoundError:
        raise ValueError(
            f"the hub knows no {repository}, or hides it from you: see {page}, log in with `hf auth login`; {elsewhere}"
        ) from None
    except (TransportError, OSError) as error:
        reason = problem or _first_line(error)
        raise ValueError(
            f"{repository} is not in the local cache and the hub cannot be reached ({reason}): connect, accept the "
            f"licence at {page}, log in with `hf auth login`; {elsewhere}"
        ) from None
    # The cache keeps each commit in a folder of its name.
    return Snapshot(folder=folder, commit=folder.name)


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no details'}"
