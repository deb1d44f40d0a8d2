"""Is the Hugging Face hub there? Asked once, before its client is imported.

Without a network the client retries every file for about 24 s before it says so. A short probe (one request, 3 s)
decides instead: when nothing answers, the client's own offline mode is switched on for this process, in which names
that are cached load and others fail at once. Where there is a network nothing changes, so nobody who has one is forced
offline; `HF_HUB_OFFLINE=1` set by the user skips the probe. Timeouts alone (HF_HUB_ETAG_TIMEOUT) would not do: an
unresolvable name fails quickly and is retried all the same.
"""

import os
import sys
import urllib.error
import urllib.request
from functools import cache

SECONDS = 3.0


def settle_offline() -> bool:
    """Switch the hub's offline mode on when the hub cannot be reached; True when it is on afterwards."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return True
    if _reachable(os.environ.get("HF_ENDPOINT") or "https://huggingface.co"):
        return False
    os.environ["HF_HUB_OFFLINE"] = "1"
    for module, name in (("huggingface_hub.constants", "HF_HUB_OFFLINE"), ("datasets.config", "HF_HUB_OFFLINE")):
        if module in sys.modules:  # imported before us: it has read the variable already
            setattr(sys.modules[module], name, True)
    return True


@cache
def _reachable(endpoint: str) -> bool:
    """Whether anything answers; urllib goes through the proxies of the environment, as the client does."""
    request = urllib.request.Request(endpoint, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=SECONDS):
            return True
    except urllib.error.HTTPError:
        return True  # an answer, if an unfriendly one: the client will say what is wrong
    except (OSError, ValueError):
        return False
