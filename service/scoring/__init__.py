"""Online scoring: bodies are decoded, impressions encoded, scored together with what else has arrived, and answered.

endpoints   the routes, as plain ASGI: no framework between them and the server
bodies      JSON in, columns of raw values out
batches     greedy batching: whatever has arrived is scored at once
answers     scores in, JSON out
"""
