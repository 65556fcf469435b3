"""How `mediaml_sr_x2` is made; `pipelines/train_sr.py` is the recipe that runs these parts in order.

pairs.py       pictures -> clips -> inter-coded low-resolution patches beside their high-resolution originals
training.py    patches -> weights: wide linear blocks, EMA, a schedule by the clock, checkpoints
evaluation.py  weights -> the figures of the card: held-out inter-coded clips, Set5
"""
