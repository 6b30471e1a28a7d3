"""DeepCTR as its users run it: `compile("adam", "binary_crossentropy")` and the function that `model.fit` calls.

Its default L2 (1e-5 on embeddings and linear weights) makes each gradient dense; there is no clip.
"""

from __future__ import annotations

from bench.peers.deepctr_model import arguments, build_deepfm, endless
from bench.turns import Turns, answering


def main(turns: Turns) -> None:
    rows, batch_size, sizes = arguments()
    model = build_deepfm(sizes, l2=1e-5)
    model.compile("adam", "binary_crossentropy")
    train_function = model.make_train_function()
    source = endless(rows, batch_size)
    turns.serve(lambda: train_function(source))


if __name__ == "__main__":
    with answering() as turns:
        main(turns)
