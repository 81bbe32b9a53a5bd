"""An agent of two servers on one store: whichever hears it, both know of it."""

from __future__ import annotations

from pathlib import Path

from tests.agent.agents import health, mode, running
from tests.support.redis import redis_server
from tests.support.redis_fleet import redis_fleet
from tests.support.servers import wait_until

STALE = '[health]\nstale_after = "10s"\n'


def test_an_agent_goes_on_with_the_other_server(tmp_path: Path) -> None:
    """The one that it reports to is killed: no mode changes, the node stays fresh, and a release still reaches it."""
    with (
        redis_server(tmp_path) as redis,
        redis_fleet(tmp_path, redis.url, more=STALE) as (first, second),
        running(tmp_path, "both-1", [first.url, second.url]) as agent,
    ):
        second.cli("drain", "both-1", "--reason", "disk")
        agent.until_said("edge: draining (was normal)")
        wait_until(lambda: health(second, "both-1") == "up", "the other server has heard of its reports")
        first.kill()
        agent.until_said("trying the next server")
        agent.until_reporting()
        state = agent.state()
        assert state is not None
        assert (state.server, state.modes) == (second.url, {"edge": "draining"})
        assert (mode(second, "both-1"), health(second, "both-1")) == ("draining", "up")
        assert "no server takes reports" not in agent.said()
        second.cli("undrain", "both-1")
        agent.until_said("edge: normal (was draining)")
