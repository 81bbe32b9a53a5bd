"""The methods of the protocol, each with what it returns.

Reading is all that there is: zones come from files, pools from the fleet, and PowerDNS changes neither. It knows the
meaning of calls, and not how they come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from itertools import chain, islice
from typing import Any

import dns.exception
import dns.name
import dns.rdatatype

from dnsd.adapters.powerdns.calls import Call, MalformedCall, Reply, no_result
from dnsd.adapters.powerdns.content import METADATA
from dnsd.adapters.powerdns.questions import (
    ANY_ZONE,
    Record,
    View,
    ZoneIds,
    all_owners,
    look_up,
    matching,
    owners_of,
    records_at,
)
from dnsd.core.fleet import Fleet
from dnsd.core.names import from_text, to_text
from dnsd.core.records import Zone

# A zone of more is not listed. Over a unix socket, pdns_server takes a time that grows with the square of what it
# reads, and gives up after two seconds; and all else would wait here meanwhile. Units: names, records.
MAX_LISTED_NAMES, MAX_LISTED_RECORDS = 4_000, 10_000

# What a search looks at, and what it finds at most. Unit: names, records.
MAX_SEARCHED_NAMES, MAX_FOUND = 4_000, 1_000

# Of what a search looks for; the longest name has 1,004 in a master file's form. Unit: characters.
MAX_PATTERN_SIZE = 1_024

_TYPES_KEPT = 256  # names of types; more than there are in use

Parameters = Mapping[str, Any]
Method = Callable[[View, Parameters], object]

# What PowerDNS would change, or be told to change, with these.
_WRITING = """
    setDomainMetadata setNotified setFresh setStale superMasterBackend createSlaveDomain deleteDomain replaceRRSet
    feedRecord feedEnts feedEnts3 startTransaction commitTransaction abortTransaction addDomainKey removeDomainKey
    activateDomainKey deactivateDomainKey publishDomainKey unpublishDomainKey setTSIGKey deleteTSIGKey directBackendCmd
"""
_WRITES = frozenset(_WRITING.split())


class Backend:
    """Answers calls.

    Args:
        fleet: gives the fleet as it is published now.
        serials: gives those that zones have, by folded apex, where they are others than the zone files'.
        clock: gives the present instant.
        coin: gives 0 or 1 by chance.
    """

    def __init__(
        self,
        fleet: Callable[[], Fleet],
        *,
        serials: Callable[[], Mapping[bytes, int]],
        clock: Callable[[], float],
        coin: Callable[[], int],
    ) -> None:
        self._fleet = fleet
        self._serials = serials
        self._clock = clock
        self._coin = coin
        self._ids = ZoneIds({})

    def answer(self, call: Call) -> Reply:
        """Return the reply to a call.

        Raises:
            MalformedCall: it lacks a parameter, or one makes no sense.
        """
        if call.method in _WRITES:
            return no_result(f"{call.method}: nothing of dnsd's is changed through PowerDNS")
        method = METHODS.get(call.method)
        if method is None:
            return no_result("dnsd has no such method")
        fleet = self._fleet()
        if self._ids.zones is not fleet.spec.zones:
            self._ids = ZoneIds(fleet.spec.zones)
        result = method(View(fleet, self._ids, self._serials(), self._clock(), self._coin), call.parameters)
        return no_result(result.why) if isinstance(result, _No) else {"result": result}


class _No:
    """There is no result.

    Args:
        why: for PowerDNS's log.
    """

    def __init__(self, why: str) -> None:
        self.why = why


# --- parameters ---------------------------------------------------------------------------------------------------


def _text(parameters: Parameters, name: str) -> str:
    value = parameters.get(name)
    if not isinstance(value, str):
        raise MalformedCall(f"the parameter {name!r} is a text")
    return value


def _number(parameters: Parameters, name: str, default: int) -> int:
    value = parameters.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise MalformedCall(f"the parameter {name!r} is a number")
    try:
        return int(value)
    except ValueError:
        raise MalformedCall(f"the parameter {name!r} is a number") from None


def _name(parameters: Parameters, name: str) -> bytes:
    """Return a parameter that is a name, folded."""
    text = _text(parameters, name)
    try:
        if "\\" not in text:
            return from_text(text)
        text.encode("ascii")  # a library that sees more than ASCII takes it for an internationalised name
        return dns.name.from_text(text).to_digestable()
    except (ValueError, dns.exception.DNSException) as error:
        raise MalformedCall(f"the parameter {name!r} is a name: {error}") from None


def _qtype(parameters: Parameters) -> int:
    text = _text(parameters, "qtype")
    number = _type_number(text)
    if number is None:
        raise MalformedCall("the parameter 'qtype' is the name of a type")
    return number


@lru_cache(maxsize=_TYPES_KEPT)
def _type_number(text: str) -> int | None:
    try:
        return int(dns.rdatatype.from_text(text))
    except (dns.exception.DNSException, ValueError):
        return None


def _zone_id(parameters: Parameters) -> int:
    # The manual of PowerDNS has `zone_id`, and its program `zone-id`.
    return _number(parameters, "zone-id", _number(parameters, "zone_id", ANY_ZONE))


# --- names and records ----------------------------------------------------------------------------------------------


def _initialize(_view: View, _parameters: Parameters) -> object:
    return True


def _lookup(view: View, parameters: Parameters) -> object:
    name = _name(parameters, "qname")
    found = look_up(view, name, _qtype(parameters), _zone_id(parameters), owner=parameters["qname"])
    return [_record(each) for each in found]


def _list(view: View, parameters: Parameters) -> object:
    zone = view.zones.get(_name(parameters, "zonename"))
    if zone is None:
        return _No("there is no such zone")
    names = list(islice(owners_of(view, zone), MAX_LISTED_NAMES + 1))
    if len(names) > MAX_LISTED_NAMES:
        return _No(f"a zone of more than {MAX_LISTED_NAMES} names is not listed")
    records = chain.from_iterable(records_at(view, zone, name) for name in names)
    found = [_record(each) for each in islice(records, MAX_LISTED_RECORDS + 1)]
    if len(found) > MAX_LISTED_RECORDS:
        return _No(f"a zone of more than {MAX_LISTED_RECORDS} records is not listed")
    return found


def _search_records(view: View, parameters: Parameters) -> object:
    pattern = _text(parameters, "pattern")
    if len(pattern) > MAX_PATTERN_SIZE:
        raise MalformedCall(f"a pattern has at most {MAX_PATTERN_SIZE} characters")
    fits = matching(pattern)
    most = min(max(0, _number(parameters, "maxResults", MAX_FOUND)), MAX_FOUND)
    names = islice(all_owners(view), MAX_SEARCHED_NAMES)
    return [_record(each) for each in islice(_found(view, names, fits), most)]


def _found(view: View, names: Iterator[tuple[Zone, bytes]], fits: Callable[[str], bool]) -> Iterator[Record]:
    for zone, name in names:
        for record in records_at(view, zone, name):
            if fits(record.owner) or fits(record.content):
                yield record


def _record(record: Record) -> dict[str, object]:
    return {
        "qtype": record.rdtype,
        "qname": record.owner,
        "content": record.content,
        "ttl": record.ttl,
        "domain_id": record.zone_id,
    }


# --- zones ----------------------------------------------------------------------------------------------------------


def _get_all_domains(view: View, _parameters: Parameters) -> object:
    return [_domain(view, zone) for zone in view.zones.values()]


def _get_domain_info(view: View, parameters: Parameters) -> object:
    zone = view.zones.get(_name(parameters, "name"))
    return _No("there is no such zone") if zone is None else _domain(view, zone)


def _domain(view: View, zone: Zone) -> dict[str, object]:
    serial = view.serial_of(zone)
    # Native: PowerDNS neither tells secondaries of it nor asks a primary.
    return {
        "id": view.ids.of(zone),
        "zone": to_text(zone.apex),
        "kind": "native",
        "serial": serial,
        "notified_serial": serial,
        "last_check": 0,
        "masters": [],
    }


def _get_domain_metadata(_view: View, parameters: Parameters) -> object:
    _name(parameters, "name")
    return METADATA.get(_text(parameters, "kind"), [])


def _same_for_a_name(what: object) -> Method:
    """Return a method that has always the same to say of a name."""

    def method(_view: View, parameters: Parameters) -> object:
        _name(parameters, "name")
        return what

    return method


def _same(what: object) -> Method:
    """Return a method that has always the same to say."""
    return lambda _view, _parameters: what


_UNSIGNED = _No("dnsd's zones are not signed")

METHODS: Mapping[str, Method] = {
    "initialize": _initialize,
    "lookup": _lookup,
    "APILookup": _lookup,  # what pdns_server 5 asks for its own API
    "list": _list,
    "searchRecords": _search_records,
    "searchComments": _same([]),
    "getAllDomains": _get_all_domains,
    "getDomainInfo": _get_domain_info,
    "getAllDomainMetadata": _same_for_a_name(METADATA),
    "getDomainMetadata": _get_domain_metadata,
    "getUpdatedMasters": _same([]),
    "getUnfreshSlaveInfos": _same([]),
    "getDomainKeys": _same_for_a_name([]),
    "getTSIGKey": _same_for_a_name(_No("dnsd gives no keys away")),
    "getTSIGKeys": _same([]),
    "getBeforeAndAfterNamesAbsolute": _same(_UNSIGNED),
}
