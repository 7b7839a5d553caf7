"""Installation of torch: the CPU build if there is one, else a warning about the size of the download.

TORCH_INDEX_URL is a package index for torch, such as PyTorch's own index of CPU builds.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import urllib.request

PIP = [sys.executable, "-m", "pip", "install", "--quiet", "--constraint", "constraints.txt"]


def main() -> None:
    if importlib.util.find_spec("torch"):
        return
    index = os.environ.get("TORCH_INDEX_URL")
    if index:
        subprocess.run([*PIP, "--index-url", index, "torch"], check=True)
        return
    if not shutil.which("nvidia-smi"):
        announce(planned_downloads())
    subprocess.run([*PIP, "torch"], check=True)


def planned_downloads() -> list[dict]:
    """Return pip's plan for torch: the packages and their addresses."""
    command = [*PIP, "--dry-run", "--ignore-installed", "--report", "-", "torch"]
    answer = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return json.loads(answer.stdout)["install"] if answer.returncode == 0 else []


def announce(plan: list[dict]) -> None:
    """Warn if the plan installs CUDA on a machine without a GPU."""
    cuda = [item for item in plan if item["metadata"]["name"].lower().startswith(("nvidia-", "cuda-", "triton"))]
    if not cuda:
        return
    size = sum(content_length(item["download_info"]["url"]) for item in plan)
    print(
        f"No CPU build of torch was found: {len(plan)} packages with CUDA ({size / 1e9:.1f} GB) will be downloaded.\n"
        "To avoid this, interrupt and set TORCH_INDEX_URL to an index of CPU builds.",
        file=sys.stderr,
        flush=True,
    )


def content_length(url: str) -> int:
    """Return the size of a download in bytes, 0 if unknown."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=20) as answer:
            return int(answer.headers.get("Content-Length") or 0)
    except (OSError, ValueError):
        return 0


main()
