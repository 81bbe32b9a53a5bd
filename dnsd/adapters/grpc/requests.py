"""Messages as the requests of the HTTP interface, so that the same checks see them and the same words tell of faults.

What a message can say that JSON cannot, such as a time of no calendar, is refused here; every reason is told at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import ValidationError

from admin.paging import CURSOR, LIMIT, PageQuery
from admin.phrases import PHRASES, field_error
from admin.problems import invalid
from admin.query import Param
from admin.routes import TIMEOUT
from dnsd.adapters.grpc.answers import prefix_of
from dnsd.adapters.grpc.v1 import control_pb2
from dnsd.api.schemas import DrainRequest, FieldError, ReleaseRequest, Request
from dnsd.model.times import can_be_written

RequestT = TypeVar("RequestT", bound=Request)
ListRequest = (
    control_pb2.ListNodesRequest
    | control_pb2.ListDrainsRequest
    | control_pb2.ListPoolsRequest
    | control_pb2.ListConsumersRequest
)

# A Timestamp and a Duration have so many nanoseconds at most.
_MAX_NANOS = 999_999_999

# A word of the query of a release, which is not taken where it is empty.
_WORD = Param(name="word", kind="string", description="")

_MODES = control_pb2.Mode.DESCRIPTOR


class Order(NamedTuple):
    """What an order says beside the request itself.

    Args:
        if_revision: the only revision on which it is to be done; None: any.
        wait_seconds: how long to wait for all live consumers.
    """

    if_revision: int | None
    wait_seconds: float


def placing(message: control_pb2.DrainRequest) -> tuple[DrainRequest, Order]:
    """Return what a message asks for.

    Raises:
        Fault: 400, with every field at fault.
    """
    reading = _Reading()
    expiry = message.WhichOneof("expiry")
    values: dict[str, Any] = {
        "roles": list(message.roles) or None,
        "mode": _mode(message.mode),
        "reason": message.reason,
        "holder": message.holder if message.HasField("holder") else None,
        "force": message.force,
        "dry_run": message.dry_run,
        "indefinite": expiry == "indefinite" and message.indefinite,
    }
    if expiry == "expires_in":
        values["expires_in"] = reading.seconds("expires_in", message.expires_in)
    if expiry == "expires_at":
        values["expires_at"] = reading.instant("expires_at", message.expires_at)
    if message.HasField("starts_at"):
        values["starts_at"] = reading.instant("starts_at", message.starts_at)
    order = reading.order(message)
    return reading.request(DrainRequest, values), order


def releasing(message: control_pb2.UndrainRequest) -> tuple[ReleaseRequest, Order]:
    """Return what a message asks for.

    Raises:
        Fault: 400, with every field at fault.
    """
    reading = _Reading()
    values: dict[str, Any] = {
        "roles": [reading.param(_WORD, role, field="roles") for role in message.roles] or None,
        "holder": reading.param(_WORD, message.holder, field="holder") if message.HasField("holder") else None,
        "all_holders": message.all_holders,
        "ramp": reading.seconds("ramp", message.ramp) if message.HasField("ramp") else None,
        "dry_run": message.dry_run,
    }
    order = reading.order(message)
    return reading.request(ReleaseRequest, values), order


def paging(message: ListRequest) -> PageQuery:
    """Return which page of a list is asked for.

    Raises:
        Fault: 400, with every field at fault.
    """
    reading = _Reading()
    limit = reading.param(LIMIT, str(message.limit)) if message.HasField("limit") else LIMIT.default
    cursor = reading.param(CURSOR, message.cursor) if message.HasField("cursor") else None
    reading.check()
    return {"limit": limit, "cursor": cursor}


def resuming(message: control_pb2.WatchRequest) -> int | None:
    """Return the revision to resume behind; None: from now on.

    Raises:
        Fault: 400, it cannot be one.
    """
    if not message.HasField("after_revision"):
        return None
    if message.after_revision < 0:
        text = f"{str(message.after_revision)!r} is not a revision"
        raise invalid([FieldError(field="after_revision", message=text)])
    return message.after_revision


class _Reading:
    """Reads the fields of one message, and keeps every reason why it is not taken."""

    def __init__(self) -> None:
        self._errors: list[FieldError] = []

    def _refuse(self, field: str, message: str) -> None:
        self._errors.append(FieldError(field=field, message=message))

    def check(self) -> None:
        """Raise what was found to be wrong."""
        if self._errors:
            raise invalid(self._errors)

    def request(self, model: type[RequestT], values: Mapping[str, Any]) -> RequestT:
        """Return the values as the HTTP interface's request."""
        self.check()
        try:
            return model.model_validate(values)
        except ValidationError as error:
            raise invalid([field_error(item) for item in error.errors(include_url=False)]) from None

    def order(self, message: control_pb2.DrainRequest | control_pb2.UndrainRequest) -> Order:
        """Return what an order says beside its request."""
        if_revision = message.if_revision if message.HasField("if_revision") else None
        if if_revision is not None and if_revision < 0:
            self._refuse("if_revision", PHRASES["greater_than_equal"].format(ge=0))
        timeout = TIMEOUT.default
        if message.HasField("timeout") and (seconds := self.seconds("timeout", message.timeout)) is not None:
            timeout = self.param(TIMEOUT, _decimal(seconds)) or 0.0
        return Order(if_revision, timeout if message.wait_applied else 0.0)

    def param(self, param: Param, text: str, *, field: str = "") -> Any:
        """Return a value as a query's parameter would be read; None: it is not taken."""
        try:
            return param.read(text)
        except ValueError as error:
            self._refuse(field or param.name, str(error))
            return None

    def seconds(self, field: str, duration: Duration) -> float | None:
        """Return a length of time; None: it is none."""
        seconds, nanos = duration.seconds, duration.nanos
        if abs(nanos) > _MAX_NANOS or seconds * nanos < 0:
            self._refuse(field, f"has nanos {nanos} beside seconds {seconds}, which no Duration has")
            return None
        return seconds + nanos / 1e9

    def instant(self, field: str, timestamp: Timestamp) -> float | None:
        """Return an instant; None: it is none."""
        if not 0 <= timestamp.nanos <= _MAX_NANOS:
            self._refuse(field, f"has nanos {timestamp.nanos}, which no Timestamp has")
            return None
        instant = timestamp.seconds + timestamp.nanos / 1e9
        if not can_be_written(instant):
            self._refuse(field, "is outside the years 1 to 9999 in UTC")
            return None
        return instant


def _mode(number: int) -> str:
    """Return a mode's word as the HTTP interface has it; of a number without one, the number."""
    if number == control_pb2.MODE_UNSPECIFIED:
        return str(DrainRequest.model_fields["mode"].default)
    value = _MODES.values_by_number.get(number)
    return str(number) if value is None else value.name.removeprefix(prefix_of(_MODES)).lower()


def _decimal(number: float) -> str:
    """Write a number without an exponent, as a query has it."""
    return f"{number:.9f}".rstrip("0").rstrip(".")
