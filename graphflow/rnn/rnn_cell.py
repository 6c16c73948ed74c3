"""tf.nn.rnn_cell: recurrent cells and wrappers around them."""

from graphflow.missing import names_of
from graphflow.rnn.base import ASSERT_LIKE_RNNCELL_ERROR_REGEXP, LayerRNNCell, RNNCell, assert_like_rnncell
from graphflow.rnn.cells import BasicLSTMCell, BasicRNNCell, GRUCell, LSTMCell, LSTMStateTuple
from graphflow.rnn.wrappers import DeviceWrapper, DropoutWrapper, MultiRNNCell, ResidualWrapper

__all__ = [
    "ASSERT_LIKE_RNNCELL_ERROR_REGEXP", "BasicLSTMCell", "BasicRNNCell", "DeviceWrapper", "DropoutWrapper", "GRUCell", "LSTMCell",
    "LSTMStateTuple", "LayerRNNCell", "MultiRNNCell", "RNNCell", "ResidualWrapper", "assert_like_rnncell",
]  # fmt: skip

globals()["__getattr__"] = names_of("nn.rnn_cell")
