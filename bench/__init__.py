"""Timed comparisons of ctrfast with other systems; README.md lists them."""
