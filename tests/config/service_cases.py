"""Broken pools of services and names in zones: what is added to the good start, and what is said of it."""

from __future__ import annotations

from tests.config.cases import Case

NODE = '[[node]]\nid = "n1"\naddresses = ["192.0.2.1"]\nroles = ["edge"]\n'
RECORD = '[[node_record]]\nname = "{id}.nodes.example.org."\n'
POOL = '[[pool]]\nname = "edge.example.org."\nrole = "edge"\n'
SRV = '[[pool]]\nname = "_x._tcp.example.org."\nrole = "edge"\ntype = "srv"\n'
SVCB = SRV.replace("srv", "svcb")
# The good start has four lines, a template two.
FOUND = RECORD + SRV
# More than there may be: four ids of 255 bytes take all of it, each with a byte for its length.
_LONG_ALPN = [f"{number:0255}" for number in range(4)] + ["x"]

SERVICES: list[Case] = [
    (POOL + 'type = "mx"\n', [("bad-value", 8, "pool[0].type")]),
    (POOL + 'type = "SRV"\n', [("bad-value", 8, "pool[0].type")]),
    (FOUND + "port = 0\n", [("bad-value", 11, "pool[0].port")]),
    (FOUND + "port = 65536\n", [("bad-value", 11, "pool[0].port")]),
    (FOUND + 'port = "rtmp"\n', [("wrong-type", 11, "pool[0].port")]),
    (FOUND + "port = 1\npriority = 65536\n", [("bad-value", 12, "pool[0].priority")]),
    (RECORD + SVCB + "priority = 0\n", [("bad-priority", 11, "pool[0].priority")]),
    (FOUND + 'port = 1\nalpn = ["h2"]\n', [("option-of-other-type", 12, "pool[0].alpn")]),
    (FOUND + "port = 1\nno_default_alpn = true\n", [("option-of-other-type", 12, "pool[0].no_default_alpn")]),
    (FOUND + "port = 1\nhttps = {}\n", [("option-of-other-type", 12, "pool[0].https")]),
    (
        RECORD + POOL + 'port = 1\npriority = 1\nalpn = ["h2"]\ntargets = "{id}.nodes.example.org."\n',
        [
            *(("option-of-other-type", line, f"pool[0].{key}") for line, key in ((10, "port"), (11, "priority"))),
            *(("option-of-other-type", line, f"pool[0].{key}") for line, key in ((12, "alpn"), (13, "targets"))),
        ],
    ),
    (
        RECORD + SVCB + 'alpn = ["h2", "", "h2", "é", 3]\n',
        [
            ("wrong-type", 11, "pool[0].alpn[4]"),
            ("bad-alpn", 11, "pool[0].alpn[1]"),
            ("bad-alpn", 11, "pool[0].alpn[3]"),
            ("duplicate-alpn", 11, "pool[0].alpn[2]"),
        ],
    ),
    (RECORD + SVCB + f"alpn = {_LONG_ALPN}\n", [("bad-alpn", 11, "pool[0].alpn")]),
    (POOL + f"https = {{ alpn = {_LONG_ALPN} }}\n", [("bad-alpn", 8, "pool[0].https.alpn")]),
    (RECORD + SVCB + "no_default_alpn = true\n", [("no-protocol", 11, "pool[0].no_default_alpn")]),
    (POOL + "https = 3\n", [("wrong-type", 8, "pool[0].https")]),
    (POOL + "https = { port = 0 }\n", [("bad-value", 8, "pool[0].https.port")]),
    (POOL + 'https = { apln = ["h2"] }\n', [("unknown-key", 8, "pool[0].https.apln")]),
    (POOL + 'https = { alpn = ["h2", "h2"] }\n', [("duplicate-alpn", 8, "pool[0].https.alpn[1]")]),
    (POOL + "https = { no_default_alpn = true }\n", [("no-protocol", 8, "pool[0].https.no_default_alpn")]),
    (
        POOL + 'https = { alpn = [""] }\nport = "x"\n',
        [
            ("bad-alpn", 8, "pool[0].https.alpn[0]"),
            ("wrong-type", 9, "pool[0].port"),
        ],
    ),
    (SRV + "port = 1\n", [("no-node-record", 8, "pool[0].type")]),
    (FOUND + 'port = 1\ntargets = "{id}.node.example.org."\n', [("unknown-template", 12, "pool[0].targets")]),
    (
        RECORD + RECORD.replace("nodes", "n") + SRV + "port = 1\n",
        [("ambiguous-targets", 9, "pool[0].targets")],
    ),
    (NODE + FOUND, [("node-out-of-reach", 14, "pool[0].type")]),
    (
        NODE + RECORD.replace("id", "region") + SRV + "port = 1\n",
        [("node-out-of-reach", 14, "pool[0].type")],
    ),
    (NODE + "ports = { edge = 0 }\n" + FOUND, [("bad-value", 9, "node[0].ports.edge")]),
    (NODE + 'ports = { edge = "x" }\n', [("wrong-type", 9, "node[0].ports.edge")]),
    (NODE + "ports = { ingest = 1 }\n", [("bad-ports", 9, "node[0].ports.ingest")]),
    (NODE + "priority = 0\n", [("bad-value", 9, "node[0].priority")]),
    (
        FOUND + 'port = 1\nwhen_empty = "pool:edge.example.org."\n' + POOL,
        [("fallback-type", 12, "pool[0].when_empty")],
    ),
]

NAMES: list[Case] = [
    (POOL + 'zone = "example.org"\n', []),
    (POOL + 'zone = "example.com"\n', [("unknown-zone", 8, "pool[0].zone")]),
    (POOL + 'zone = "ex ample"\n', [("bad-name", 8, "pool[0].zone")]),
    (POOL + "zone = 3\n", [("wrong-type", 8, "pool[0].zone")]),
    (POOL.replace("org.", "org") + 'zone = "example.org"\n', [("bad-name", 6, "pool[0].name")]),
    (POOL.replace("edge.example.org.", "Example.ORG") + 'zone = "example.org"\n', [("bad-name", 6, "pool[0].name")]),
    (POOL.replace("example.org", "example.com") + 'zone = "example.org"\n', [("other-zone", 8, "pool[0].zone")]),
    (POOL.replace("edge.example.org.", "edge"), [("outside-zones", 6, "pool[0].name")]),
    (POOL.replace("edge.example.org.", "@"), [("bad-name", 6, "pool[0].name")]),
    (POOL.replace("edge.example.org.", "taken") + 'zone = "example.org"\n', [("clash", 6, "pool[0].name")]),
    (
        POOL.replace("edge.example.org.", "edge") + 'zone = "example.org"\n' + POOL.replace("edge.ex", "EDGE.ex"),
        [("duplicate-pool", 10, "pool[1].name")],
    ),
    (
        POOL + 'zone = "example.org"\nwhen_empty = "pool:b.example.org"\n',
        [("bad-when-empty", 9, "pool[0].when_empty")],
    ),
    (POOL + 'zone = "example.org"\nwhen_empty = "pool:b"\n', [("unknown-pool", 9, "pool[0].when_empty")]),
    (RECORD + 'zone = "example.com"\n', [("unknown-zone", 7, "node_record[0].zone")]),
    (RECORD.replace("org.", "org") + 'zone = "example.org"\n', [("bad-name", 6, "node_record[0].name")]),
    (RECORD.replace("org.", "com.") + 'zone = "example.org"\n', [("other-zone", 7, "node_record[0].zone")]),
    (
        POOL.replace("edge.example.org.", "a.child")
        + 'zone = "example.org"\n[[zone]]\nname = "child.example.org"\nfile = "zone"\n',
        [("other-zone", 8, "pool[0].zone")],
    ),
]
