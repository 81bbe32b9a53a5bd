"""kill -9 of a worker, of the control process and of everything: answers go on, and nothing acknowledged is lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.dnsperf import asking, figures
from tests.support.servers import Server, alive, serving, wait_until

EDGE = "edge.example.org"


@pytest.mark.alone
def test_a_killed_worker_is_replaced_within_a_second_while_others_answer(
    server: Server, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Under load, the loss is at most what the kernel held for the dead worker; a new one is there at once."""
    with asking(server, tmp_path, seconds=4, rate=2000) as load:
        time.sleep(0.5)  # not a wait for anything: the load is to be under way
        victim = server.workers()[0].pid
        server.kill(victim)
        answers: list[int] = []

        def replaced() -> bool:
            answers.append(len(server.addresses(EDGE)))  # whoever is left answers meanwhile
            serving = server.readiness()["workers"]
            return serving == 2 and victim not in {worker.pid for worker in server.workers()}

        took = wait_until(replaced, "two workers answer")
        assert set(answers) == {3}
        output, _ = load.communicate(timeout=30)
    counted = figures(output)
    record_property("figure", f"replaced and serving after {took * 1000:.0f} ms at most, {counted}")
    assert counted["lost"] <= counted["sent"] // 50
    assert set(counted) <= {"sent", "completed", "lost", "NOERROR"}
    assert "dnsd_worker_restarts_total 1.0" in server.get("/metrics")


def test_after_kill_9_of_everything_all_that_was_acknowledged_is_there(server: Server) -> None:
    """Drains, their expiry and their history are after a restart as they were acknowledged."""
    acknowledged = [
        server.cli("drain", "edge-1", "--role", "edge", "--reason", "one", "--for", "1h", "--wait", "applied"),
        server.cli("drain", "ingest-1", "--reason", "two", "--indefinite", "--holder", "ops"),
        server.cli("drain", "edge-2", "--reason", "three", "--for", "4s", "--holder", "ops", "--force"),
    ]
    told = server.cli("history")["items"]
    for process in reversed(server.family()):
        process.kill()
    assert server.process is not None
    server.process.wait(20)
    wait_until(lambda: not any(alive(process) for process in server.known), "all processes are gone")

    server.start()
    drains = {drain["node"]: drain for drain in server.cli("drains")["items"]}
    for outcome in acknowledged[:2]:
        wanted = outcome["drain"]
        assert drains[wanted["node"]] == wanted
    wait_until(lambda: "192.0.2.12" in server.addresses(EDGE), "the third drain has expired")
    assert "192.0.2.11" not in server.addresses(EDGE)
    wait_until(lambda: server.cli("history")["items"][0]["action"] == "drain-expired", "its expiry is told")
    history = server.cli("history")["items"]
    assert history[1:] == told


@pytest.mark.alone
def test_while_the_control_process_is_dead_workers_answer_and_the_next_one_takes_over(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Kill -9 of the control process alone: answers as before, then a new one, and no worker of the old one left."""
    with serving(tmp_path) as server:
        server.cli("drain", "edge-1", "--reason", "kernel", "--wait", "applied")
        old = server.workers()
        with asking(server, tmp_path, seconds=5, rate=1000) as load:
            server.kill()
            for _ in range(10):
                assert server.addresses(EDGE) == {"192.0.2.12", "192.0.2.13"}
            server.start()
            assert not any(alive(worker) for worker in old)
            server.cli("undrain", "edge-1", "--wait", "applied")
            for _ in range(10):
                assert server.addresses(EDGE) == {"192.0.2.11", "192.0.2.12", "192.0.2.13"}
            output, _ = load.communicate(timeout=30)
        counted = figures(output)
        record_property("figure", f"load over the kill and the new start: {counted}")
        assert counted["lost"] <= counted["sent"] // 50
        assert set(counted) <= {"sent", "completed", "lost", "NOERROR"}
