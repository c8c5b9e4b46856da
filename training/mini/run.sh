#!/bin/sh
# From nothing to weights: ./run.sh WORK OUT [ARGS OF mini.train]. Fetches the drawings (MIT) and trains; run it again to go on.
set -eu
work=$1 out=$2
shift 2
mkdir -p "$work" "$out"
work=$(cd "$work" && pwd) out=$(cd "$out" && pwd)
cd "$(dirname "$0")"
if [ ! -f "$work/package/icons.json" ]; then
    (cd "$work" && npm pack @iconify-json/fluent-emoji@1.2.7 && tar xzf iconify-json-fluent-emoji-1.2.7.tgz)
fi
exec "${PYTHON:-python3}" -m mini.train --work "$work" --icons "$work/package/icons.json" --out "$out" "$@"
