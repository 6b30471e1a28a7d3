"""The parts of the training loop (`ctrfast.training_loop`), one idea each.

dataset_needs      refuses settings that the data cannot serve
step_window        figures of the steps since the last record
run_log            records as lines and TensorBoard events
latest_figures     the latest of each figure in the records
progress           how far the run is
split_evaluation   labels and logits of a split
validation_watch   what the validation figures decide: stop, lower rates, best weights
divergence         signs that training has gone wrong
callbacks          Keras callbacks
final_calibration  calibration of the final weights, and its picture
golden             rows with the training graph's scores
"""
