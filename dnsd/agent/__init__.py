"""The agent of a node: what runs beside the media servers, apart from every dnsd server."""
