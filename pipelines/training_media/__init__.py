"""Training media made from nothing but packages that anyone can fetch: licensed pictures, camera motion, real encodes.

pictures.py        photographs and drawings from Debian packages, checked by sha256
camera_motion.py   picture -> clip: pan, zoom, rotation, parallax, things that move; the same seed gives the same clip
encodes.py         clip -> what a viewer gets: x264, x265, SVT-AV1, VP9 inter-coded at a CRF, decoded again, with QP
"""
