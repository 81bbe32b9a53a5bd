"""The server over a service that tests turn: callers who go away, who may connect, health, TLS and the end."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Network
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from dnsd.adapters.context import AdapterContext
from dnsd.adapters.grpc import frame
from dnsd.adapters.grpc.adapter import GrpcAdapter
from dnsd.adapters.grpc.frame import address_of
from dnsd.adapters.grpc.problems import code_of, cut
from dnsd.adapters.grpc.v1 import control_pb2 as pb
from dnsd.adapters.grpc.v1 import control_pb2_grpc
from dnsd.config.settings import Certificate, GrpcSettings
from dnsd.errors import ChangesTrimmed, RevisionConflict, StartError
from dnsd.model.endpoint import Endpoint
from tests.adapters.grpc.reading import Failure
from tests.adapters.grpc.site import PATIENCE_SECONDS, FakePlane, GrpcSite, grpc_site, stopped
from tests.admin.site import TOKENS, Site
from tests.support.certificates import make_pair
from tests.support.waiting import until

# What the type checker is told of them leaves out those of `List`.
MESSAGES: Any = health_pb2

ORDER = pb.DrainRequest(node="edge-1", reason="kernel")
WAITING = pb.DrainRequest(node="edge-1", reason="kernel", wait_applied=True)


async def _failure(call: Any) -> Failure:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return Failure(caught.value)


# --- callers who go away --------------------------------------------------------------------------------------------


async def test_a_caller_that_goes_away_leaves_no_half_of_a_drain() -> None:
    """An order that is being carried out when its call is cancelled is carried out to its end."""
    async with grpc_site() as site:
        site.plane.gate.clear()
        call = site.control.Drain(ORDER)
        await until(lambda: site.plane.writing)
        call.cancel()
        await until(lambda: site.counted("cancelled") == 1)
        assert site.plane.drains() == []
        site.plane.gate.set()
        await until(site.plane.drains)


async def test_the_end_of_the_server_waits_for_what_is_being_written() -> None:
    """A write whose caller is gone is done before the adapter has ended."""
    async with grpc_site() as site:
        site.plane.gate.clear()
        call = site.control.Drain(ORDER)
        await until(lambda: site.plane.writing)
        call.cancel()
        await until(lambda: site.counted("cancelled") == 1)
        ending = asyncio.create_task(stopped(site.task))
        site.plane.gate.set()
        await ending
        assert len(site.plane.drains()) == 1


async def test_a_deadline_ends_the_wait_and_not_the_drain() -> None:
    """Where the deadline passes while consumers are waited for, the drain stands, and nobody waits any more."""
    async with grpc_site() as site:
        site.plane.lagging = {"ns1/0"}
        deadline_seconds = 0.1
        while not site.plane.waits:  # on a machine that is so busy, it had not begun to wait
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await site.control.Drain(WAITING, timeout=deadline_seconds)
            assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            deadline_seconds *= 2
        assert len(site.plane.drains()) == 1
        await until(lambda: site.counted("cancelled"))
        again = await site.control.Drain(ORDER)
        assert (again.changed, [each.consumer for each in again.pending]) == (False, ["ns1/0"])


async def test_a_wait_ends_when_everybody_has_applied() -> None:
    """`wait_applied` holds the answer back until the last consumer has applied it; 5 s unless told otherwise."""
    async with grpc_site() as site:
        site.plane.lagging = {"ns1/0"}
        call = site.control.Drain(WAITING)
        await until(lambda: site.plane.waits)
        site.plane.catch_up()
        answer = await call
        assert ([each.consumer for each in answer.applied], len(answer.pending)) == (["ns1/0", "ns1/1"], 0)
        assert site.plane.waits == [5.0]


# --- problems that a real server does not have at will --------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "code"),
    [("store", "UNAVAILABLE"), ("broken", "INTERNAL"), ("conflict", "ABORTED"), ("trimmed", "INTERNAL")],
)
async def test_a_fault_of_the_server_is_told_as_http_tells_it(fault: str, code: str) -> None:
    """A store that is down, a conflict and a fault of ours have the problem that HTTP has, and when to ask again."""
    plane = FakePlane()
    plane.store_down = fault == "store"
    errors = {"broken": ZeroDivisionError("inside"), "trimmed": ChangesTrimmed("gone")}
    conflict = RevisionConflict(expected=3, actual=4)
    plane.broken = conflict if fault == "conflict" else errors.get(fault)
    async with grpc_site(plane) as site, Site(plane) as http:
        call = site.control.ListConsumers(pb.ListConsumersRequest()) if fault == "store" else None
        failure = await _failure(call or site.control.ListNodes(pb.ListNodesRequest()))
        got = await http.get("/v1/consumers" if fault == "store" else "/v1/nodes")
        assert (failure.code, failure.problem) == (code, got.problem)
        retry = got.headers.get("Retry-After")
        assert failure.retry_seconds == (None if retry is None else int(retry))
        assert site.counted("failed" if code != "ABORTED" else "malformed") == 1
    if plane.broken is not None:
        plane.broken.__traceback__ = None  # it has the calls in it, which the library wants to see end before itself


def test_every_status_of_a_problem_that_a_call_may_have_has_a_code() -> None:
    """What HTTP answers with is one of gRPC's codes; what only HTTP can have is unknown."""
    codes = {status: code_of("other", status).name for status in (400, 401, 403, 404, 408, 409, 412, 415, 500, 503)}
    assert codes == {
        400: "INVALID_ARGUMENT",
        401: "UNAUTHENTICATED",
        403: "PERMISSION_DENIED",
        404: "NOT_FOUND",
        408: "DEADLINE_EXCEEDED",
        409: "FAILED_PRECONDITION",
        412: "ABORTED",
        415: "UNKNOWN",
        500: "INTERNAL",
        503: "UNAVAILABLE",
    }


def test_a_text_is_cut_between_characters() -> None:
    """A text is cut to so many bytes, and never within a character."""
    assert cut("abc", 3) == "abc"
    assert cut("aöö", 4) == "aö\N{HORIZONTAL ELLIPSIS}"


# --- who may connect ------------------------------------------------------------------------------------------------


async def test_an_address_that_is_not_allowed_gets_nothing() -> None:
    """Whoever is not in `allow` is refused by each service of the port, and counted."""
    async with grpc_site(allow=(IPv4Network("192.0.2.0/24"),)) as site:
        failure = await _failure(site.control.ListNodes(pb.ListNodesRequest()))
        assert (failure.code, failure.problem["id"]) == ("PERMISSION_DENIED", "address-not-allowed")
        health: Any = health_pb2_grpc.HealthStub(site.channel)
        assert (await _failure(health.Check(health_pb2.HealthCheckRequest()))).code == "PERMISSION_DENIED"
        assert site.counted("refused") == 2


async def test_without_tokens_only_this_machine_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a reload has taken the tokens away, a caller from elsewhere is told what HTTP would tell."""
    async with grpc_site() as site:
        monkeypatch.setattr("dnsd.adapters.grpc.service.address_of", lambda _: "192.0.2.7")
        failure = await _failure(site.control.ListNodes(pb.ListNodesRequest()))
        assert (failure.code, failure.problem["id"]) == ("PERMISSION_DENIED", "not-local")
        site.plane.settings.tokens = TOKENS
        call = site.control.ListNodes(pb.ListNodesRequest(), metadata=[("authorization", "Bearer see-all")])
        assert len((await call).nodes) == 3


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:192.0.2.1:50000", "192.0.2.1"),
        ("ipv6:%5B2001:db8::1%5D:50000", "2001:db8::1"),
        ("ipv6:%5Bfe80::1%25eth0%5D:50000", "fe80::1%eth0"),
    ],
)
def test_the_address_of_a_peer_is_read(peer: str, address: str) -> None:
    """The library's name of a peer has its address in it."""
    assert address_of(peer) == address


async def test_tls_is_spoken_where_there_is_a_certificate() -> None:
    """With a certificate, a client that trusts it is served, and one that speaks in the clear is not."""
    pair = make_pair()
    certificate = Certificate(certificate=pair.certificate, key=pair.key, expires_at=4e9)
    async with grpc_site(certificate=certificate) as site:
        trust = grpc.ssl_channel_credentials(pair.certificate)
        async with grpc.aio.secure_channel(site.address, trust) as channel:
            stub: Any = control_pb2_grpc.ControlStub(channel)
            assert len((await stub.ListNodes(pb.ListNodesRequest())).nodes) == 3
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await site.control.ListNodes(pb.ListNodesRequest())
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_an_address_that_is_taken_is_told() -> None:
    """Two servers never share a port; the second one says so and can be started again later."""
    async with grpc_site() as site:
        host, port = site.address.split(":")
        settings = GrpcSettings(listen=Endpoint(host, int(port)), allow=())
        context: AdapterContext[GrpcSettings] = AdapterContext(FakePlane(), "grpc", settings)  # type: ignore[arg-type]
        with pytest.raises(StartError, match=f"cannot listen on {site.address}"):
            await GrpcAdapter(context).run()
        assert context.up is False
        assert len((await site.control.ListNodes(pb.ListNodesRequest())).nodes) == 3


async def test_a_stranger_is_refused_before_anything_is_waited_for() -> None:
    """Whoever is not allowed need not send a message to be told so, and cannot hold a call open by keeping quiet."""
    async with grpc_site(allow=(IPv4Network("192.0.2.0/24"),)) as site:
        assert (await _failure(_silent(site, "Status"))).problem["id"] == "address-not-allowed"


# --- calls that are held open ---------------------------------------------------------------------------------------


def _silent(site: GrpcSite, method: str) -> Any:
    """Begin a call that nothing is sent for, and that the client does not end."""
    return site.channel.stream_unary(f"/dnsd.v1.Control/{method}")()


@pytest.mark.parametrize("method", ["Drain", "Watch"])
async def test_a_call_whose_message_does_not_come_is_ended(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that begins a call and keeps quiet holds its place for a while, and not for ever."""
    monkeypatch.setattr(frame, "MESSAGE_TIMEOUT_SECONDS", 0.1)
    async with grpc_site() as site:
        failure = await _failure(_silent(site, method))
        assert (failure.code, failure.problem["id"]) == ("DEADLINE_EXCEEDED", "body-timeout")
        assert site.counted("malformed") == 1
        monkeypatch.undo()
        assert len((await site.control.ListNodes(pb.ListNodesRequest())).nodes) == 3


async def test_a_call_without_a_message_is_malformed() -> None:
    """A client that ends its side without having sent anything is told so."""
    async with grpc_site() as site:
        call = _silent(site, "Status")
        await call.done_writing()
        failure = await _failure(call)
        assert (failure.code, failure.problem["id"]) == ("INVALID_ARGUMENT", "malformed-body")


async def test_streams_that_need_no_token_leave_room_for_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Health and reflection have so many open streams together; one more is refused, until one goes."""
    monkeypatch.setattr(frame, "MAX_OPEN_STREAMS", 2)
    async with grpc_site() as site:
        channel: Any = site.channel
        health: Any = health_pb2_grpc.HealthStub(channel)
        reflection: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        watch = health.Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        reading = reflection.ServerReflectionInfo()
        await reading.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        assert len((await reading.read()).list_services_response.service) == 3
        for more in (health.Watch(health_pb2.HealthCheckRequest()), reflection.ServerReflectionInfo()):
            failure = await _failure(more.read())
            assert (failure.code, failure.problem["id"]) == ("UNAVAILABLE", "too-many-streams")
        events = site.control.Watch(pb.WatchRequest())  # of the service itself, which has its own limit
        await events.initial_metadata()
        watch.cancel()
        await until(lambda: site.counted("cancelled") == 1)
        again = health.Watch(health_pb2.HealthCheckRequest())
        assert (await again.read()).status == health_pb2.HealthCheckResponse.SERVING


# --- health ---------------------------------------------------------------------------------------------------------


async def test_health_follows_readiness() -> None:
    """What `/readyz` says is what health says, at once where it is asked for, and soon where it is watched."""
    serving, not_serving = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING

    async with grpc_site() as site:
        health: Any = health_pb2_grpc.HealthStub(site.channel)

        async def check() -> int:
            answer = await health.Check(health_pb2.HealthCheckRequest(service="dnsd.v1.Control"))
            return int(answer.status)

        watch = health.Watch(health_pb2.HealthCheckRequest())
        assert (await check(), (await watch.read()).status) == (serving, serving)
        site.plane.ready = False
        assert (await check(), (await watch.read()).status) == (not_serving, not_serving)
        site.plane.ready = True
        assert (await check(), (await watch.read()).status) == (serving, serving)
        listed = await health.List(MESSAGES.HealthListRequest())
        assert {name: each.status for name, each in listed.statuses.items()} == {"": 1, "dnsd.v1.Control": 1}
        unknown = health.Watch(health_pb2.HealthCheckRequest(service="other"))
        assert (await unknown.read()).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        await stopped(site.task)
        assert (await watch.read()).status == not_serving
        assert await watch.read() == grpc.aio.EOF


async def test_a_call_at_the_end_is_answered() -> None:
    """A call in flight when the server stops gets its answer."""
    async with grpc_site() as site:
        site.plane.gate.clear()
        call = site.control.Drain(ORDER, timeout=PATIENCE_SECONDS)
        await until(lambda: site.plane.writing)
        ending = asyncio.create_task(stopped(site.task))
        await asyncio.sleep(0)
        site.plane.gate.set()
        assert (await call).changed is True
        await ending
