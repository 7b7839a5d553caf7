"""Where a published file is downloaded from: its own address, or a mirror's."""

import os

from effconvert.errors import Unavailable
from effconvert.hub.installed_packages import package_file
from effconvert.reference_tables import Published

# What a user can do about a file that cannot be downloaded here.
ELSEWHERE = "download it elsewhere and give its path, with --checkpoint or to `effconvert convert`"
_BUCKET = "https://storage.googleapis.com/cloud-tpu-checkpoints"


def address(row: Published, beside: str | None = None) -> str:
    """Return the URL that `row`, or the file called `beside` in its folder, is downloaded from.

    It is that of a package where `row` comes in one.

    EFFCONVERT_MIRROR replaces scheme and host, and of TensorFlow's the bucket too: the path of every other file is the
    one that it has on its own host, and no two hosts share one.

    Raises Unavailable when EFFCONVERT_MIRROR is not an http address.
    """
    url = f"{row.url.rpartition('/')[0]}/{beside}" if beside else row.url
    mirror = os.environ.get("EFFCONVERT_MIRROR")
    if not mirror or package_file(url):
        return url
    if not mirror.startswith(("http://", "https://")):
        raise Unavailable(f"EFFCONVERT_MIRROR={mirror}: must start with http:// or https://")
    from urllib.parse import urlsplit

    path = url.removeprefix(_BUCKET) if url.startswith(_BUCKET) else urlsplit(url).path
    return mirror.rstrip("/") + path
