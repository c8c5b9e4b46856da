# Publishes a recording and follows its events: sh speak_nats.sh nats://127.0.0.1:4222 hello.wav
set -eu
job=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
nats --server "$1" pub -J --force-stdin --no-templates -H "Shanshui-Job:$job" shanshui.audio.default <"$2"
nats --server "$1" sub --stream EVENTS --all --raw --wait 60s "shanshui.events.$job.*"
