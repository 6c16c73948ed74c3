"""Recurrent nets: cells, wrappers around cells, and the functions that run a cell over a sequence.

`tf.nn` and `tf.nn.rnn_cell` take their recurrent names from here; `tf.contrib.rnn` adds more cells. A cell is a layer called with
an input and a state; it gives an output and the next state.
"""
