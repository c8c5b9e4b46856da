# Part of `./dev compose`: the pods of deploy/kubernetes, run with `podman kube play`. Sourced by ./dev.

play_pods() {
    local pods=$boxes/pods name status=0
    stand_in "$(sed -n 's|.*image: \(docker.io/rclone/.*\)|\1|p' "$root/deploy/kubernetes/base/transcribe.yaml")" "$cache/foreign/bin/rclone" rclone
    podman tag localhost/shanshui:cpu registry.example.com/shanshui:0.2.0-cpu
    rm -rf "$pods"
    "$cache/cluster/whole/bin/python" "$root/tests/cluster/pods.py" "$tools/kubectl" "$root/secrets" "$pods" || die "the pods do not render"
    clear_pods
    for name in shanshui-nats shanshui-s3; do podman secret create "$name" "$pods/$name.json" >/dev/null; done
    podman network create shanshui-play >/dev/null
    set +e
    (set -e; start_pods; speak_to_pods)
    status=$?
    set -e
    clear_pods
    [ "$status" -eq 0 ] || return "$status"
    printf 'ok  kube play: all of it, nothing is left\n'
}

start_pods() {
    play nats
    play s3
    in_play /m busybox wget -q -O /dev/null http://s3:8333/healthz
    play streams
    [ "$(timeout 60 podman wait streams-streams)" = 0 ] || die "streams apply failed: $(podman logs streams-streams 2>&1 | tail -n 3)"
    printf 'ok  kube play: nats and s3 run as in the cluster, the Job streams is complete\n'
    in_play "$models/whisper-base" rclone copy /m :s3:shanshui/models/whisper-base || die "cannot put the weights into the bucket"
    play transcribe
    play paint
    play reconcile
    printf 'ok  kube play: %s\n' "$(podman logs transcribe-check-weights 2>&1 | tail -n 1)"
}

play() {
    podman kube play --build=false --network shanshui-play "$boxes/pods/$1.yaml" >"$boxes/play.log" 2>&1 ||
        { cat "$boxes/play.log" >&2; die "pod $1 does not start"; }
}

# in_play FOLDER COMMAND...: in the pods' network, with the store's keys; FOLDER is at /m. Tries for a minute.
in_play() {
    local _ image=docker.io/rclone/rclone:1.75.2
    [ -d "$1" ] || set -- "$boxes/pods" "${@:2}"
    for _ in $(seq 20); do
        timeout 60 podman run --rm --network shanshui-play --tmpfs /tmp --volume "$1:/m:ro" --entrypoint "$2" \
            --env RCLONE_CONFIG=/tmp/c --env RCLONE_S3_PROVIDER=Other --env RCLONE_S3_ENDPOINT=http://s3:8333 \
            --env RCLONE_S3_ACCESS_KEY_ID="$(sed -n 's/^SHANSHUI_S3_ACCESS_KEY=//p' "$root/secrets/s3.env")" \
            --env RCLONE_S3_SECRET_ACCESS_KEY="$(sed -n 's/^SHANSHUI_S3_SECRET_KEY=//p' "$root/secrets/s3.env")" \
            "$image" "${@:3}" >"$boxes/play.log" 2>&1 && return
        sleep 3
    done
    tail -n 3 "$boxes/play.log" >&2
    return 1
}

speak_to_pods() {
    local start=$SECONDS
    network=shanshui-play client tenant-a say /speech/cat.wav --out /tmp >"$boxes/say.log" 2>&1 ||
        { cat "$boxes/say.log" >&2; die "say failed"; }
    printf 'ok  kube play: a sentence through the pods as tenant-a, %s s\n' "$((SECONDS - start))"
}

clear_pods() {
    podman pod rm --all --force >/dev/null 2>&1 || true
    podman secret rm --all >/dev/null 2>&1 || true
    podman volume rm --all --force >/dev/null 2>&1 || true
    podman network rm shanshui-play >/dev/null 2>&1 || true
}
