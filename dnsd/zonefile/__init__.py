"""Master files (RFC 1035 §5) into the core's immutable zones, through dnspython."""
