"""Answers: what is kept of each image's logits, namely the top five classes, the label's logit, margin, confidence."""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from effconvert.validate.data.image_hashes import Hashes
from effconvert.validate.evaluation.journal import ANSWER, Answers
from effconvert.validate.predictions import NO_CLASS, NO_LABEL

_TOP = 5


def answer(logits: Tensor, labels: Tensor, first_class: int = 0, only: Tensor | None = None) -> Tensor:
    """Return float32 [N, 8] on the device of `logits` [N, outputs]: five classes, label's logit, margin, confidence.

    labels: int64 [N, L], classes ended by NO_LABEL. first_class: the output that is class 0. only: bool [outputs], the
    outputs that may be predicted. Of equal logits the lower output comes first. If a used logit is not finite, margin
    or confidence is not finite either.
    """
    outputs = logits.shape[1]
    first = labels[:, :1]
    own = logits.gather(1, (first + first_class).clamp(0, outputs - 1))[:, 0]
    own = own.masked_fill(first[:, 0] == NO_LABEL, torch.nan)
    broken = ~torch.isfinite(logits).all(1)
    if only is not None:
        logits = logits.masked_fill(~only, -torch.inf)
    largest, order = torch.sort(logits, dim=1, descending=True, stable=True)
    top = (order[:, :_TOP] - first_class).masked_fill(largest[:, :_TOP] == -torch.inf, NO_CLASS)
    top = F.pad(top, (0, _TOP - top.shape[1]), value=NO_CLASS)
    second = largest[:, min(1, outputs - 1)]
    margin = largest[:, 0] - torch.where(second == -torch.inf, largest[:, 0], second)  # 0 with a single class
    confidence = (largest[:, 0] - torch.logsumexp(logits, 1)).exp()
    numbers = torch.stack([own, margin.masked_fill(broken, torch.nan), confidence], 1)
    return torch.cat([top.to(torch.float32), numbers], 1)


def count_hits(answers: Tensor, labels: Tensor, good: Tensor) -> Tensor:
    """Return int64 [2]: the top-1 and top-5 hits among the images that are `good` [N]."""
    right = answers[:, :_TOP, None] == labels[:, None, :]
    hits = torch.stack([right[:, :1].any(2).any(1), right.any(2).any(1)])
    return (hits & good).sum(1)


def unpack(ids: NDArray[np.int64], packed: NDArray[np.float32], hashes: Hashes) -> Answers:
    """Return records of ANSWER for the images `ids` [N] with `hashes` [N, 16].

    packed [N, 8]: the result of `answer`.
    """
    records: Answers = np.zeros(len(ids), ANSWER)
    records["id"] = ids
    records["hash"] = hashes
    records["top5"] = packed[:, :_TOP].astype(np.int32)
    for place, name in enumerate(("label_logit", "margin", "confidence"), start=_TOP):
        records[name] = packed[:, place]
    return records
