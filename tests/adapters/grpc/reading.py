"""Messages and problems in the form in which the HTTP interface says the same; written without the adapter's code."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from dnsd.adapters.grpc.v1 import control_pb2

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def plain(message: Message) -> dict[str, Any]:
    """Return a message as the JSON document that says the same; what is absent is null, or an empty list or object."""
    document: dict[str, Any] = {}
    fields: Any = message.DESCRIPTOR.fields
    for field in fields:
        value = getattr(message, field.name)
        kind = field.message_type.full_name if field.message_type else ""
        if kind and field.message_type.GetOptions().map_entry:
            document[field.name] = {key: _value(item, field) for key, item in value.items()}
        elif field.is_repeated:
            document[field.name] = [_value(item, field) for item in value]
        elif field.has_presence and not message.HasField(field.name):
            document[_name(field.name, kind)] = {} if kind.endswith("Struct") else None
        else:
            document[_name(field.name, kind)] = _value(value, field)
    return document


def _name(name: str, kind: str) -> str:
    return f"{name}_ms" if kind == "google.protobuf.Duration" else name


def _value(value: Any, field: Any) -> Any:
    if field.enum_type is not None:
        prefix = re.sub("([a-z])([A-Z])", r"\1_\2", field.enum_type.name).upper()
        return field.enum_type.values_by_number[value].name.removeprefix(f"{prefix}_").lower()
    if field.message_type is None or not isinstance(value, Message):
        return value
    kind = value.DESCRIPTOR.full_name
    inside: Any = value
    if kind == "google.protobuf.Timestamp":
        instant = EPOCH + timedelta(seconds=inside.seconds, microseconds=inside.nanos // 1000)
        return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if kind == "google.protobuf.Duration":
        return inside.seconds * 1000 + inside.nanos / 1e6
    if kind == "google.protobuf.Struct":
        return MessageToDict(value)
    if kind == "dnsd.v1.Location":
        return [inside.latitude, inside.longitude]
    return plain(value)


class Failure:
    """What a client is told of a call that has failed.

    Attributes:
        code: the name of the status code.
        problem: as the HTTP interface's problem document, without what is absent.
        fields: those that google.rpc.BadRequest names.
        reason: of google.rpc.ErrorInfo.
        retry_seconds: of google.rpc.RetryInfo; None: there is none.
    """

    def __init__(self, error: grpc.RpcError) -> None:
        code = error.code()
        trailers: Any = error.trailing_metadata()
        self.code = code.name
        self.text = error.details() or ""
        status = status_pb2.Status()
        status.ParseFromString(next(value for key, value in trailers if key == "grpc-status-details-bin"))
        assert (status.code, status.message) == (code.value[0], self.text)
        details = {any_.TypeName(): any_ for any_ in status.details}
        problem, info, bad = control_pb2.Problem(), error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        assert details["dnsd.v1.Problem"].Unpack(problem)
        assert details["google.rpc.ErrorInfo"].Unpack(info)
        self.left_out = problem.left_out
        self.problem = {key: value for key, value in plain(problem).items() if value not in (None, [])}
        del self.problem["left_out"]
        for row in self.problem.get("impact", ()):
            if row["at"] is None:
                del row["at"]
        self.reason = info.reason
        assert info.domain == "dnsd"
        assert info.metadata["type"] == problem.type
        if "google.rpc.BadRequest" in details:
            details["google.rpc.BadRequest"].Unpack(bad)
        self.fields = [each.field for each in bad.field_violations]
        self.retry_seconds: float | None = None
        if "google.rpc.RetryInfo" in details:
            retry = error_details_pb2.RetryInfo()
            details["google.rpc.RetryInfo"].Unpack(retry)
            self.retry_seconds = retry.retry_delay.ToSeconds()
