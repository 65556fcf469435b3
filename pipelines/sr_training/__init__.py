"""How `mediaml_sr_x2` is made; `pipelines/train_sr.py` is the recipe that runs these parts in order.

pairs.py       pictures -> clips -> inter-coded low-resolution patches beside their high-resolution originals
training.py    patches -> weights: Muon, EMA, a schedule by the clock, checkpoints
caution.py     how much of the residual is added at each strength, so that no validation clip gets worse than Lanczos
evaluation.py  weights -> the figures of the card: held-out inter-coded clips, Set5
"""
