"""Pictures on the page: heat maps by patch and the worst mistakes, whatever the files hold."""

from __future__ import annotations

import base64
import json
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.unit.report.sample import CLASSES, config, mistakes_of, patches_of, write_sample

from plumbline.images import as_data_uri
from plumbline.report.page import render
from plumbline.report.read import Reports

TITLES = {"patches": "Images, patch by patch", "mistakes": "The worst mistakes, as pictures"}
FILES = {"patches": "explain/patches.json", "mistakes": "evaluation/mistakes.json"}


def part_of(tmp_path: Path, which: str, content: Any, task: str = "binary") -> str:
    write_sample(tmp_path, task)
    (tmp_path / FILES[which]).write_text(json.dumps(content))
    whole = render(config(task), Reports(tmp_path))
    if f"{TITLES[which]}</h3>" not in whole:
        return ""
    return re.split(r"<h3>|</section>", whole.split(f"{TITLES[which]}</h3>")[1])[0]


def test_a_heat_map_by_each_method_lies_over_the_picture(tmp_path: Path) -> None:
    part = part_of(tmp_path, "patches", patches_of(CLASSES["binary"]))
    assert part.count("<image ") == 1 and part.count('<use href="#picture-0"') == 2
    assert '<rect class="heat p4" x="6" y="3" width="3" height="3"/>' in part
    assert "largest 0.5 in row 2, column 3 of the patches" in part
    assert "Without the patches 0.130." in part and "saliency (no sign)" in part
    assert "The deletion test on the patches of photo" in part


@pytest.mark.parametrize("task", list(CLASSES))
def test_mistakes_have_a_picture_each_and_say_what_was_wrong(tmp_path: Path, task: str) -> None:
    part = part_of(tmp_path, "mistakes", mistakes_of(CLASSES[task]), task)
    assert part.count("<image ") == 3 and part.count("no image") == 1
    joined = part.replace("<wbr>", "")
    assert "photos/7.png" in joined and f"<bdi>{'a' * 55}8.png</bdi>" in joined
    if CLASSES[task]:
        assert f"predicted {CLASSES[task][-1]} (0.97)" in part
        assert "The worst 2 of 9 mistaken test rows, with the pictures of photo, scan." in part
    else:
        assert "actual 181,000" in part and "predicted 176,500" in part


@pytest.mark.parametrize(
    "uri",
    [
        "data:image/svg+xml;base64,AAAA",
        'data:image/png;base64,AA"onload="x',
        "http://elsewhere/x.png",
        "data:image/png;base64," + "A" * 2_000_000,
        7,
    ],
)
def test_what_is_no_picture_of_ours_is_not_shown(tmp_path: Path, uri: Any) -> None:
    content = patches_of(CLASSES["binary"])
    content["rows"][0]["picture"] = uri
    assert part_of(tmp_path, "patches", content) == ""
    content = mistakes_of(CLASSES["binary"])
    for row in content["rows"]:
        row["pictures"][0]["picture"] = uri
    part = part_of(tmp_path, "mistakes", content)
    assert part.count("<image ") == 1 and part.count("no image") == 3 and len(part) < 20_000


@pytest.mark.parametrize("which", list(FILES))
def test_without_an_image_there_is_no_such_part(tmp_path: Path, which: str) -> None:
    assert part_of(tmp_path, which, {"columns": [], "rows": []}) == ""


def test_a_picture_is_its_pixels_and_bounded() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 300, 200), dtype=np.uint8)
    for own, size, mode in ((pixels, (64, 96), "RGB"), (pixels[:1, :20, :30], (30, 20), "L")):
        uri = as_data_uri(own, 96)
        image = Image.open(BytesIO(base64.b64decode(uri.partition(",")[2])))
        assert image.size == size and image.mode == mode and not image.info
        assert as_data_uri(own, 96) == uri
    assert np.asarray(image).tolist() == pixels[0, :20, :30].tolist()
