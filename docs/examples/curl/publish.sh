#!/bin/sh
# Publishes a card's move by REST, and tells what became of it.
#
#     publish.sh STREAM CARD COLUMN
set -eu
now=$(date -u +%FT%T.%NZ)
curl --silent --show-error --fail-with-body --retry 5 --retry-connrefused \
    --header 'Content-Type: application/cloudevents+json' \
    --data "{\"specversion\": \"1.0\", \"id\": \"$2/$3/$now\", \"source\": \"/examples/curl\",
             \"type\": \"dev.takt.report.card.v1\", \"time\": \"$now\",
             \"data\": {\"card\": \"$2\", \"column\": \"$3\"}}" \
    "${TAKT_SERVER:-http://127.0.0.1:7420}/v1/streams/$1/events"
