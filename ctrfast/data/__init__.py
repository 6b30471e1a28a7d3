"""From raw click logs to a dataset of parquet shards, and from raw impressions to model inputs.

    ahead       blocks in threads, in order
    lines       bytes of a raw file, plain or compressed -> whole lines with their numbers
    cells       text of a cell -> number, time part
    rejects     rows that cannot be used: counted, kept, never dropped in silence
    raw         lines -> blocks of raw columns and labels
    vocabulary  id values of the training split -> dense local ids
    encode      raw values -> model inputs; the one implementation, for preparation and scoring
    shards      a dataset on disk: written, opened, verified
    prepare     the whole way from raw files to a dataset
    teacher     the known click model behind synthetic logs
    synth       raw-format click logs drawn from the teacher
    report      what a dataset holds
    batches     shards -> shuffled batches of arrays

Nothing here imports TensorFlow.
"""
