"""Thousands of questions to dnsd, Knot, NSD and BIND about the same zones: dnsd answers as they do."""

from __future__ import annotations

from collections.abc import Sequence

import dns.flags
import dns.name
import dns.rdatatype
import pytest

from tests.differential.asking import CLASSIC_UDP_SIZE, Manner, Question, ask
from tests.differential.comparing import Seen, seen
from tests.differential.differences import DIFFERENCES, EXTRA, LACKING, AdditionalDifference, Difference, unexplained
from tests.differential.judging import Case, complaints, extra, lacking, without_apex_servers
from tests.differential.questions import outside_questions, questions_for
from tests.differential.zones import FILES, NOT_LOADED
from tests.support.peers import UDP_SIZE

pytestmark = pytest.mark.xdist_group("peers")

# From this size on an answer over UDP may have lost something, so that the whole one is wanted too. Unit: bytes.
NEARLY_FULL = 400

# How often dnsd is asked again over UDP, where it remembers responses.
AGAIN = 2

# How many differences are written out.
SHOWN = 5

Answers = dict[str, bytes]


def ask_all(ports: dict[str, int], questions: Sequence[Question]) -> list[Answers]:
    """Return the answers to each question by server; of dnsd those of the last time, which are the same."""
    answers: list[Answers] = [{} for _ in questions]
    for tcp in (False, True):
        places = [place for place, question in enumerate(questions) if question.manner.tcp is tcp]
        packets = [questions[place].wire() for place in places]
        for name, port in ports.items():
            for turn in range(1 + AGAIN if name == "dnsd" and not tcp else 1):
                for place, answer in zip(places, ask(port, packets, tcp=tcp), strict=True):
                    assert answer is not None, f"{name} does not answer {questions[place]}"
                    before = answers[place].get(name, answer)
                    assert answer == before or seen(answer) == seen(before), f"{questions[place]} again ({turn})"
                    answers[place][name] = answer
    return answers


def cases_of(ports: dict[str, int], questions: Sequence[Question]) -> list[Case]:
    """Ask questions, and those over UDP again over TCP whose answers are large, as a resolver would."""
    answers = ask_all(ports, questions)
    large = [
        place
        for place, question in enumerate(questions)
        if not question.manner.tcp and any(map(_may_be_a_part, answers[place].values()))
    ]
    again = list(dict.fromkeys(questions[place].over_tcp() for place in large))
    whole = [_case(question, found, None) for question, found in zip(again, ask_all(ports, again), strict=True)]
    whole_of = {case.question: case.ours for case in whole}
    return whole + [
        _case(question, found, whole_of.get(question.over_tcp()))
        for question, found in zip(questions, answers, strict=True)
    ]


def _may_be_a_part(answer: bytes) -> bool:
    return len(answer) > NEARLY_FULL or bool(int.from_bytes(answer[2:4], "big") & dns.flags.TC)


def _case(question: Question, answers: Answers, whole: Seen | None) -> Case:
    if not question.manner.tcp:
        most = min(max(question.manner.edns or 0, CLASSIC_UDP_SIZE), UDP_SIZE)
        assert len(answers["dnsd"]) <= most, f"{question}: {len(answers['dnsd'])} bytes"
    by_server = {name: seen(answer) for name, answer in answers.items()}
    if "nsd" in by_server:
        by_server["nsd"] = without_apex_servers(by_server["nsd"])
    return Case(question, by_server.pop("dnsd"), by_server, whole)


def having(apex: str, ports: dict[str, int]) -> dict[str, int]:
    """Return the ports of the servers that have a zone."""
    return {name: port for name, port in ports.items() if apex not in NOT_LOADED.get(name, ())}


def judge(cases: Sequence[Case]) -> None:
    """Fail with the answers that nothing explains."""
    wrong = [(case, left) for case in cases if (left := unexplained(case, complaints(case)))]
    shown = "\n\n".join(f"{', '.join(left)}\n{case}" for case, left in wrong[:SHOWN])
    assert not wrong, f"{len(wrong)} of {len(cases)} answers differ:\n{shown}"


@pytest.mark.parametrize("apex", FILES)
def test_answers_are_those_of_the_others(ports: dict[str, int], apex: str) -> None:
    """RCODE, flags, OPT and all sections are as Knot, NSD and BIND have them, or a row says why not."""
    judge(cases_of(having(apex, ports), questions_for(apex)))


def test_names_outside_every_zone_are_refused_by_all(ports: dict[str, int]) -> None:
    """What no server has, none answers for."""
    judge(cases_of(ports, outside_questions()))


def example(text: str, ports: dict[str, int]) -> list[Case]:
    """Ask the example of a row over UDP without EDNS and with it, and over TCP."""
    name, rdtype = text.split()
    manners = [Manner(), Manner(edns=UDP_SIZE), Manner(tcp=True)]
    return cases_of(
        ports, [Question(dns.name.from_text(name), dns.rdatatype.from_text(rdtype), manner) for manner in manners]
    )


@pytest.mark.parametrize("row", DIFFERENCES, ids=lambda row: row.example)
def test_a_difference_is_there_as_its_row_says(ports: dict[str, int], row: Difference) -> None:
    """Each row is needed for its example, and true of it."""
    found = [case for case in example(row.example, ports) if "core" in complaints(case)]
    assert found
    assert all(map(row.holds, found))


@pytest.mark.parametrize("row", [*LACKING, *EXTRA], ids=lambda row: row.example)
def test_an_additional_difference_is_there_as_its_row_says(ports: dict[str, int], row: AdditionalDifference) -> None:
    """Each row explains a record of its example that is there, or not there, unlike with the others."""
    records = lacking if row in LACKING else extra
    found = [(case, record) for case in example(row.example, ports) for record in records(case)]
    assert any(row.holds(case, record) for case, record in found)
