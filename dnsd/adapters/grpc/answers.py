"""The documents of the HTTP interface as messages: a field of a message is the model's field of the same name.

`lag`, a Duration, is the model's `lag_ms`; `location`, in degrees, its pair. Which fields there are is read from the
definition, so that a message that gains a field of a model needs no code here.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any, TypeVar

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

MessageT = TypeVar("MessageT", bound=Message)

# Sets a field of a message from what a model has there, which is never None.
Setter = Callable[[Any, Any], None]

_TIMESTAMP, _DURATION, _STRUCT = "google.protobuf.Timestamp", "google.protobuf.Duration", "google.protobuf.Struct"
_LOCATION = "dnsd.v1.Location"


def filled(message: MessageT, model: BaseModel) -> MessageT:
    """Return a message with what a model says; what the model has as None stays absent."""
    for attribute, setter in _plan(message.DESCRIPTOR):
        value = getattr(model, attribute)
        if value is not None:
            setter(message, value)
    return message


def source_of(field: FieldDescriptor) -> str:
    """Return the name of the model's field that a message's field is filled from."""
    is_duration = field.message_type is not None and field.message_type.full_name == _DURATION
    return f"{field.name}_ms" if is_duration else field.name


def set_instant(timestamp: Timestamp, instant: float) -> None:
    """Write an instant, in whole milliseconds as HTTP has it."""
    timestamp.FromMilliseconds(round(instant * 1000))


def prefix_of(enum: EnumDescriptor) -> str:
    """Return what the names of an enumeration's values begin with, as `DRAIN_STATE_`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", enum.name).upper() + "_"


@functools.cache
def _plan(descriptor: Descriptor) -> tuple[tuple[str, Setter], ...]:
    return tuple((source_of(field), _setter(field)) for field in descriptor.fields)


def _setter(field: FieldDescriptor) -> Setter:
    name = field.name
    if field.message_type is None:
        if field.enum_type is not None:
            numbers = {
                value.name.removeprefix(prefix_of(field.enum_type)).lower(): value.number
                for value in field.enum_type.values
            }
            return lambda message, value: setattr(message, name, numbers[value])
        if field.is_repeated:
            return lambda message, value: getattr(message, name).extend(value)
        return lambda message, value: setattr(message, name, value)
    if field.message_type.GetOptions().map_entry:
        if field.message_type.fields_by_name["value"].message_type is None:
            return lambda message, value: getattr(message, name).update(value)
        return lambda message, value: _fill_map(getattr(message, name), value)
    if field.is_repeated:
        return lambda message, value: _fill_list(getattr(message, name), value)
    special = _SPECIAL.get(field.message_type.full_name, _fill_one)
    return lambda message, value: special(getattr(message, name), value)


def _fill_one(message: Message, model: BaseModel) -> None:
    message.SetInParent()  # also where all of it is as by default
    filled(message, model)


def _fill_list(messages: Any, models: list[BaseModel]) -> None:
    for model in models:
        filled(messages.add(), model)


def _fill_map(messages: Any, models: dict[str, BaseModel]) -> None:
    for key, model in models.items():
        filled(messages[key], model)


def _set_duration(duration: Duration, milliseconds: float) -> None:
    duration.FromMicroseconds(round(milliseconds * 1000))


def _set_location(location: Any, pair: list[float]) -> None:
    location.latitude, location.longitude = pair


_SPECIAL: dict[str, Setter] = {
    _TIMESTAMP: set_instant,
    _DURATION: _set_duration,
    _LOCATION: _set_location,
    _STRUCT: lambda struct, value: struct.update(to_jsonable_python(value)),  # as HTTP writes it
}
