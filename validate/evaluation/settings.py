"""What a user decides about an evaluation, beside which networks and which images."""

from dataclasses import dataclass

EXACT, FAST = "exact", "fast"
# How the images were chosen: every one, some that stand for all, those that a user lists.
ALL, LIMIT, SUBSET = "all", "limit", "subset"


@dataclass(frozen=True)
class Settings:
    """How networks are evaluated.

    device: `cpu` or `cuda`, None a GPU where there is one. dtype: `auto` or a torch dtype. compiled: by torch.compile.
    batch: images at once, None as many as fit. workers: processes that prepare images, None one a core, 0 none.
    pipeline: `exact` or `fast`. skip_broken: images that cannot be read are counted and listed. only_present: only
    classes that the data set has compete. chosen: how the images were chosen. resume: go on where the same run ended
    before. force: begin it anew.
    """

    device: str | None = None
    dtype: str = "auto"
    compiled: bool = False
    batch: int | None = None
    workers: int | None = None
    pipeline: str = EXACT
    skip_broken: bool = False
    only_present: bool = False
    chosen: str = ALL
    resume: bool = False
    force: bool = False
