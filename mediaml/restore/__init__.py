"""Super-resolution: tensors and planes in, larger ones out. Sees tensors only; files are the engine's.

enlarger.py   the contract: native planes or R'G'B' of N frames -> the same, larger
luma.py       our own network: luma by the network, chroma by Lanczos at its true position
rgb.py        networks that take R'G'B' (Real-ESRGAN, what spandrel reads)
tiling.py     tiles with overlap, and how large they may be
ensemble.py   the mean over eight orientations, for still pictures
strength.py   how strongly the pictures were compressed, steadily over time
models.py     name or file -> enlarger
upscaler.py   the public `mediaml.Upscaler`
"""
