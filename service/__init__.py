"""The REST service: training jobs, a model registry and online scoring over `ctrfast`.

settings, states, tables, database   what everything below stands on
jobs, leases, events                 the job store: the caller's side, the worker's side, the record
webhooks, outbound                   events sent to whom a job's caller named
datasets, registry, keys             what jobs use and make, and who may ask
worker, child, runner, work          a job's way from the queue to its result, in processes of its own
scoring, routes, guard, problems     the API; it never imports TensorFlow
cli, processes                       `ctrfast-service`
"""
