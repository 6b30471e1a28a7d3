"""Is a difference real? Sampling error of figures, and of their differences, as numbers without a model.

delong      AUC, and the difference of two AUCs on the same rows
bootstrap   log loss, normalised entropy, PR-AUC, ECE, Brier score and calibration ratio, on the same rows
influence   of each row on the PR-AUC, for the bootstrap
welch       means over seeds
"""
