"""Files that are either there whole or not at all.

Everything flowatlas writes goes to a temporary name beside its place, is flushed to the disk, and is renamed. A killed
process leaves at most a temporary file behind, which no reader takes for a result: its name starts with a dot, ends in
`.tmp`, and says which process on which host was writing it.
"""

import contextlib
import errno
import hashlib
import json
import math
import os
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from flowatlas.errors import UnfinishedError

STALE_SECONDS = 3600.0
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


def temporary_path(path: Path) -> Path:
    """The name under which this process writes `path`, in the same folder (so that a rename stays a rename)."""
    return path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}.tmp")


def remove_stale(folder: Path) -> None:
    """Remove what killed writers left in `folder`: files of a dead process on this host, or older than an hour."""
    for path in stale(folder, "*"):
        remove(path)


def stale(folder: Path, name: str, seconds: float = STALE_SECONDS) -> list[Path]:
    """What killed writers of `name` (a glob pattern) left in `folder`: of a dead process here, or older."""
    try:
        return [path for path in sorted(folder.glob(f".{name}.*.tmp")) if _is_stale(path, seconds)]
    except OSError:
        return []


def remove(path: Path) -> None:
    """Remove a file or a whole folder; nothing happens when it is not there (or somebody else was faster)."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def swap_folder(new: Path, out: Path) -> None:
    """Put the folder `new` in the place of `out`, on the same disk; of several processes the last one's stays."""
    old = temporary_path(out.with_name(out.name + ".old"))
    while True:
        remove(old)
        with contextlib.suppress(FileNotFoundError):
            os.rename(out, old)
        try:
            os.rename(new, out)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                continue
            if old.exists():
                os.rename(old, out)
            raise
        return remove(old)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path; what the body wrote there takes the place of `path` when the body ends well.

    Raises UnfinishedError, naming the path, when the disk is full or cannot be written; `path` is then as it was.
    """
    temporary = temporary_path(path)
    with unfinished(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            _flush(temporary)
            os.replace(temporary, path)
            _flush(path.parent)
        finally:
            remove(temporary)


@contextlib.contextmanager
def unfinished(path: Path) -> Iterator[None]:
    """Turns an OSError of the body into an UnfinishedError of one line that names `path`."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error).splitlines()[0]
        raise UnfinishedError(f"cannot write {path}: {reason}; mend that and give the same command again") from error


def create_exclusively(path: Path, data: bytes, first_wins: bool = False) -> bool:
    """Write `path` only if nobody has; True when this call made it. Of many processes exactly one gets True.

    On a file system without hard links the last of several simultaneous writers wins, and all read it back; with
    `first_wins` exactly one gets True there too, but a reader may find the file empty for a moment.
    """
    temporary = temporary_path(path)
    with unfinished(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(data)
            _flush(temporary)
            os.link(temporary, path)
            _flush(path.parent)
            return True
        except FileExistsError:
            return temporary.stat().st_nlink > 1  # it was ours: the server's answer was lost, and the request repeated
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            if path.exists():
                return False
            if first_wins:
                return _create_in_place(path, data)
            os.replace(temporary, path)
            return True
        finally:
            remove(temporary)


def _create_in_place(path: Path, data: bytes) -> bool:
    try:
        with path.open("xb") as file:
            file.write(data)
    except FileExistsError:
        return False
    _flush(path)
    return True


def canonical_json(obj: object) -> bytes:
    """One text per value: sorted keys, no spaces, ASCII. Values JSON does not know (dates) go by their `str`."""
    return json.dumps(obj, sort_keys=True, separators=(",", ":"), default=str).encode("ascii")


def hash_json(obj: object) -> str:
    """sha256 (hex) of the canonical JSON of `obj`."""
    return hashlib.sha256(canonical_json(obj)).hexdigest()


def hash_file(path: Path) -> str:
    """sha256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def json_text(obj: object) -> bytes:
    """JSON for people and browsers: sorted keys, indented, UTF-8; NaN and infinities, which JSON lacks, become null."""
    text = json.dumps(_finite(obj), sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False, default=str)
    return (text + "\n").encode("utf-8", errors="backslashreplace")


def _finite(obj: object) -> object:
    if isinstance(obj, dict):
        return {key: _finite(value) for key, value in obj.items()}
    if isinstance(obj, list | tuple):
        return [_finite(value) for value in obj]
    return None if isinstance(obj, float) and not math.isfinite(obj) else obj


def write_json_atomically(path: Path, obj: object) -> None:
    """Write `obj` as JSON; raises UnfinishedError when the disk does not let it."""
    data = json_text(obj)
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def read_json(path: Path) -> dict:
    """The JSON object in a file; raises FileNotFoundError, OSError, or ValueError when it is no JSON object."""
    try:
        value = json.loads(path.read_bytes())
    except RecursionError as error:
        raise ValueError(f"{path} is nested too deep") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} holds no JSON object")
    return value


def _flush(path: Path) -> None:
    """fsync a file or a folder; folders of some network file systems cannot be, and need not be, flushed."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:
        if path.is_dir():
            return
        raise
    try:
        os.fsync(handle)
    except OSError:
        if not path.is_dir():
            raise
    finally:
        os.close(handle)


def _is_stale(path: Path, seconds: float) -> bool:
    try:
        age = time.time() - path.stat().st_mtime
    except OSError:
        return False
    host, _, pid = path.name.removesuffix(".tmp").rpartition(".")
    if pid.isdigit() and host.endswith("." + socket.gethostname()) and not _lives(int(pid)):
        return True
    return age > seconds


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
