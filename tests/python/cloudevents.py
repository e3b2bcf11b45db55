"""Holds every line of stdin to CloudEvents 1.0 in JSON: the project's own schema, and the rules of
the specification that a schema cannot say.

    cloudevents.py SCHEMA SHA256
"""

import hashlib
import json
import re
import sys

import jsonschema

KNOWN = {"id", "source", "specversion", "type", "datacontenttype", "dataschema", "subject", "time",
         "data", "data_base64"}


def faults(event, line):
    if event.get("specversion") != "1.0":
        yield f"specversion is `{event.get('specversion')}`"
    if "data" in event and "data_base64" in event:
        yield "both `data` and `data_base64`"
    for name, value in event.items():
        if value is None:
            yield f"`{name}` is null, it should be absent"
        if not re.fullmatch("[a-z0-9]{1,20}", name) and name != "data_base64":
            yield f"`{name}` is no name of an attribute"
        if name in KNOWN:
            continue
        if not isinstance(value, (str, bool, int)) or (
            isinstance(value, int) and not -(2**31) <= value < 2**31
        ):
            yield f"extension `{name}` is `{value!r}`"
    for text in (value for value in event.values() if isinstance(value, str)):
        if re.search("[\x00-\x1f\x7f-\x9f\ufdd0-\ufdef\ud800-\udfff]", text):
            yield f"`{text!r}` holds what a CloudEvents string may not"
    names = [name for name, _ in json.loads(line, object_pairs_hook=list)]
    if len(names) != len(set(names)):
        yield f"a member comes twice: {names}"


def main(path, digest):
    with open(path, "rb") as file:
        bytes_ = file.read()
    assert hashlib.sha256(bytes_).hexdigest() == digest, f"`{path}` is not the file it was"
    checker = jsonschema.FormatChecker(formats=["date-time", "uri-reference", "uri"])
    assert set(checker.checkers) == {"date-time", "uri-reference", "uri"}, "a format is not checked"
    validator = jsonschema.Draft7Validator(json.loads(bytes_), format_checker=checker)
    count = 0
    for count, line in enumerate(sys.stdin.buffer, 1):
        event = json.loads(line.decode())
        found = [error.message for error in validator.iter_errors(event)] + list(faults(event, line))
        assert not found, f"line {count}: {found}\n{line.decode()}"
    print(count)


main(sys.argv[1], sys.argv[2])
