"""Zone transfers out: AXFR (RFC 5936) and IXFR (RFC 1995) for secondaries, signed with TSIG (RFC 8945).

| module | has |
|---|---|
| `access` | who may have which zone |
| `signing` | TSIG: judging a request's, signing the messages of a response |
| `sequences` | which records a transfer consists of, in their order |
| `envelope` | records to messages |
| `answering` | a request in, the messages of its response out |
| `connections` | who may be connected |
| `conversation` | one connection, from its queries to its answers |
| `endpoint` | sockets |
| `asking` | a question to a secondary, and which answer to it is believed |
| `courier` | one zone at one secondary: NOTIFY (RFC 1996), and which serial it has |
| `slots` | how much may go to one secondary |
| `outreach` | all couriers |
| `primary` | the adapter: endpoint and outreach |

The first five have neither socket nor event loop.
"""
