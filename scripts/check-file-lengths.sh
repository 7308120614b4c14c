#!/bin/sh
# A source file has at most 300 lines; those above are listed, and one above 400 is a fault: split it.
set -eu

cd "$(dirname "$0")/.."
find crates/*/src loadtest/src -name '*.rs' -exec wc -l {} + |
    awk '$2 != "total" && $1 > 300 { print (($1 > 400) ? "too long" : "long"), $1, $2; if ($1 > 400) bad = 1 }
         END { exit bad }'
