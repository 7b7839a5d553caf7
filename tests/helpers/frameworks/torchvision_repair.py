"""Import of a torchvision built for CUDA with a PyTorch built for the CPU.

Its compiled part cannot be loaded there, and importing it then fails, because the shapes of two operators are declared
that nothing defines: pytorch/vision#9085. Here they are defined. Import this before torchvision, timm or transformers.
"""

import torch

_library = torch.library.Library("torchvision", "DEF")
for _name in ("nms", "qnms"):
    _library.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
