"""Maps that a user could have written."""

from pathlib import Path

MINE = """
#:schema map.schema.json
schema  = 1
layout  = "mine"
include = ["pytorch"]

[library]
title = "My library"

[variants]
same = ["b0", "lite0"]

[facts]
bn_eps  = 1e-3
padding = "tf-same"

[layers]
stem  = [["conv",           "conv",   "first.conv"],
         ["bn",             "bn",     "first.norm"]]
block = [["expand.conv",    "conv",   "body.{index}.grow.conv", "expanded"],
         ["expand.bn",      "bn",     "body.{index}.grow.norm", "expanded"],
         ["depthwise.conv", "conv",   "body.{index}.deep.conv"],
         ["depthwise.bn",   "bn",     "body.{index}.deep.norm"],
         ["se.reduce",      "biased", "body.{index}.gate.down", "se"],
         ["se.expand",      "biased", "body.{index}.gate.up",   "se"],
         ["project.conv",   "conv",   "body.{index}.out.conv"],
         ["project.bn",     "bn",     "body.{index}.out.norm"]]
head  = [["conv",           "conv",   "last.conv"],
         ["bn",             "bn",     "last.norm"],
         ["fc",             "biased", "answers"]]
"""
BUILD = """
[[builds]]
facts = { bn_eps = "any" }
code  = '''
import mine
network = mine.EfficientNet("{variant}", {width}, {depth}, {features}, {dropout}, eps={bn_eps}, classes={classes})
network.load("{file}")
'''
"""


def write_map(folder: Path, text: str = MINE, name: str = "mine.toml") -> Path:
    """Write a map into `folder` and return its path."""
    path = folder / name
    path.write_text(text)
    return path
