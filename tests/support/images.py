"""Zones as images, however small."""

from __future__ import annotations

from collections.abc import Mapping

from dnsd.core.records import RRset, Zone
from dnsd.core.zonebuild import zone_of
from dnsd.core.zoneimage import ZoneImage
from dnsd.core.zoneimage_build import build_image
from dnsd.sharedbytes import SharedBytes


def image_of(apex: bytes, rrsets: Mapping[tuple[bytes, int], RRset]) -> Zone:
    """Return a zone whose nodes are in an image.

    Args:
        apex: folded name.
        rrsets: by folded owner and type; one SOA, at the apex.
    """
    types: dict[bytes, frozenset[int]] = {}
    for owner, rdtype in rrsets:
        types[owner] = types.get(owner, frozenset()) | {rdtype}
    return zone_of(apex, ZoneImage(SharedBytes.of(build_image(apex, types, rrsets))))
