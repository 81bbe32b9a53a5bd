"""Server cookies as RFC 9018 has them, and the hash in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsd.core import cookies
from dnsd.core.cookies import CookieJar, is_well_formed
from dnsd.core.exchange import Cookie
from dnsd.core.siphash import siphash

# The beginning of the reference implementation's list: the hash of 0 bytes, of 00, of 0001, … under the key 0001…0f.
SIPHASHES = """
    310e0edd47db6f72 fd67dc93c539f874 5a4fa9d909806c0d 2d7efbd796666785
    b7877127e09427cf 8da699cd64557618 cee3fe586e46c9cb 37d1018bf50002ab
    6224939a79f5f593 b0e4a90bdf82009e f3b9dd94c5bb5d7a a7ad6b22462fb3f4
    fbe50e86bc8f1e75 903d84c02756ea14 eef27a8e90ca23f7 e545be4961ca29a1
"""

OLD_SECRET = bytes.fromhex("e5e973e5a6b2a43f48e7dc849e37bfcf")
CLIENT = "2464c4abcf10c957"
PEER = "198.51.100.100"
MADE = 1559731985
COOKIE = CLIENT + "010000005cf79f111f8130c3eee29480"


def jar(*secrets: bytes) -> CookieJar:
    return CookieJar(secrets or (OLD_SECRET,))


def judge(option: str, *, at: float = MADE, peer: str = PEER, by: CookieJar | None = None) -> tuple[Cookie, str]:
    worth, answered = (by or jar()).judge(bytes.fromhex(option), peer=peer, now=at)
    return worth, answered.hex()


def test_the_hash_is_siphash_2_4() -> None:
    """The reference implementation's vectors come out."""
    key = bytes(range(16))
    assert [siphash(key, bytes(range(size))).hex() for size in range(16)] == SIPHASHES.split()


def test_a_client_learns_a_cookie() -> None:
    """RFC 9018 appendix A.1."""
    assert judge(CLIENT) == (Cookie.CLIENT, COOKIE)


def test_a_client_renews_its_cookie() -> None:
    """RFC 9018 appendix A.2: 40 minutes later there is a new one."""
    assert judge(COOKIE, at=1559734385) == (Cookie.VALID, CLIENT + "010000005cf7a871d4a564a1442aca77")


def test_reserved_bytes_are_hashed_as_they_came_and_made_zero() -> None:
    """RFC 9018 appendix A.3; that cookie is older than an hour there, and no more accepted."""
    option, peer = "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5", "203.0.113.203"
    assert judge(option, at=1559727985, peer=peer)[0] is Cookie.VALID
    assert judge(option, at=1559727985, peer=peer)[1].startswith("fc93fc62807ddb860100000")
    assert judge(option, at=1559734700, peer=peer) == (Cookie.BAD, "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e")


def test_a_cookie_of_the_secret_before_is_accepted_and_renewed() -> None:
    """RFC 9018 appendix A.4, over IPv6: it is answered with one of the secret that makes cookies now."""
    before, now = bytes.fromhex("dd3bdf9344b678b185a6f5cb60fca715"), bytes.fromhex("445536bcd2513298075a5d379663c962")
    option, peer = "22681ab97d52c298010000005cf7c57926556bd0934c72f8", "2001:db8:220:1:59de:d0f4:8769:82b8"
    renewed = "22681ab97d52c298010000005cf7c609a6bb79d16625507a"
    assert judge(option, at=1559741961, peer=peer, by=jar(now, before)) == (Cookie.VALID, renewed)
    assert judge(option, at=1559741961, peer=peer, by=jar(before, now)) == (Cookie.VALID, option)
    assert judge(option, at=1559741961, peer=peer, by=jar(now)) == (Cookie.BAD, renewed)


@pytest.mark.parametrize(
    ("age", "worth", "renewed"),
    [
        (-301, Cookie.BAD, True),
        (-300, Cookie.VALID, False),
        (0, Cookie.VALID, False),
        (1799, Cookie.VALID, False),
        (1800, Cookie.VALID, True),
        (3600, Cookie.VALID, True),
        (3601, Cookie.BAD, True),
        (2**31 - 1, Cookie.BAD, True),
    ],
)
def test_a_cookie_is_good_for_an_hour_and_renewed_after_half(age: int, worth: Cookie, renewed: bool) -> None:
    """RFC 9018 §4.3: an hour back, five minutes ahead; a new one from half an hour on."""
    got, answered = judge(COOKIE, at=MADE + age)
    assert (got, answered != COOKIE) == (worth, renewed)
    assert judge(answered, at=MADE + age) == (Cookie.VALID, answered)


def test_time_is_compared_as_serial_numbers() -> None:
    """RFC 9018 §4.3, RFC 1982: a cookie from before the counter's end is young just after it."""
    made = judge(CLIENT, at=2.0**32 - 10)[1]
    assert made[24:32] == "fffffff6"
    assert judge(made, at=2.0**32 + 10) == (Cookie.VALID, made)


@pytest.mark.parametrize(
    "option",
    [
        CLIENT + "020000005cf79f111f8130c3eee29480",
        CLIENT + "010000005cf79f111f8130c3eee29481",
        CLIENT + "010000005cf79f121f8130c3eee29480",
        "2464c4abcf10c958" + "010000005cf79f111f8130c3eee29480",
        CLIENT + "010000005cf79f11",
        COOKIE + "00" * 16,
    ],
    ids=["another version", "another hash", "another time", "another client", "a half of 8 bytes", "one of 32"],
)
def test_what_is_no_cookie_of_ours_is_bad(option: str) -> None:
    """RFC 7873 §5.2.4: it counts like none, and a good one comes back for the client's half that was sent."""
    worth, answered = judge(option)
    assert worth is Cookie.BAD
    assert judge(answered)[0] is Cookie.VALID
    assert answered[:16] == option[:16]


def test_a_cookie_is_good_at_one_address_only() -> None:
    """RFC 9018 §4.4: the address is hashed, an IPv4 address in IPv6 form as itself, and no interface."""
    assert judge(COOKIE, peer="198.51.100.101")[0] is Cookie.BAD
    assert judge(COOKIE, peer="")[0] is Cookie.BAD
    assert judge(COOKIE, peer=f"::ffff:{PEER}")[0] is Cookie.VALID
    for one, same in (("fe80::1%eth0", "fe80:0::1"), ("", ""), ("nowhere", "nowhere")):
        made = judge(CLIENT, peer=one)[1]
        assert judge(made, peer=same) == (Cookie.VALID, made)


def test_a_size_that_no_cookie_has_is_told() -> None:
    """RFC 7873 §5.2.2: 8 bytes, or 16 to 40."""
    assert [size for size in range(64) if is_well_formed(bytes(size))] == [8, *range(16, 41)]


def test_a_cookie_that_comes_again_is_not_hashed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered is bounded, survives one change of generations, and made-up cookies do not get in."""
    hashed: list[bytes] = []

    def counted(key: bytes, message: bytes) -> bytes:
        hashed.append(message)
        return siphash(key, message)

    monkeypatch.setattr(cookies, "siphash", counted)
    monkeypatch.setattr(cookies, "REMEMBERED", 2)
    keeper = jar()
    options = [judge(f"{number:016x}", by=keeper)[1] for number in range(4)]

    def hashes(option: str, *, at: float = MADE) -> int:
        before = len(hashed)
        judge(option, at=at, by=keeper)
        return len(hashed) - before

    assert [hashes(options[0]), hashes(options[0]), hashes(options[0])] == [1, 0, 0]
    assert [hashes(options[0], at=MADE + 3601), hashes(options[0], at=MADE + 1800)] == [1, 1]
    made_up = [f"{CLIENT}010000005cf79f11{number:016x}" for number in range(10)]
    assert [hashes(each) for each in made_up] == [2] * 10
    assert [hashes(options[1]), hashes(options[2]), hashes(options[0])] == [1, 1, 0]
    assert [hashes(options[3]), hashes(options[1]), hashes(options[0])] == [1, 1, 0]


@given(
    secret=st.binary(min_size=16, max_size=16),
    client=st.binary(min_size=8, max_size=8),
    peer=st.ip_addresses().map(str),
    made=st.integers(0, 2**33),
    age=st.integers(-300, 3600),
)
def test_whoever_has_the_secret_accepts_a_cookie(secret: bytes, client: bytes, peer: str, made: int, age: int) -> None:
    """What one server makes, another one with the secret takes; one without does not."""
    _, option = jar(secret).judge(client, peer=peer, now=made)
    assert option.startswith(client)
    assert jar(bytes(15) + b"\x01", secret).judge(option, peer=peer, now=made + age)[0] is Cookie.VALID
    assert jar(bytes(a ^ 1 for a in secret)).judge(option, peer=peer, now=made + age)[0] is Cookie.BAD
