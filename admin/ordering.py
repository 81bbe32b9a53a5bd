"""What placing and releasing a drain asks of its caller, whatever the protocol that the order came by.

It owns what an agent may not do, and what a release cannot mean. It knows neither HTTP nor gRPC.
"""

from __future__ import annotations

from admin.backend import Backend
from admin.problems import invalid
from dnsd.api.schemas import DrainOutcome, DrainRequest, FieldError, ReleaseRequest
from dnsd.config.settings import Scope
from dnsd.control.actor import Actor
from dnsd.errors import NotAllowed


async def place(
    backend: Backend, node: str, request: DrainRequest, *, actor: Actor, if_revision: int | None
) -> DrainOutcome:
    """Place a drain, or change its holder's.

    Raises:
        NotAllowed: the caller is an agent, and asks for more than its own drain.
        DnsdError: as `Backend.place_drain` does.
    """
    _check_agent(actor, holder=request.holder)
    if request.force and actor.scope is not Scope.OPERATOR:
        raise NotAllowed("Only an operator places a drain against the capacity guard.", field="force")
    return await backend.place_drain(node, request, actor=actor, if_revision=if_revision)


async def release(
    backend: Backend, node: str, request: ReleaseRequest, *, actor: Actor, if_revision: int | None
) -> DrainOutcome:
    """Release a holder's drains of a node, or those of all holders.

    Raises:
        NotAllowed: the caller is an agent, and asks for more than its own drain.
        Fault: 400, one holder is named beside all.
        DnsdError: as `Backend.release_drain` does.
    """
    if request.all_holders and actor.scope is not Scope.OPERATOR:
        raise NotAllowed("Only an operator releases the drains of all holders.", field="all_holders")
    _check_agent(actor, holder=request.holder)
    if request.all_holders and request.holder is not None:
        raise invalid([FieldError(field="holder", message="makes no sense beside all_holders")])
    return await backend.release_drain(node, request, actor=actor, if_revision=if_revision)


async def with_applied(backend: Backend, outcome: DrainOutcome, *, wait_seconds: float) -> DrainOutcome:
    """Return an outcome with who has applied it; one of a dry run as it is, since there is nothing to apply.

    Args:
        wait_seconds: the longest to wait for every live consumer; 0: answer at once.
    """
    return outcome if outcome.dry_run else await backend.with_applied(outcome, wait_seconds=wait_seconds)


def _check_agent(actor: Actor, *, holder: str | None) -> None:
    if actor.scope is Scope.AGENT and holder not in (None, actor.name):
        raise NotAllowed(f"An agent places and releases drains as itself, {actor.name}.", field="holder")
