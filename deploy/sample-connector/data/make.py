#!/usr/bin/env python3
"""Makes transitions.csv and zones.jsonl from a compiled IANA time zone database.

    python3 make.py [ZONEINFO]        (default: /usr/share/zoneinfo)

Needs nothing but Python 3.8. The same database gives the same bytes. ZONEINFO must hold files compiled with
`zic -b fat` (Debian's are): "slim" files leave the years after the last change of rules to a formula.
"""
import csv
import json
import re
import struct
import sys
from datetime import datetime, timezone
from pathlib import Path

FIRST = int(datetime(1970, 1, 1, tzinfo=timezone.utc).timestamp())
LAST = int(datetime(2038, 1, 1, tzinfo=timezone.utc).timestamp())

# Chosen for size: every zone of these areas, and some of the Americas.
AREAS = ("Europe/", "Australia/", "Africa/", "Atlantic/", "Pacific/")
EXTRA = (
    "America/Bogota", "America/Chicago", "America/Denver", "America/Halifax", "America/Havana", "America/Lima",
    "America/Los_Angeles", "America/Mexico_City", "America/New_York", "America/Santiago", "America/Sao_Paulo",
    "America/St_Johns", "America/Toronto", "Asia/Hong_Kong", "Asia/Jerusalem", "Asia/Kolkata", "Asia/Singapore",
    "Asia/Tehran", "Asia/Tokyo",
)


def transitions(path):
    """The changes of local time in one compiled file: (UTC seconds, offset, dst, abbreviation)."""
    data = path.read_bytes()
    head = struct.Struct(">4s1s15x6l")

    def counts(at):
        magic, version, *numbers = head.unpack_from(data, at)
        assert magic == b"TZif" and version >= b"2", path
        return numbers

    isut, isstd, leap, times, types, chars = counts(0)
    at = head.size + times * 5 + types * 6 + chars + leap * 8 + isstd + isut  # the 32-bit block, skipped
    isut, isstd, leap, times, types, chars = counts(at)
    at += head.size
    instants = struct.unpack_from(f">{times}q", data, at)
    kinds = data[at + times * 8:at + times * 9]
    at += times * 9
    infos = [struct.unpack_from(">l?B", data, at + 6 * i) for i in range(types)]
    names = data[at + 6 * types:at + 6 * types + chars]
    for instant, kind in zip(instants, kinds):
        if FIRST <= instant < LAST:
            offset, dst, start = infos[kind]
            yield instant, offset, dst, names[start:names.index(b"\0", start)].decode()


def degrees(text):
    """±DDMM[SS] or ±DDDMM[SS] as decimal degrees."""
    sign = -1 if text[0] == "-" else 1
    digits = text[1:]
    width = 2 if len(digits) in (4, 6) else 3
    whole, minutes, seconds = int(digits[:width]), int(digits[width:width + 2]), int(digits[width + 2:] or 0)
    return round(sign * (whole + minutes / 60 + seconds / 3600), 4)


def main():
    zoneinfo = Path(sys.argv[1] if len(sys.argv) > 1 else "/usr/share/zoneinfo")
    here = Path(__file__).resolve().parent

    zones = []
    for line in (zoneinfo / "zone1970.tab").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            codes, place, name, *comment = line.split("\t")
            latitude, longitude = re.fullmatch(r"([+-]\d+)([+-]\d+)", place).groups()
            zones.append({
                "name": name,
                "country_codes": codes,
                "latitude": degrees(latitude),
                "longitude": degrees(longitude),
                "comment": comment[0] if comment else None,
            })
    zones.sort(key=lambda zone: zone["name"])
    with open(here / "zones.jsonl", "w", encoding="utf-8", newline="\n") as out:
        for zone in zones:
            out.write(json.dumps(zone, ensure_ascii=False) + "\n")

    rows = []
    for zone in (zone["name"] for zone in zones):
        if zone.startswith(AREAS) or zone in EXTRA:
            rows += ((at, zone, offset, dst, short) for at, offset, dst, short in transitions(zoneinfo / zone))
    rows.sort()
    with open(here / "transitions.csv", "w", encoding="utf-8", newline="") as out:
        table = csv.writer(out, lineterminator="\n")
        table.writerow(("id", "zone", "at", "offset_seconds", "dst", "abbreviation"))
        for number, (at, zone, offset, dst, short) in enumerate(rows, start=1):
            instant = datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
            table.writerow((number, zone, instant, offset, str(dst).lower(), short))


if __name__ == "__main__":
    main()
