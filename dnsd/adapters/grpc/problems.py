"""Problems as gRPC tells them: the status of each, and the details that carry all that the HTTP interface says.

The one place that maps a problem to a status code. What is told is bounded: clients refuse trailers of more than 8 KiB.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode

from admin.problems import Kind, Told
from dnsd.adapters.grpc.answers import filled
from dnsd.adapters.grpc.v1 import control_pb2
from dnsd.api.schemas import FieldError, Impact

ItemT = TypeVar("ItemT")

# Problems that only this protocol has.
ADDRESS_NOT_ALLOWED = Kind("address-not-allowed", 403, "This address is not allowed")
WATCH_ENDED = Kind("watch-ended", 503, "The stream of events has ended")

# By the status that HTTP gives to a problem.
_CODES: Mapping[int, StatusCode] = {
    400: StatusCode.INVALID_ARGUMENT,
    401: StatusCode.UNAUTHENTICATED,
    403: StatusCode.PERMISSION_DENIED,
    404: StatusCode.NOT_FOUND,
    408: StatusCode.DEADLINE_EXCEEDED,
    409: StatusCode.FAILED_PRECONDITION,
    412: StatusCode.ABORTED,
    500: StatusCode.INTERNAL,
    503: StatusCode.UNAVAILABLE,
}
# Where the status alone says too little: by the problem's id.
_CODES_BY_ID: Mapping[str, StatusCode] = {"revision-conflict": StatusCode.ABORTED}

DETAILS_KEY = "grpc-status-details-bin"

# Of the domain of google.rpc.ErrorInfo.
DOMAIN = "dnsd"

# A sentence of an error; it may quote what the client sent. It is sent twice, once with three characters for each byte
# that is not ASCII. Unit: bytes of UTF-8.
MAX_TEXT_SIZE = 512

# The rows of a problem, `errors` and `impact`, and its fields at fault. Unit: bytes.
MAX_ROWS_SIZE = 1_024


def code_of(problem_id: str, http_status: int) -> StatusCode:
    """Return the status code of a problem."""
    return _CODES_BY_ID.get(problem_id) or _CODES.get(http_status, StatusCode.UNKNOWN)


def status_of(told: Told) -> tuple[StatusCode, str, bytes]:
    """Return what a problem is told as: status code, message, and the details as the metadata `DETAILS_KEY`."""
    problem = told.problem
    code = code_of(problem.id, problem.status)
    text = cut(problem.detail)
    status = status_pb2.Status(code=code.value[0], message=text)
    for detail in _details(told, text):
        status.details.add().Pack(detail)
    return code, text, status.SerializeToString()


def cut(text: str, size: int = MAX_TEXT_SIZE) -> str:
    """Return a text, without its end where it is longer than so many bytes."""
    data = text.encode("utf-8", "replace")
    return data.decode() if len(data) <= size else data[:size].decode("utf-8", "ignore") + "\N{HORIZONTAL ELLIPSIS}"


def _details(told: Told, text: str) -> list[Message]:
    problem = told.problem
    metadata = {"type": problem.type, "status": str(problem.status)}
    if problem.revision is not None:
        metadata["revision"] = str(problem.revision)
    reason = problem.id.upper().replace("-", "_")
    found: list[Message] = [
        _problem(told, text),
        error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN, metadata=metadata),
    ]
    if problem.errors:
        violations = _within(problem.errors, _violation)
        found.append(error_details_pb2.BadRequest(field_violations=violations))
    if (seconds := told.headers.get("Retry-After")) is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromSeconds(int(seconds))
        found.append(retry)
    return found


def _problem(told: Told, text: str) -> control_pb2.Problem:
    problem = told.problem
    errors = _within(problem.errors or (), _field_error)
    broken_first = sorted(problem.impact or (), key=lambda row: row.ok)
    impact = _within(broken_first, _impact)
    left_out = len(problem.errors or ()) - len(errors) + len(broken_first) - len(impact)
    message = control_pb2.Problem(
        type=problem.type,
        title=problem.title,
        status=problem.status,
        detail=text,
        id=problem.id,
        errors=errors,
        impact=impact,
        left_out=left_out,
    )
    if problem.revision is not None:
        message.revision = problem.revision
    return message


def _within(items: Sequence[ItemT], convert: Any) -> list[Any]:
    """Return the first items as messages, as many as there is room for."""
    found: list[Message] = []
    room = MAX_ROWS_SIZE
    for item in items:
        message = convert(item)
        room -= message.ByteSize()
        if room < 0:
            break
        found.append(message)
    return found


def _violation(error: FieldError) -> error_details_pb2.BadRequest.FieldViolation:
    return error_details_pb2.BadRequest.FieldViolation(
        field=cut(error.field, MAX_TEXT_SIZE // 4), description=cut(error.message)
    )


def _field_error(error: FieldError) -> control_pb2.FieldError:
    return control_pb2.FieldError(field=cut(error.field, MAX_TEXT_SIZE // 4), message=cut(error.message))


def _impact(row: Impact) -> control_pb2.Impact:
    return filled(control_pb2.Impact(), row)
