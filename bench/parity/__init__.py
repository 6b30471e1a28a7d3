"""Logits of other systems' networks with known weights, kept under tests/golden/parity. `make parity` makes them anew.

Runs in the peers' environment and never imports ctrfast: each network is built by the peer's own code with tiny sizes,
its weights are drawn from a seed, its logits computed on a few rows, and its weights written under our names.
`tests/models/test_parity_with_peers.py` gives these weights to our networks.
"""
