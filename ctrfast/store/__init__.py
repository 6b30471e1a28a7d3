"""Artefacts in an S3 object store, in the place of folders of this machine (docs/storage.md).

address     where: `s3://bucket/prefix`
objects     the store: read, write once, list, copy, remove, and its errors
cache       what was read, kept on this machine
artefacts   publish and open: whole or absent, compared by hash
mirror      a run's checkpoints, while it trains
outputs     a folder that is made here and published when it is done
"""
