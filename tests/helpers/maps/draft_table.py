"""The table of drafts: each known layout, its file permuted in each way, and how many tensors were decided right.

`PYTHONPATH=tests python -m helpers.maps.draft_table [LAYOUT …]` prints it; it takes some minutes.
"""

import random
import sys
import tempfile
from pathlib import Path

from effconvert.drafting.draft import draft_map
from effconvert.maps.layouts import find_layout, known_layouts
from helpers.library_files import canonical_values, library_tensors, save
from helpers.maps.judging import judge
from helpers.maps.permuted_files import INVISIBLE, WAYS

if __name__ == "__main__":
    print(f"{'layout':<17} {'variant':<8} {'way':<33} right  open wrong questions")
    for name in sys.argv[1:] or [layout.name for layout in known_layouts()]:
        variant = next(iter(find_layout(name).variants))
        for way, permute in (WAYS | INVISIBLE).items():
            file = permute(library_tensors(name, variant), random.Random(way))
            with tempfile.TemporaryDirectory() as folder:
                draft = draft_map(save(Path(folder) / "unknown.pth", file), variant)
            judged = judge(draft, file, canonical_values(variant, 2))
            said = ", names unconfirmed" if any(q.where == "library.caution" for q in draft.questions) else ""
            counts = f"{len(judged.right):5} {len(draft.open):5} {len(judged.wrong):5} {len(draft.questions):6}"
            print(f"{name:<17} {variant:<8} {way:<33} {counts}{said}", flush=True)
