"""Other systems on the same work, in an environment of their own (`requirements.txt`): they never import ctrfast."""

import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"  # DeepCTR is written for Keras 2; before TensorFlow is first imported
