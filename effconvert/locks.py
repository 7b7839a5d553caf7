"""Locks on files and folders, which end with the process; and removal of what killed processes left."""

import fcntl
import os
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path


def lock(descriptor: int, *, wait: bool = False, shared: bool = False) -> bool:
    """Lock an open file or folder until it is closed or the process ends; return whether it worked.

    It fails while another process has the lock, unless both share it. wait: wait until it works. Raises OSError if the
    file system has no locks.
    """
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def remove_unlocked(paths: Iterable[Path]) -> bool:
    """Remove the files and folders of this user that no process has locked; return whether any is locked.

    Links, pipes, files of other users, and files that have a second name are left alone.
    """
    found = [_remove_unlocked(path) for path in paths]
    return any(found)


def _remove_unlocked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:  # a link, gone, or not this user's
        return False
    try:
        status = os.fstat(descriptor)
        plain = stat.S_ISDIR(status.st_mode) or (stat.S_ISREG(status.st_mode) and status.st_nlink == 1)
        if not plain or status.st_uid != os.geteuid():
            return False
        if not lock(descriptor):
            return True
        if os.path.samestat(path.lstat(), status):
            discard(path)
    except OSError:  # it stays
        pass
    finally:
        os.close(descriptor)
    return False


def discard(path: Path) -> None:
    """Remove a file, a link or a whole folder, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
