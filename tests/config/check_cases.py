"""Broken checks: what is added to the good start, and what is said of it."""

from __future__ import annotations

from tests.config.cases import Case

NODE = '[[node]]\nid = "n1"\naddresses = ["192.0.2.1", "2001:db8::1"]\nroles = ["edge"]\nmonitor = "check"\n'
# The good start has four lines, a check four.
TCP = '[[check]]\nroles = ["edge"]\ntype = "tcp"\nport = 80\n'
HTTP = TCP.replace("tcp", "http")
HTTPS = TCP.replace("tcp", "https")

CHECKS: list[Case] = [
    ("[[check]]\n", [("missing-key", 5, "check[0].roles"), ("missing-key", 5, "check[0].type")]),
    ("[check]\n" + TCP.partition("\n")[2], [("wrong-type", 5, "check")]),
    (TCP.replace("tcp", "icmp"), [("bad-value", 7, "check[0].type")]),
    (TCP.replace('["edge"]', "[]"), [("bad-value", 6, "check[0].roles")]),
    (
        TCP.replace('["edge"]', '["egde", 3]'),
        [("unknown-role", 6, "check[0].roles[0]"), ("wrong-type", 6, "check[0].roles[1]")],
    ),
    (TCP.replace("80", "0"), [("bad-value", 8, "check[0].port")]),
    (TCP + "ports = 1\n", [("unknown-key", 9, "check[0].ports")]),
    (TCP + 'addresses = "ipv5"\n', [("bad-value", 9, "check[0].addresses")]),
    (TCP + "match = { region = 3 }\n", [("wrong-type", 9, "check[0].match.region")]),
    (TCP + 'match = { labels = { region = "eu" } }\n', [("bad-match", 9, "check[0].match.labels.region")]),
    (TCP + "interval = 5\n", [("wrong-type", 9, "check[0].interval")]),
    (TCP + 'interval = "99ms"\n', [("bad-duration", 9, "check[0].interval")]),
    (TCP + 'interval = "2h"\n', [("bad-duration", 9, "check[0].interval")]),
    (TCP + 'interval = "1s"\ntimeout = "1001ms"\n', [("bad-duration", 10, "check[0].timeout")]),
    (TCP + 'timeout = "0s"\n', [("bad-duration", 9, "check[0].timeout")]),
    (TCP + "rise = 0\nfall = 101\n", [("bad-value", 9, "check[0].rise"), ("bad-value", 10, "check[0].fall")]),
    (TCP + "jitter = 51\n", [("bad-value", 9, "check[0].jitter")]),
    (
        TCP + 'path = "/"\nhost = "a"\nmethod = "GET"\nstatus = 200\nbody = "x"\ntls_verify = true\nca = "zone"\n',
        [
            ("bad-certificate", 15, "check[0].ca"),
            *(("option-of-other-type", 9 + n, f"check[0].{key}") for n, key in enumerate(("path", "host", "method"))),
            *(("option-of-other-type", 12 + n, f"check[0].{key}") for n, key in enumerate(("status", "body"))),
            *(("option-of-other-type", 14 + n, f"check[0].{key}") for n, key in enumerate(("tls_verify", "ca"))),
        ],
    ),
    (HTTP + "tls_verify = false\n", [("option-of-other-type", 9, "check[0].tls_verify")]),
    (HTTP + 'path = "health"\n', [("bad-path", 9, "check[0].path")]),
    (HTTP + 'path = "/a b"\n', [("bad-path", 9, "check[0].path")]),
    (HTTP + 'path = "/a#b"\n', [("bad-path", 9, "check[0].path")]),
    (HTTP + 'host = "a:80"\n', [("bad-host", 9, "check[0].host")]),
    (HTTP + 'host = "a\\r\\nX: y"\n', [("bad-host", 9, "check[0].host")]),
    (HTTP + 'method = "POST"\n', [("bad-value", 9, "check[0].method")]),
    (HTTP + "status = 99\n", [("bad-status", 9, "check[0].status[0]")]),
    (HTTP + "status = true\n", [("wrong-type", 9, "check[0].status")]),
    (HTTP + "status = []\n", [("bad-value", 9, "check[0].status")]),
    (
        HTTP + 'status = [200, "399-200", "2xx", true]\n',
        [("bad-status", 9, f"check[0].status[{n}]") for n in (1, 2, 3)],
    ),
    (
        HTTP + "status = 20\ncolour = 1\n",
        [("bad-status", 9, "check[0].status[0]"), ("unknown-key", 10, "check[0].colour")],
    ),
    (HTTP + 'body = ""\n', [("bad-value", 9, "check[0].body")]),
    (HTTP + 'body = "ok"\nmethod = "HEAD"\n', [("bad-value", 9, "check[0].body")]),
    (HTTPS + 'ca = "none.pem"\n', [("unreadable", 9, "check[0].ca")]),
    (HTTPS + 'ca = "zone"\n', [("bad-certificate", 9, "check[0].ca")]),
    # One fault hides no other.
    (
        HTTP.replace('["edge"]', '["egde"]') + 'path = "x"\nstatus = 1\nbody = 3\ninterval = "x"\n',
        [
            ("bad-duration", 12, "check[0].interval"),
            ("bad-path", 9, "check[0].path"),
            ("bad-status", 10, "check[0].status[0]"),
            ("unknown-role", 6, "check[0].roles[0]"),
            ("wrong-type", 11, "check[0].body"),
        ],
    ),
]
