"""The messages of TensorFlow's files, by their names in TensorFlow's .proto files."""

from __future__ import annotations

from graphflow.dtypes import BASE
from graphflow.io.wire import ENUMS, Message

_SHORT = {"float32": "FLOAT", "float64": "DOUBLE", "float16": "HALF"}
_TYPES = {"DT_INVALID": 0, **{"DT_" + _SHORT.get(d.name, d.name.upper()): int(d) for d in BASE}}
ENUMS["DataType"] = {**_TYPES, **{f"{name}_REF": number + 100 for name, number in _TYPES.items() if number}}
ENUMS["CheckpointFormatVersion"] = {"LEGACY": 0, "V1": 1, "V2": 2}
ENUMS["Endianness"] = {"LITTLE": 0, "BIG": 1}
ENUMS["VariableSynchronization"] = {
    f"VARIABLE_SYNCHRONIZATION_{name}": number for number, name in enumerate(("AUTO", "NONE", "ON_WRITE", "ON_READ"))
}
ENUMS["VariableAggregation"] = {
    f"VARIABLE_AGGREGATION_{name}": number for number, name in enumerate(("NONE", "SUM", "MEAN", "ONLY_FIRST_REPLICA"))
}


class TensorShapeDim(Message):
    fields = ("1 size int64", "2 name string")


class TensorShapeProto(Message):
    fields = ("2 dim* TensorShapeDim", "3 unknown_rank bool")
    Dim = TensorShapeDim


class TensorProto(Message):
    fields = (
        "1 dtype DataType", "2 tensor_shape TensorShapeProto", "3 version_number int32", "4 tensor_content bytes", "5 float_val* float",
        "6 double_val* double", "7 int_val* int32", "8 string_val* bytes", "9 scomplex_val* float", "10 int64_val* int64",
        "11 bool_val* bool", "12 dcomplex_val* double", "13 half_val* int32", "16 uint32_val* uint32", "17 uint64_val* uint64",
    )  # fmt: skip


class NameAttrList(Message):
    fields = ("1 name string", "2 attr{} AttrValue")


class ListValue(Message):
    fields = (
        "2 s* bytes", "3 i* int64", "4 f* float", "5 b* bool", "6 type* DataType", "7 shape* TensorShapeProto", "8 tensor* TensorProto",
        "9 func* NameAttrList",
    )  # fmt: skip


class AttrValue(Message):
    fields = (
        "1 list ListValue", "2 s? bytes", "3 i? int64", "4 f? float", "5 b? bool", "6 type? DataType", "7 shape TensorShapeProto",
        "8 tensor TensorProto", "9 placeholder? string", "10 func NameAttrList",
    )  # fmt: skip
    ListValue = ListValue


class NodeDef(Message):
    fields = ("1 name string", "2 op string", "3 input* string", "4 device string", "5 attr{} AttrValue")


class VersionDef(Message):
    fields = ("1 producer int32", "2 min_consumer int32", "3 bad_consumers* int32")


class FunctionDefLibrary(Message):
    """Functions, as they stand in the file: graphflow has none."""

    fields = ("1 function* bytes", "2 gradient* bytes")


class GraphDef(Message):
    fields = ("1 node* NodeDef", "2 library FunctionDefLibrary", "3 version int32", "4 versions VersionDef")


class SaverDef(Message):
    """What a Saver is made of: the names of its operations, and how many checkpoints it keeps."""

    fields = (
        "1 filename_tensor_name string", "2 save_tensor_name string", "3 restore_op_name string", "4 max_to_keep int32", "5 sharded bool",
        "6 keep_checkpoint_every_n_hours float", "7 version CheckpointFormatVersion",
    )  # fmt: skip
    LEGACY, V1, V2 = 0, 1, 2
    CheckpointFormatVersion = ENUMS["CheckpointFormatVersion"]


class NodeList(Message):
    fields = ("1 value* string",)


class BytesList(Message):
    fields = ("1 value* bytes",)


class Int64List(Message):
    fields = ("1 value* int64",)


class FloatList(Message):
    fields = ("1 value* float",)


class AnyMessage(Message):
    fields = ("1 type_url string", "2 value bytes")


class AnyList(Message):
    fields = ("1 value* AnyMessage",)


class CollectionDef(Message):
    """A collection of a graph."""

    fields = (
        "1 node_list NodeList", "2 bytes_list BytesList", "3 int64_list Int64List", "4 float_list FloatList", "5 any_list AnyList",
    )  # fmt: skip


class CooSparse(Message):
    fields = ("1 values_tensor_name string", "2 indices_tensor_name string", "3 dense_shape_tensor_name string")


class TensorInfo(Message):
    fields = ("1 name? string", "2 dtype DataType", "3 tensor_shape TensorShapeProto", "4 coo_sparse CooSparse")
    CooSparse = CooSparse


class SignatureDef(Message):
    fields = ("1 inputs{} TensorInfo", "2 outputs{} TensorInfo", "3 method_name string")


class AssetFileDef(Message):
    fields = ("1 tensor_info TensorInfo", "2 filename string")


class MetaInfoDef(Message):
    """`stripped_op_list` stays as it stands in the file."""

    fields = (
        "1 meta_graph_version string", "2 stripped_op_list bytes", "3 any_info AnyMessage", "4 tags* string", "5 tensorflow_version string",
        "6 tensorflow_git_version string", "7 stripped_default_attrs bool",
    )  # fmt: skip


class MetaGraphDef(Message):
    """A graph with its collections and its saver."""

    fields = (
        "1 meta_info_def MetaInfoDef", "2 graph_def GraphDef", "3 saver_def SaverDef", "4 collection_def{} CollectionDef",
        "5 signature_def{} SignatureDef", "6 asset_file_def* AssetFileDef",
    )  # fmt: skip
    MetaInfoDef = MetaInfoDef


class SaveSliceInfoDef(Message):
    fields = ("1 full_name string", "2 full_shape* int64", "3 var_offset* int64", "4 var_shape* int64")


class VariableDef(Message):
    """The operations that a variable consists of."""

    fields = (
        "1 variable_name string", "2 initializer_name string", "3 snapshot_name string", "4 save_slice_info_def SaveSliceInfoDef",
        "5 is_resource bool", "6 initial_value_name string", "7 trainable bool", "8 synchronization VariableSynchronization",
        "9 aggregation VariableAggregation",
    )  # fmt: skip


class QueueRunnerDef(Message):
    """The operations of a queue runner; the error types by their codes."""

    fields = (
        "1 queue_name string", "2 enqueue_op_name* string", "3 close_op_name string", "4 cancel_op_name string",
        "5 queue_closed_exception_types* int32",
    )  # fmt: skip


class ExternalValuesEntry(Message):
    """An entry of the map `external_values`, whose values are strings."""

    fields = ("1 key string", "2 value string")


class ValuesDef(Message):
    fields = ("1 values* string", "2 external_values* ExternalValuesEntry")


class CondContextDef(Message):
    fields = (
        "1 context_name string", "2 pred_name string", "3 pivot_name string", "4 branch int32", "5 values_def ValuesDef",
        "6 nested_contexts* ControlFlowContextDef",
    )  # fmt: skip


class WhileContextDef(Message):
    fields = (
        "1 context_name string", "2 parallel_iterations int32", "3 back_prop bool", "4 swap_memory bool", "5 pivot_name string",
        "6 pivot_for_pred_name string", "7 pivot_for_body_name string", "8 loop_exit_names* string", "9 values_def ValuesDef",
        "10 loop_enter_names* string", "11 maximum_iterations_name string", "12 nested_contexts* ControlFlowContextDef",
    )  # fmt: skip


class ControlFlowContextDef(Message):
    fields = ("1 cond_ctxt CondContextDef", "2 while_ctxt WhileContextDef")


class CheckpointState(Message):
    """The contents of the file `checkpoint`."""

    fields = (
        "1 model_checkpoint_path string", "2 all_model_checkpoint_paths* string", "3 all_model_checkpoint_timestamps* double",
        "4 last_preserved_timestamp double",
    )  # fmt: skip


# -- checkpoints ------------------------------------------------------------------------------------------------------------------


class Extent(Message):
    """A range of an axis; without a length the whole axis."""

    fields = ("1 start int64", "2 length? int64")


class TensorSliceProto(Message):
    fields = ("1 extent* Extent",)


class BundleHeaderProto(Message):
    fields = ("1 num_shards int32", "2 endianness Endianness", "3 version VersionDef")


class BundleEntryProto(Message):
    fields = (
        "1 dtype DataType", "2 shape TensorShapeProto", "3 shard_id int32", "4 offset int64", "5 size int64", "6 crc32c fixed32",
        "7 slices* TensorSliceProto",
    )  # fmt: skip


class SavedSliceMeta(Message):
    fields = ("1 name string", "2 shape TensorShapeProto", "3 type DataType", "4 slice* TensorSliceProto")


class SavedTensorSliceMeta(Message):
    fields = ("1 tensor* SavedSliceMeta", "2 versions VersionDef")


class SavedSlice(Message):
    fields = ("1 name string", "2 slice TensorSliceProto", "3 data TensorProto")


class SavedTensorSlices(Message):
    """A record of the older checkpoint format, a single table."""

    fields = ("1 meta SavedTensorSliceMeta", "2 data SavedSlice")


class SerializedTensor(Message):
    fields = ("1 name string", "2 full_name string", "3 checkpoint_key string", "4 optional_restore bool")


class TrackableObject(Message):
    fields = ("2 attributes* SerializedTensor",)


class TrackableObjectGraph(Message):
    """Which object of a TensorFlow 2 checkpoint has which key."""

    fields = ("1 nodes* TrackableObject",)


class ReaderBaseState(Message):
    """How far a reader of files is."""

    fields = ("1 work_started int64", "2 work_finished int64", "3 num_records_produced int64", "4 current_work bytes")
