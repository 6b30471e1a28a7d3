"""Is a difference real? Sampling error of figures, and of their differences, as numbers without a model.

delong      AUC, and the difference of two AUCs on the same rows
bootstrap   log loss, normalised entropy, Brier score and calibration ratio, on the same rows
welch       means over seeds
"""
