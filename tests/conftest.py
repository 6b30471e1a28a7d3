"""Shared by all tests: ctrfast is imported before TensorFlow, and TensorFlow's chatter stays out of the reports."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import ctrfast  # noqa: F401
