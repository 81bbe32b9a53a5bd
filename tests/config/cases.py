"""Broken configurations: what is added to the good start from line 5 on, and (id, line, place) of each problem."""

from __future__ import annotations

Case = tuple[str, list[tuple[str, int, str]]]

_NODE = '[[node]]\nid = "n1"\naddresses = ["192.0.2.1"]\nroles = ["edge"]\n'
_POOL = '[[pool]]\nname = "edge.example.org."\nrole = "edge"\n'
_TOKEN = '[[admin.token]]\nname = "alice"\nscope = "operator"\nsha256 = "' + "a" * 64 + '"\n'
_AGENT = _TOKEN.replace("operator", "agent").replace("alice", "bob").replace("a" * 64, "b" * 64)
_RECORD = '[[node_record]]\nname = "{id}.nodes.example.org."\n'

SHAPE: list[Case] = [
    ("[serve]\nid = 1\n", [("unknown-key", 5, "serve")]),
    ("[server]\nlisten = 3\n", [("wrong-type", 6, "server.listen")]),
    ("[server]\nlisten = [3]\n", [("wrong-type", 6, "server.listen[0]")]),
    ("[server]\nworkers = -1\n", [("bad-value", 6, "server.workers")]),
    ("[server]\nworkers = true\n", [("wrong-type", 6, "server.workers")]),
    ("[[server]]\n", [("wrong-type", 5, "server")]),
    (
        '[node]\nid = "n 1"\naddresses = ["192.0.2.1"]\nroles = ["egde"]\n',
        [("bad-node-id", 6, "node.id"), ("unknown-role", 8, "node.roles[0]"), ("wrong-type", 5, "node")],
    ),
    (
        '[admin]\ntoken = [3, { name = "a b", scope = "viewer" }]\n',
        [
            ("bad-token-name", 6, "admin.token[1].name"),
            ("missing-key", 6, "admin.token[1].sha256"),
            ("wrong-type", 6, "admin.token"),
        ],
    ),
    ("[admin]\ntoken = 3\n", [("wrong-type", 6, "admin.token")]),
    ("[[node]]\n", [("missing-key", 5, f"node[0].{key}") for key in ("addresses", "id", "roles")]),
    ("[[pool]]\n", [("missing-key", 5, f"pool[0].{key}") for key in ("name", "role")]),
    (_POOL + "ttl = 2147483648\n", [("bad-value", 8, "pool[0].ttl")]),
    (_POOL + "max_answers = 0\n", [("bad-value", 8, "pool[0].max_answers")]),
    (_POOL + "floor = 0.5\n", [("wrong-type", 8, "pool[0].floor")]),
    (_POOL + "match = { region = 3 }\n", [("wrong-type", 8, "pool[0].match.region")]),
    (_POOL + "match.labels.a = 3\n", [("wrong-type", 8, "pool[0].match.labels.a")]),
    (_NODE + "weight = 1000001\n", [("bad-value", 9, "node[0].weight")]),
    (_NODE + "labels = { a = 1 }\n", [("wrong-type", 9, "node[0].labels.a")]),
    (_NODE + 'monitor = "maybe"\n', [("bad-value", 9, "node[0].monitor")]),
]

SERVER: list[Case] = [
    ('[server]\nid = "a b"\n', [("bad-server-id", 6, "server.id")]),
    ("[server]\nlisten = []\n", [("bad-value", 6, "server.listen")]),
    ('[server]\nlisten = [\n"127.0.0.1:53",\n"::1:53",\n]\n', [("bad-address", 8, "server.listen[1]")]),
    ('[server]\nlisten = ["[127.0.0.1]:53"]\n', [("bad-address", 6, "server.listen[0]")]),
    ('[server]\nlisten = ["[fe80::1%eth0]:53"]\n', [("bad-address", 6, "server.listen[0]")]),
    ('[server]\nlisten = ["localhost:53"]\n', [("bad-address", 6, "server.listen[0]")]),
    ('[server]\nlisten = ["127.0.0.1:70000"]\n', [("bad-address", 6, "server.listen[0]")]),
    ('[server]\nlisten = ["127.0.0.1:0"]\n', [("bad-port", 6, "server.listen[0]")]),
    ('[server]\nlisten = ["[::1]:53", "[0::1]:53"]\n', [("duplicate-listen", 6, "server.listen[1]")]),
    ('[server]\nlisten = ["127.0.0.1:53", "0.0.0.0:53"]\n', [("overlapping-listen", 6, "server.listen[1]")]),
    ('[server]\nlisten = ["[::]:53", "[::1]:53"]\n', [("overlapping-listen", 6, "server.listen[1]")]),
    ('[admin]\nlisten = "127.0.0.1:5353"\n', [("duplicate-listen", 6, "admin.listen")]),
    ('[server]\nlisten = ["0.0.0.0:8053"]\n', [("overlapping-listen", 0, "admin.listen")]),
    ('[admin]\nlisten = "0.0.0.0:80"\n', [("admin-open", 6, "admin.listen")]),
    (_TOKEN + _TOKEN.replace("a" * 64, "b" * 64), [("duplicate-token", 10, "admin.token[1].name")]),
    (_TOKEN + _TOKEN.replace("alice", "bob"), [("duplicate-sha256", 12, "admin.token[1].sha256")]),
    (_TOKEN.replace("alice", "a b"), [("bad-token-name", 6, "admin.token[0].name")]),
    (_TOKEN.replace("aaaa", "xyz!"), [("bad-sha256", 8, "admin.token[0].sha256")]),
    (_TOKEN.replace("operator", "root"), [("bad-value", 7, "admin.token[0].scope")]),
    (_AGENT, [("token-without-node", 5, "admin.token[0].node")]),
    (_AGENT + 'node = "a.b"\n', [("bad-node-id", 9, "admin.token[0].node")]),
    (_TOKEN + 'node = "n1"\n', [("token-with-node", 9, "admin.token[0].node")]),
    (_TOKEN + 'consumer = "r1"\n', [("token-with-consumer", 9, "admin.token[0].consumer")]),
    (
        _TOKEN.replace("operator", "router") + 'consumer = "a/b"\nnode = "n1"\n',
        [("bad-consumer-id", 9, "admin.token[0].consumer"), ("token-with-node", 10, "admin.token[0].node")],
    ),
    ("[rate_limit]\nslip = 11\n", [("bad-value", 6, "rate_limit.slip")]),
    ("[rate_limit]\nipv4_prefix = 33\n", [("bad-value", 6, "rate_limit.ipv4_prefix")]),
    ("[rate_limit]\nipv6_prefix = 24\n", [("bad-value", 6, "rate_limit.ipv6_prefix")]),
    ("[rate_limit]\nresponses_per_second = 0.5\n", [("wrong-type", 6, "rate_limit.responses_per_second")]),
    ('[rate_limit]\nwindow = "2m"\n', [("bad-duration", 6, "rate_limit.window")]),
    (
        '[rate_limit]\nwindow = "500ms"\nallow = ["10.0.0.0/8", 3, "10.0.0.1/8", "here", "fe80::%eth0/64"]\n',
        [
            ("bad-duration", 6, "rate_limit.window"),
            *(("bad-network", 7, f"rate_limit.allow[{index}]") for index in (2, 3, 4)),
            ("wrong-type", 7, "rate_limit.allow[1]"),
        ],
    ),
    ('[tcp]\nidle = "0s"\n', [("bad-duration", 6, "tcp.idle")]),
    ('[tcp]\nidle = "11m"\n', [("bad-duration", 6, "tcp.idle")]),
    ('[tcp]\nidle = "2s"\nevictable_after = "3s"\n', [("bad-duration", 7, "tcp.evictable_after")]),
    ("[tcp]\nconnections = 65537\n", [("bad-value", 6, "tcp.connections")]),
    ("[tcp]\nconnections_per_client = 501\n", [("bad-value", 6, "tcp.connections_per_client")]),
    ("[tcp]\nqueries_per_connection = 0\n", [("bad-value", 6, "tcp.queries_per_connection")]),
    ("[tcp]\nunsent_bytes = 1000\n", [("bad-value", 6, "tcp.unsent_bytes")]),
    ('[tls]\nlisten = ["127.0.0.1:853"]\n', [("missing-key", 5, f"tls.{key}") for key in ("certificate", "key")]),
    ('[https]\nlisten = ["[::1]:443"]\n', [("missing-key", 0, f"tls.{key}") for key in ("certificate", "key")]),
    (
        '[tls]\nlisten = ["127.0.0.1:5353"]\n',
        [
            ("duplicate-listen", 6, "tls.listen[0]"),
            ("missing-key", 5, "tls.certificate"),
            ("missing-key", 5, "tls.key"),
        ],
    ),
    (
        '[tls]\nlisten = ["127.0.0.1:8053"]\n',
        [
            ("duplicate-listen", 0, "admin.listen"),
            *(("missing-key", 5, f"tls.{key}") for key in ("certificate", "key")),
        ],
    ),
    (
        '[https]\nlisten = ["0.0.0.0:5353"]\n[admin]\nlisten = "[::1]:5353"\n',
        [
            ("duplicate-listen", 8, "admin.listen"),
            *(("missing-key", 0, f"tls.{key}") for key in ("certificate", "key")),
            ("overlapping-listen", 6, "https.listen[0]"),
        ],
    ),
    ('[tls]\ncertificate = "none.pem"\n', [("missing-key", 5, "tls.key"), ("unreadable", 6, "tls.certificate")]),
    (
        '[tls]\ncertificate = "zone"\nkey = "zone"\n',
        [("bad-certificate", 6, "tls.certificate"), ("bad-key", 7, "tls.key")],
    ),
    ('[https]\npath = "dns-query"\n', [("bad-path", 6, "https.path")]),
    ('[https]\npath = "/a?b"\n', [("bad-path", 6, "https.path")]),
    ('[proxy]\nfrom = ["192.0.2.0/24", "192.0.2.1/24"]\n', [("bad-network", 6, "proxy.from[1]")]),
    (
        '[proxy]\nfrom = ["fe80::%eth0/64", "::ffff:192.0.2.1/120"]\n',
        [
            ("bad-network", 6, "proxy.from[0]"),
            ("bad-network", 6, "proxy.from[1]"),
        ],
    ),
    ('[proxy]\nfrom = "192.0.2.1"\n', [("wrong-type", 6, "proxy.from")]),
    ("[proxy]\nof = []\n", [("unknown-key", 6, "proxy.of")]),
    ('[store]\nurl = "redis://h/zero"\n', [("bad-store-url", 6, "store.url")]),
    ('[store]\nurl = "redis+sentinel://h/0"\nmin_replicas = 99\n', [("bad-value", 7, "store.min_replicas")]),
    ('[store]\nurl = "memory://"\nmin_replicas = 1\n', [("no-replicas", 7, "store.min_replicas")]),
    ('[store]\nurl = "postgres://h"\n', [("store-unsupported", 6, "store.url")]),
    ('[store]\nurl = "state.db"\n', [("store-unsupported", 6, "store.url")]),
    ('[store]\nurl = "memory://x"\n', [("bad-store-url", 6, "store.url")]),
    ('[store]\nurl = "sqlite://state.db"\n', [("bad-store-url", 6, "store.url")]),
    ('[store]\nurl = "sqlite:///var/"\n', [("bad-store-url", 6, "store.url")]),
    ('[store]\nprefix = "{a}"\n', [("bad-prefix", 6, "store.prefix")]),
    ('[store]\nstate_file = "var/"\n', [("bad-path", 6, "store.state_file")]),
    ('[drain]\ndefault_expiry = "4 hours"\n', [("bad-duration", 6, "drain.default_expiry")]),
    ('[drain]\ndefault_expiry = "0s"\n', [("bad-duration", 6, "drain.default_expiry")]),
    ('[drain]\nwarn_after = "0s"\n', [("bad-duration", 6, "drain.warn_after")]),
    ('[health]\nstale_after = "9999d"\n', [("bad-duration", 6, "health.stale_after")]),
    ('[health]\ncheck_local = "yes"\n', [("wrong-type", 6, "health.check_local")]),
]

NODES: list[Case] = [
    (_NODE.replace("edge", "egde"), [("unknown-role", 8, "node[0].roles[0]")]),
    (_NODE.replace('"edge"', '"edge", "edge"'), [("duplicate-role", 8, "node[0].roles[1]")]),
    (_NODE.replace('"edge"', ""), [("bad-value", 8, "node[0].roles")]),
    (_NODE.replace("192.0.2.1", "192.0.2.256"), [("bad-address", 7, "node[0].addresses[0]")]),
    (_NODE.replace("192.0.2.1", "224.0.0.1"), [("bad-address", 7, "node[0].addresses[0]")]),
    (_NODE.replace("192.0.2.1", "::"), [("bad-address", 7, "node[0].addresses[0]")]),
    (
        _NODE.replace('"192.0.2.1"', '"2001:db8::1",\n"2001:DB8:0::1"'),
        [("duplicate-address", 8, "node[0].addresses[1]")],
    ),
    (_NODE.replace('"192.0.2.1"', ""), [("bad-value", 7, "node[0].addresses")]),
    (_NODE.replace("n1", "n.1"), [("bad-node-id", 6, "node[0].id")]),
    (_NODE + _NODE.replace("n1", "N1"), [("duplicate-node", 10, "node[1].id")]),
    (_NODE + "location = [91, 0]\n", [("bad-location", 9, "node[0].location")]),
    (_NODE + "location = [1]\n", [("bad-location", 9, "node[0].location")]),
    (_NODE + "location = [nan, 0]\n", [("bad-location", 9, "node[0].location")]),
    (_RECORD.replace("id", "ip"), [("template-unknown-field", 6, "node_record[0].name")]),
    (_RECORD.replace("{id}", "x"), [("template-without-field", 6, "node_record[0].name")]),
    (_RECORD.replace("{id}", "{id}}"), [("bad-name", 6, "node_record[0].name")]),
    (_RECORD.replace("{id}", "{id}." + "a" * 64), [("bad-name", 6, "node_record[0].name")]),
    (_RECORD.replace("nodes", ".".join(["a" * 60] * 4)), [("bad-name", 6, "node_record[0].name")]),
    (_RECORD.replace("example.org", "example.com"), [("outside-zones", 6, "node_record[0].name")]),
    (_NODE.replace("n1", "taken") + _RECORD.replace("nodes.", ""), [("clash", 10, "node_record[0].name")]),
    (_NODE + _RECORD.replace("nodes", "sub"), [("occluded", 10, "node_record[0].name")]),
    (_NODE + _RECORD + _RECORD, [("duplicate-name", 12, "node_record[1].name")]),
    (
        _NODE + 'region = "eu"\n' + _NODE.replace("n1", "n2") + 'region = "eu"\n' + _RECORD.replace("id", "region"),
        [("duplicate-name", 16, "node_record[0].name")],
    ),
    (_NODE + 'region = "e u"\n' + _RECORD.replace("id", "region"), [("bad-name", 11, "node_record[0].name")]),
]

POOLS: list[Case] = [
    (_POOL.replace('role = "edge"', 'role = "egde"'), [("unknown-role", 7, "pool[0].role")]),
    (_POOL + _POOL.replace("edge.example.org.", "EDGE.example.org"), [("duplicate-pool", 9, "pool[1].name")]),
    (_POOL.replace("edge.example", "e dge.example"), [("bad-name", 6, "pool[0].name")]),
    (_POOL.replace("edge.example", "a.*.example"), [("bad-name", 6, "pool[0].name")]),
    (_POOL.replace("edge.example.org", "edge.example.com"), [("outside-zones", 6, "pool[0].name")]),
    (_POOL.replace("edge.example", "taken.example"), [("clash", 6, "pool[0].name")]),
    (_POOL.replace("edge.example", "a.sub.example"), [("occluded", 6, "pool[0].name")]),
    (_POOL.replace("edge.example", "a.old.example"), [("occluded", 6, "pool[0].name")]),
    (_POOL + "floor = -1\n", [("bad-floor", 8, "pool[0].floor")]),
    (_POOL + "floor = 0x" + "f" * 9000 + "\n", [("bad-floor", 8, "pool[0].floor")]),
    (_POOL + 'floor = "101%"\n', [("bad-floor", 8, "pool[0].floor")]),
    (_POOL + 'floor = "half"\n', [("bad-floor", 8, "pool[0].floor")]),
    (_POOL + 'when_empty = "nothing"\n', [("bad-when-empty", 8, "pool[0].when_empty")]),
    (_POOL + 'when_empty = "pool"\n', [("bad-when-empty", 8, "pool[0].when_empty")]),
    (_POOL + 'when_empty = "pool:a b"\n', [("bad-when-empty", 8, "pool[0].when_empty")]),
    (_POOL + 'when_empty = "pool:b.example.org"\n', [("unknown-pool", 8, "pool[0].when_empty")]),
    (_POOL + 'when_empty = "pool:edge.example.org"\n', [("fallback-cycle", 8, "pool[0].when_empty")]),
    (
        _POOL
        + 'when_empty = "pool:b.example.org"\n'
        + _POOL.replace("edge.ex", "b.ex")
        + 'when_empty = "pool:c.example.org"\n'
        + _POOL.replace("edge.ex", "c.ex")
        + 'when_empty = "pool:b.example.org"\n',
        [("fallback-cycle", 12, "pool[1].when_empty"), ("fallback-cycle", 16, "pool[2].when_empty")],
    ),
    (_POOL + 'match = { labels = { region = "eu" } }\n', [("bad-match", 8, "pool[0].match.labels.region")]),
    (_POOL + 'match = { a = "1", labels = { a = "2" } }\n', [("bad-match", 8, "pool[0].match.labels.a")]),
    (
        _NODE.replace("n1", "edge") + _RECORD.replace("nodes.", "") + _POOL,
        [("pool-is-node-name", 12, "pool[0].name")],
    ),
]

ZONES: list[Case] = [
    ('[[zone]]\nname = "EXAMPLE.org"\nfile = "zone"\n', [("duplicate-zone", 6, "zone[1].name")]),
    ('[[zone]]\nname = "*.example.net"\nfile = "zone"\n', [("bad-name", 6, "zone[1].name")]),
    ('[[zone]]\nname = "exa mple.net"\nfile = "zone"\n', [("bad-name", 6, "zone[1].name")]),
    ('[[zone]]\nname = "example.net"\n', [("missing-key", 5, "zone[1].file")]),
]

# Faults of one thing, where an earlier one used to hide a later one.
TOGETHER: list[Case] = [
    (
        _POOL.replace("edge.example.org.", "e dge").replace('"edge"', '"egde"') + 'floor = "half"\nwhen_empty = "no"\n',
        [
            ("bad-floor", 8, "pool[0].floor"),
            ("bad-name", 6, "pool[0].name"),
            ("bad-when-empty", 9, "pool[0].when_empty"),
            ("unknown-role", 7, "pool[0].role"),
        ],
    ),
    (
        _POOL.replace("edge.example.org", "edge.example.com").replace('"edge"', '"egde"'),
        [("outside-zones", 6, "pool[0].name"), ("unknown-role", 7, "pool[0].role")],
    ),
    (
        _POOL + _POOL.replace('role = "edge"', 'role = "egde"'),
        [("duplicate-pool", 9, "pool[1].name"), ("unknown-role", 10, "pool[1].role")],
    ),
    (
        _NODE.replace("n1", "taken").replace('["192.0.2.1"]', "3") + "colour = 1\n" + _RECORD.replace("nodes.", ""),
        [
            ("clash", 11, "node_record[0].name"),
            ("unknown-key", 9, "node[0].colour"),
            ("wrong-type", 7, "node[0].addresses"),
        ],
    ),
    (
        _NODE.replace('"192.0.2.1"', '3, "192.0.2.256"').replace('"edge"', '3, "egde"'),
        [
            ("bad-address", 7, "node[0].addresses[1]"),
            ("unknown-role", 8, "node[0].roles[1]"),
            ("wrong-type", 7, "node[0].addresses[0]"),
            ("wrong-type", 8, "node[0].roles[0]"),
        ],
    ),
    (
        '[server]\nlisten = [3, "here"]\n',
        [("bad-address", 6, "server.listen[1]"), ("wrong-type", 6, "server.listen[0]")],
    ),
    (
        _RECORD.replace("{id}", "{ip}").replace("example.org", "example.com"),
        [("outside-zones", 6, "node_record[0].name"), ("template-unknown-field", 6, "node_record[0].name")],
    ),
    (
        _AGENT.replace("agent", "root") + 'node = "a.b"\n',
        [("bad-node-id", 9, "admin.token[0].node"), ("bad-value", 7, "admin.token[0].scope")],
    ),
    (
        '[[zone]]\nname = "EXAMPLE.org"\nfile = "gone"\n',
        [("duplicate-zone", 6, "zone[1].name"), ("unreadable", 7, "zone[1].file")],
    ),
]

# What is not known is not blamed: the pool may be in the zone, or the fallback the pool, whose name cannot be read.
UNKNOWN: list[Case] = [
    (
        _POOL.replace("example.org", "example.net") + '[[zone]]\nname = "exa mple.net"\nfile = "zone"\n',
        [("bad-name", 9, "zone[1].name")],
    ),
    (
        _POOL + 'when_empty = "pool:b.example.org"\n' + _POOL.replace("edge.ex", "b b.ex"),
        [("bad-name", 10, "pool[1].name")],
    ),
]

ALL = SHAPE + SERVER + NODES + POOLS + ZONES + TOGETHER + UNKNOWN
