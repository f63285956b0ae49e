"""Whether the Hugging Face hub answers, asked once before its client is sent there.

Left alone, the client tries a hub that it cannot reach again and again (measured: 25 s where there is no network), and
waits without end for one that takes the connection and says nothing.
"""

from typing import Literal

from huggingface_hub import HfApi, constants
from huggingface_hub.errors import HfHubHTTPError, HTTPError, OfflineModeIsEnabled  # type: ignore[attr-defined]

# What fails on the way to the hub and back: the error of httpx or of httpx2, whichever the client is built on.
TransportError: type[Exception] = HTTPError

# For each address of the hub, of which there are four.
_SECONDS = 2.5


def hub_problem(repository: str, *, kind: Literal["model", "dataset", "space"]) -> str | None:
    """Ask for a repository's newest commit; say why no answer came, or None for any answer, a refusal included.

    HF_HUB_ETAG_TIMEOUT, the client's own setting, gives a slow network more seconds.

    Raises:
        ValueError: If no repository can have such a name.
    """
    own = constants.HF_HUB_ETAG_TIMEOUT
    seconds = _SECONDS if own == constants.DEFAULT_ETAG_TIMEOUT else own
    try:
        HfApi().repo_info(repository, repo_type=kind, timeout=seconds, expand="sha")
    except HfHubHTTPError:
        return None
    except (TransportError, OfflineModeIsEnabled) as error:
        name, reason = type(error).__name__, str(error).partition("\n")[0]
        more = f"; HF_HUB_ETAG_TIMEOUT, now {seconds:g} s, sets how long to wait" if name.endswith("Timeout") else ""
        return f"{name}: {reason}{more}"
    return None
