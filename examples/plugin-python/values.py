"""Values and descriptions of sluice.plugin.v1, as plain Python."""

import datetime
import json
import sys
from pathlib import Path

from google.protobuf.timestamp_pb2 import Timestamp

sys.path.insert(0, str(Path(__file__).parent / "gen"))
from sluice.plugin.v1 import plugin_pb2 as v1, plugin_pb2_grpc  # noqa: E402  (made by make.sh)

__all__ = ["described", "from_value", "from_values", "plugin_pb2_grpc", "to_value", "to_values", "v1"]


def to_value(value):
    if value is None:
        return v1.Value(null_value=0)
    if isinstance(value, bool):  # before int, which it is, too
        return v1.Value(bool_value=value)
    if isinstance(value, int):
        return v1.Value(int64_value=value)
    if isinstance(value, float):
        return v1.Value(double_value=value)
    if isinstance(value, str):
        return v1.Value(string_value=value)
    if isinstance(value, bytes):
        return v1.Value(bytes_value=value)
    if isinstance(value, datetime.datetime):
        stamp = Timestamp()
        stamp.FromDatetime(value)
        return v1.Value(timestamp_value=stamp)
    if isinstance(value, datetime.timedelta):
        result = v1.Value()
        result.duration_value.FromTimedelta(value)
        return result
    if isinstance(value, dict):
        return v1.Value(map_value=v1.MapValue(fields=to_values(value)))
    if isinstance(value, (list, tuple, set, frozenset)):
        return v1.Value(list_value=v1.ListValue(values=[to_value(one) for one in value]))
    raise TypeError(f"a {type(value).__name__} has no form in sluice.plugin.v1")


def to_values(values):
    return {name: to_value(value) for name, value in values.items() if value is not None}


def from_value(value):
    kind = value.WhichOneof("kind")
    if kind == "timestamp_value":
        return value.timestamp_value.ToDatetime(tzinfo=datetime.timezone.utc)
    if kind == "duration_value":
        return value.duration_value.ToTimedelta()
    if kind == "list_value":
        return [from_value(one) for one in value.list_value.values]
    if kind == "map_value":
        return from_values(value.map_value.fields)
    return None if kind in (None, "null_value") else getattr(value, kind)


def from_values(values):
    return {name: from_value(value) for name, value in values.items()}


# ------------------------------------------------------------------------------------------------ description

TYPES = {
    "string": v1.TYPE_STRING, "int": v1.TYPE_INT, "double": v1.TYPE_DOUBLE, "bool": v1.TYPE_BOOL, "bytes": v1.TYPE_BYTES,
    "timestamp": v1.TYPE_TIMESTAMP, "duration": v1.TYPE_DURATION, "ip": v1.TYPE_IP, "list<string>": v1.TYPE_STRING_LIST,
    "map<string>": v1.TYPE_STRING_MAP, "any": v1.TYPE_ANY,
}


def shape(fields):
    return v1.Shape(fields=[
        v1.Field(name=name, type=TYPES[kind.rstrip("?")], optional=kind.endswith("?")) for name, kind in fields.items()
    ])


def input_of(spec):
    return v1.Input(any=True) if spec == "any" else v1.Input(shape=shape(spec))


def described(adapter):
    schema = lambda one: "" if one is None else json.dumps(one)  # noqa: E731
    result = v1.Adapter(name=adapter.name, summary=adapter.summary, config_schema=schema(adapter.config))
    if adapter.check_input is not None:
        result.check.CopyFrom(v1.Check(params_schema=schema(adapter.check_params), input=input_of(adapter.check_input)))
        if adapter.check_output is not None:
            result.check.output.CopyFrom(shape(adapter.check_output))
    if adapter.enrich_input is not None:
        result.enrich.CopyFrom(v1.Enrich(params_schema=schema(adapter.enrich_params), input=input_of(adapter.enrich_input)))
        result.enrich.output.CopyFrom(shape(adapter.enrich_output))
    if adapter.report_input is not None:
        result.report.CopyFrom(v1.Report(params_schema=schema(adapter.report_params), input=input_of(adapter.report_input)))
        result.report.batch.CopyFrom(v1.BatchDefaults(**(adapter.report_batch or {})))
    if adapter.quota_algorithms:
        algorithms = [v1.Algorithm.Value(f"ALGORITHM_{name.upper()}") for name in adapter.quota_algorithms]
        result.quota.CopyFrom(v1.Quota(params_schema=schema(adapter.quota_params), algorithms=algorithms))
    return result
