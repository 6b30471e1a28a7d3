"""The kill matrix: real processes, SIGKILL at exact moments, and what must be true afterwards.

`fleet` starts and kills the service's processes, `moments` waits for the instant, `cases` kills and has the service go
on, `verdicts` says what is wrong at the end. `make kill-matrix` runs every case; a few are in the test suite, with
`quick_runner` in the place of TensorFlow.
"""
