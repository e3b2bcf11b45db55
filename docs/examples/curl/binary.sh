#!/bin/sh
# The same in binary mode: the attributes are headers, the body is the data.
#
#     binary.sh STREAM CARD COLUMN
set -eu
now=$(date -u +%FT%T.%NZ)
curl --silent --show-error --fail-with-body --retry 5 --retry-connrefused \
    --header 'ce-specversion: 1.0' --header "ce-id: $2/$3/$now" --header 'ce-source: /examples/curl' \
    --header 'ce-type: dev.takt.report.card.v1' --header "ce-time: $now" \
    --header 'Content-Type: application/json' \
    --data "{\"card\": \"$2\", \"column\": \"$3\"}" \
    "${TAKT_SERVER:-http://127.0.0.1:7420}/v1/streams/$1/events"
