"""Burned-in text: character error rate and found lines on real pictures with text drawn over them, by size, font and style.

    OMP_NUM_THREADS=1 python -m benchmarks.burned_in_text --side 960

Pictures are COCO128's, cropped to 16:9 and brought to 1920x1080; each carries one or two lines of English words. A drawn
line counts as found where the middle of a read line lies in it. Fonts: DejaVu (Debian's fonts-dejavu).
"""

from __future__ import annotations

import argparse
import os
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from mediaml import weights
from mediaml.nets.text_detector import TextDetector
from mediaml.nets.text_recognizer import TextRecognizer, line_picture

SHARED = Path(os.environ.get("MEDIAML_SHARED_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
PICTURES = SHARED / "img-det/lightly-ai+coco128_yolo/images/train2017"
FONTS = Path("/usr/share/fonts/truetype/dejavu")
STYLES = {
    "sans": "DejaVuSans.ttf", "sans bold": "DejaVuSans-Bold.ttf", "serif": "DejaVuSerif.ttf",
    "mono": "DejaVuSansMono.ttf", "sans oblique": "DejaVuSans-Oblique.ttf", "serif bold italic": "DejaVuSerif-BoldItalic.ttf",
}  # fmt: skip
HEIGHTS = (72, 54, 40, 30, 22)  # font sizes in px of 1080 lines
TEXT = """the weather tomorrow morning will be cold and clear near coast Friday 18:30 goals season episode channel news
please subscribe directed by written produced Anna Martin Berlin London 2024 45% $120 breaking live part two never
always I don't know where you are going tonight"""
WORDS = TEXT.split()


@dataclass(slots=True)
class Drawn:
    text: str
    box: tuple[int, int, int, int]  # left, top, right, bottom in px
    height: int
    style: str


def backdrop(path: Path) -> Image.Image:
    picture = Image.open(path).convert("RGB")
    high = min(picture.height, picture.width * 9 // 16)
    top = (picture.height - high) // 2
    return picture.crop((0, top, high * 16 // 9, top + high)).resize((1920, 1080), Image.Resampling.BICUBIC)


def draw(picture: Image.Image, index: int, random: np.random.Generator) -> list[Drawn]:
    """One or two lines low in the picture: white with a black outline, plain white, or black on a white bar."""
    pen, lines = ImageDraw.Draw(picture), []
    style, height = list(STYLES)[index % len(STYLES)], HEIGHTS[index % len(HEIGHTS)]
    look = ("outline", "plain", "bar")[index % 3]
    font = ImageFont.truetype(str(FONTS / STYLES[style]), height)
    y = int(random.integers(600, 800))
    for _ in range(1 + index % 2):
        text = " ".join(str(w) for w in random.choice(WORDS, int(random.integers(3, 7))))
        left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
        x = int(random.integers(20, max(21, 1900 - right)))
        box = (x + int(left), y + int(top), x + int(right), y + int(bottom))
        if look == "bar":
            pen.rectangle((box[0] - 12, box[1] - 8, box[2] + 12, box[3] + 8), fill=(240, 240, 240))
        fill = (20, 20, 20) if look == "bar" else (255, 255, 255)
        pen.text(
            (x, y),
            text,
            font=font,
            fill=fill,
            stroke_width=height // 14 if look == "outline" else 0,
            stroke_fill=(0, 0, 0),
        )
        lines.append(Drawn(text, box, height, f"{style}, {look}"))
        y += round(height * 1.7)
    return lines


def distance(a: str, b: str) -> int:
    """Levenshtein's edit distance."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row, before = [i], row
        for j, y in enumerate(b, 1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (x != y)))
    return row[-1]


def read(
    picture: NDArray[np.uint8], detect: TextDetector, recognize: TextRecognizer
) -> list[tuple[str, float, NDArray]]:
    found = []
    for line in detect(picture):
        text, score = recognize(line_picture(picture, line.corners))
        found.append((text, score, line.corners))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=960, help="longer side that the detector looks at, px")
    parser.add_argument("--view", type=int, default=960, help="longer side of the picture that lines are cut from, px")
    parser.add_argument("--pictures", type=int, default=30)
    parser.add_argument("--least", type=float, default=0.6, help="least score of a line that counts")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    detect, recognize = (
        TextDetector(weights.resolve("ppocr_det"), given.side),
        TextRecognizer(weights.resolve("ppocr_rec")),
    )
    random = np.random.default_rng(7)
    errors: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])  # edits, characters, found, lines
    stray, seconds = 0, 0.0
    for index, path in enumerate(sorted(PICTURES.iterdir())[: given.pictures]):
        canvas = backdrop(path)
        drawn = draw(canvas, index, random)
        view = canvas.resize((given.view, given.view * 9 // 16), Image.Resampling.BOX)
        picture = np.ascontiguousarray(np.asarray(view)[:, :, ::-1])
        began = time.process_time()
        found = [f for f in read(picture, detect, recognize) if f[1] >= given.least and f[0]]
        seconds += time.process_time() - began
        scale = 1920 / given.view
        left = list(found)
        for line in drawn:
            inside = [f for f in left if _inside(f[2].mean(0) * scale, line.box)]
            inside.sort(key=lambda f: float(f[2][0, 0]))
            text = " ".join(f[0] for f in inside)
            for f in inside:
                left.remove(f)
            for key in ("all", f"{line.height} px", line.style.split(", ")[0], line.style.split(", ")[1]):
                errors[key][0] += distance(text.replace(" ", ""), line.text.replace(" ", ""))
                errors[key][1] += len(line.text.replace(" ", ""))
                errors[key][2] += bool(inside)
                errors[key][3] += 1
        stray += len(left)
    print("| lines | CER without spaces | lines found |\n|---|---|---|")
    for key, (edits, characters, hits, lines) in errors.items():
        print(f"| {key} | {edits / characters:.3f} | {hits} of {lines} |")
    print(f"\n{stray} further lines read in the pictures; {seconds / given.pictures * 1000:.0f} CPU ms a picture")


def _inside(point: NDArray, box: tuple[int, int, int, int]) -> bool:
    return bool(box[0] <= point[0] <= box[2] and box[1] - 8 <= point[1] <= box[3] + 8)


if __name__ == "__main__":
    main()
