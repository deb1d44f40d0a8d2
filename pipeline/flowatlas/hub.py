"""The Hugging Face hub: is it there, and fetching a model from it.

Without a network the client retries every file for up to 24 s before it says so. A short probe (one request, 3 s at most,
name look-up included) decides instead, before the client is imported: when nothing answers, the client's own offline mode
is switched on for this process, in which names that are cached load and others fail at once. Where there is a network
nothing changes, so nobody who has one is forced offline; `HF_HUB_OFFLINE=1` set by the user skips the probe. Timeouts alone
(HF_HUB_ETAG_TIMEOUT) would not do: an unresolvable name fails quickly and is retried all the same.
"""

import os
import sys
import threading
import urllib.error
import urllib.request
from functools import cache
from pathlib import Path

from flowatlas.config import Config
from flowatlas.errors import DatasetError, InputError, ModelError

SECONDS = 3.0
_DEFAULT = "https://huggingface.co"
# What is read of a model, and folders of some repositories that hold it once more in other formats.
_WANTED = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "*.tiktoken")
_UNWANTED = ("original/*", "metal/*", "onnx/*", "openvino/*", "consolidated*", "checkpoint-*/*")


def require(config: Config) -> None:
    """Before any heavy import: raise at once for a hub name that can neither be reached nor is in the cache."""
    names = (config.model.name, config.model.adapter, config.model.base)
    for name in [name for name in names if name and not Path(name).exists()]:
        _require(name, "models--" + name.replace("/", "--"), ModelError(f"model {name}: no such folder, and {{}}"))
    hub = config.dataset.hub
    if hub and not Path(hub).is_dir():
        _require(hub, "datasets--" + hub.replace("/", "--"), DatasetError(f"dataset {hub}: {{}}"))


def _require(name: str, cached: str, error: InputError) -> None:
    if settle_offline() and not _is_cached(name, cached):
        raise type(error)(str(error).format(unreachable()))


def unreachable() -> str:
    """Why the hub is not asked, and what to do: the rest of an error's line."""
    why = (
        f"the hub cannot be reached ({_endpoint()} does not answer)"
        if _reachable.cache_info().currsize
        else "the hub may not be asked (HF_HUB_OFFLINE is set)"
    )
    return f"{why}, nor has its cache a copy; check the name, or download it where there is a network and give its path"


def settle_offline() -> bool:
    """Switch the hub's offline mode on when the hub cannot be reached; True when it is on afterwards."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return True
    if _reachable(_endpoint()):
        return False
    os.environ["HF_HUB_OFFLINE"] = "1"
    for module, name in (("huggingface_hub.constants", "HF_HUB_OFFLINE"), ("datasets.config", "HF_HUB_OFFLINE")):
        if module in sys.modules:  # imported before us: it has read the variable already
            setattr(sys.modules[module], name, True)
    return True


def model_folder(name: str, revision: str | None, with_code: bool = False) -> Path:
    """The folder of a hub model's files in the cache, downloaded when they are not there. Raises ModelError."""
    offline = settle_offline()
    from huggingface_hub import errors, snapshot_download

    wanted = [*_WANTED, *(["*.py"] if with_code else [])]
    at = f" at revision {revision}" if revision else ""
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=wanted, ignore_patterns=list(_UNWANTED)))
    except errors.HFValidationError as error:
        raise ModelError(f"model {name}: no such folder, and no valid hub id (owner/name)") from error
    except errors.GatedRepoError as error:
        mend = "accept its licence on its page there, then `hf auth login`"
        raise ModelError(f"model {name}: the hub gives it only to those who accepted its licence: {mend}") from error
    except errors.RevisionNotFoundError as error:
        raise ModelError(f"model {name}: the hub has it, but not{at}; check model.revision") from error
    except errors.RepositoryNotFoundError as error:
        mend = "check the name (owner/name), or `hf auth login` if it is private"
        raise ModelError(f"model {name}: no such folder, and no such model on the hub; {mend}") from error
    except (errors.LocalEntryNotFoundError, errors.HfHubHTTPError, OSError) as error:
        why = unreachable() if offline else f"{_first_line(error)}; check the name, or give the folder of a copy"
        raise ModelError(f"model {name}: no such folder{at}, and {why}") from error


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT") or _DEFAULT


def _is_cached(name: str, folder: str) -> bool:
    """Whether one of the two caches has anything under this name (`datasets` keeps what it prepared in its own)."""
    from huggingface_hub import constants

    prepared = Path(os.environ.get("HF_DATASETS_CACHE") or Path(constants.HF_HOME) / "datasets")
    return (Path(constants.HF_HUB_CACHE) / folder).exists() or (prepared / name.replace("/", "___")).exists()


@cache
def _reachable(endpoint: str) -> bool:
    """Whether anything answers in time. The look-up of a name knows no timeout, so all of it happens in a thread that
    is waited for no longer; being a daemon it does not keep the process from ending."""
    answered: list[bool] = []
    probe = threading.Thread(target=lambda: answered.append(_answers(endpoint)), daemon=True)
    probe.start()
    probe.join(SECONDS)
    return bool(answered) and answered[0]


def _answers(endpoint: str) -> bool:
    """urllib goes through the proxies of the environment, as the client does."""
    request = urllib.request.Request(endpoint, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=SECONDS):
            return True
    except urllib.error.HTTPError as error:
        return error.code not in (502, 503, 504)  # a proxy that finds no way; else the client will say what is wrong
    except (OSError, ValueError):
        return False


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].strip().rstrip(".") if lines else type(error).__name__
