"""The remote backend of PowerDNS: a pdns_server in front that reads zones, pools and per-node names from here."""
