"""Embedding throughput: mediaml beside open_clip used by hand, and where the time goes.

    python -m benchmarks.embedding --clip clip.mp4                 # ViT-B-32 at 224 px, random weights: speed only

By hand: PyAV to RGB at full size, PIL, open_clip's own transform, its model. mediaml: one decode with views at the model's
size, normalisation on the device, the same model. One thread each; CPU seconds, one frame in 5 of the clip. Says also how
alike the vectors of the two ways are.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from mediaml.analyzers.embed.open_clip import open_clip_net, parse
from mediaml.decode.lanes import Pictures
from mediaml.decode.probe import probe

EVERY = 5


def frames(path: Path, most: int) -> Any:
    with av.open(str(path)) as source:
        stream = source.streams.video[0]
        stream.thread_type = "NONE"
        yield from itertools.islice(source.decode(stream), most)


def main() -> None:
    import open_clip

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--model", default="ViT-B-32")
    parser.add_argument("--frames", type=int, default=100, help="decoded; one in 5 is embedded")
    parser.add_argument("--precision", default="fp32")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        model, _, transform = open_clip.create_model_and_transforms(options.model)
        model.eval()
        path = Path(folder) / "model.safetensors"
        save_file({k: v.contiguous().clone() for k, v in model.state_dict().items()}, path)
        choice = parse(f"open_clip:{options.model}/@{path}?precision={options.precision}")
        net = open_clip_net(choice)
        info = probe(options.clip)
        assert info.main_video is not None
        made = Pictures(info.main_video)
        clock = time.process_time

        spent = {"by hand": [0.0, 0.0, 0.0], "mediaml": [0.0, 0.0, 0.0]}
        vectors: dict[str, list[torch.Tensor]] = {"by hand": [], "mediaml": []}
        begin = clock()
        kept = []
        for i, frame in enumerate(frames(options.clip, options.frames)):
            if i % EVERY == 0:
                kept.append(frame)
        for name in spent:
            spent[name][0] = clock() - begin
        with torch.inference_mode():
            for frame in kept:
                at = clock()
                picture = transform(Image.fromarray(frame.to_ndarray(format="rgb24")))
                spent["by hand"][1] += clock() - at
                at = clock()
                vectors["by hand"].append(model.encode_image(picture[None], normalize=True))
                spent["by hand"][2] += clock() - at
            for frame in kept:
                at = clock()
                (view,), _ = made.make(choice.view, frame, made.source(frame))
                batch = torch.from_numpy(np.ascontiguousarray(view)).permute(2, 0, 1)[None]
                net.prepare(batch)
                spent["mediaml"][1] += clock() - at
                at = clock()
                vectors["mediaml"].append(net.images(batch))
                spent["mediaml"][2] += clock() - at
    print(
        f"{options.clip.name}: {options.frames} frames decoded, {len(kept)} embedded by {options.model}, {choice.precision}"
    )
    for name, (decode, preprocess, network) in spent.items():
        total = decode + preprocess + network
        shares = ", ".join(
            f"{what} {100 * part / total:.0f} %"
            for what, part in (("decode", decode), ("preprocess", preprocess), ("model", network))
        )
        print(
            f"{name:<8} {len(kept) / total:6.2f} frames/s/core  {shares}  ({1e3 * preprocess / len(kept):.1f} ms a frame)"
        )
    alike = (torch.cat(vectors["by hand"]) * torch.cat(vectors["mediaml"])).sum(1)
    print(f"cosine of the two: least {alike.min():.5f}, mean {alike.mean():.5f}")


if __name__ == "__main__":
    main()
