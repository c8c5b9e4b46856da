# `./dev compose`: the images are built and compose.yaml is run, for real, with podman in place of Docker.
# Sourced by ./dev. The report goes to standard output, one line for each step.

compose() {
    . "$root/tests/cluster/images.sh"
    . "$root/tests/cluster/play.sh"
    need_models
    need_foreign
    need_cluster_tools
    make_venv "$cache/cluster/whole" "$root/tests/cluster/requirements.txt"
    prepare_podman
    need_stand_ins
    local program=${SHANSHUI_PROGRAM:-$target/local/shanshui} status=0
    [ -n "${SHANSHUI_PROGRAM:-}" ] || build
    start_podman
    # In a shell of its own: whatever fails in it, everything is taken down.
    set +e
    (set -e; build_images; bring_up; run_jobs; lose_a_painter; look_at_prometheus)
    status=$?
    set -e
    take_down
    [ "$status" -ne 0 ] || play_pods || status=1
    [ "$secrets_made" = no ] || rm -rf "$root/secrets"
    [ "$status" -eq 0 ] && printf 'ok  compose: all of it\n'
    return "$status"
}

start_podman() {
    secrets_made=$([ -d "$root/secrets" ] && echo no || echo yes)
    "$root/deploy/secrets.sh" "$root/secrets"
    scratch+=("$root/dist")
    rm -f "$boxes/podman.sock"
    podman system service --time 0 "unix://$boxes/podman.sock" >"$boxes/podman.log" 2>&1 &
    children+=($!)
    watch_health &
    children+=($!)
    local _
    for _ in $(seq 50); do [ -S "$boxes/podman.sock" ] && return; sleep 0.1; done
    die "podman does not start: $boxes/podman.log"
}

build_images() {
    local first second
    say "build the image, twice"
    mkdir -p "$root/dist"
    cp "$program" "$root/dist/shanshui"
    first=$(build_image) second=$(build_image)
    [ "$first" = "$second" ] || die "two builds of one source differ: $first $second"
    printf 'ok  image: two builds are the same, %s\n' "${first:0:12}"
    printf 'ok  image: %s MB on the base of %s MB\n' "$(megabytes shanshui:cpu)" "$(megabytes "$debian")"
    local inside
    inside=$(podman run --rm --network none --read-only --cap-drop all --entrypoint sh shanshui:cpu -c \
        'id -u; for tool in python3 cc gcc cargo rustc; do command -v $tool; done; true')
    [ "$inside" = 65532 ] || die "the image has another user, or a compiler or Python: $inside"
    printf 'ok  image: no root, no compiler, no Python\n'
}

build_image() {
    (cd "$root" && buildah bud --isolation chroot --pull=never --quiet --timestamp 0 --no-cache --ignorefile .dockerignore \
        --build-arg PROGRAM=prebuilt --target cpu -f deploy/Dockerfile -t localhost/shanshui:cpu . 2>"$boxes/build.log") ||
        { cat "$boxes/build.log" >&2; die "the image cannot be built"; }
}

megabytes() { echo $(($(podman image inspect --format '{{.Size}}' "$1") / 1000000)); }

# docker compose, against podman's socket.
dc() {
    DOCKER_HOST=unix://$boxes/podman.sock DOCKER_BUILDKIT=0 SHANSHUI_IMAGE=localhost/shanshui:cpu \
        SHANSHUI_WHISPER=whisper-tiny.en "$tools/docker-compose" -f "$root/compose.yaml" -p shanshui-dev "$@"
}

bring_up() {
    services=(nats s3 streams weights transcribe paint reconcile prometheus)
    ! "$root/dist/shanshui" gateway --help >/dev/null 2>&1 || services+=(gateway)
    say "bring up ${services[*]}"
    dc down --volumes --remove-orphans >/dev/null 2>&1 || true
    seed_weights
    local start=$SECONDS
    dc up --no-build --pull never --wait --wait-timeout 300 "${services[@]}" >"$boxes/up.log" 2>&1 ||
        { tail -n 30 "$boxes/up.log" >&2; dc ps -a >&2; die "compose up --wait failed: $boxes/up.log"; }
    printf 'ok  compose: up --wait, %s services, %s s\n' "${#services[@]}" "$((SECONDS - start))"
}

# Podman leaves health checks to systemd, which is not here.
watch_health() {
    local one
    while sleep 1; do
        for one in $(podman ps --format '{{.Names}}'); do podman healthcheck run "$one" >/dev/null 2>&1 || true; done
    done
}

# The hub is out of reach: `models pull` finds the files in the volume, and checks them.
seed_weights() {
    podman volume create --label com.docker.compose.project=shanshui-dev --label com.docker.compose.volume=weights \
        shanshui-dev_weights >/dev/null
    tar -C "$models" --owner 65532 --group 65532 -c whisper-tiny.en | podman volume import shanshui-dev_weights -
}

# client CONFIG COMMAND...: one of our own commands in a container beside the others.
client() { in_container "$1" "" "${@:2}"; }
client_shell() { in_container "$1" bash -c "$2"; }

in_container() {
    podman run --rm --network "${network:-shanshui-dev_default}" --read-only --cap-drop all ${2:+--entrypoint "$2"} \
        --volume "$root/secrets/$1.toml:/run/secrets/$1:ro" --volume "$root/tests/data/speech:/speech:ro" --tmpfs /tmp:mode=1777 \
        --env SHANSHUI_CONFIG="/run/secrets/$1" --env SHANSHUI_NATS_URL=nats://nats:4222 \
        --env SHANSHUI_S3_ENDPOINT=http://s3:8333 --env SHANSHUI_S3_ALLOW_HTTP=true localhost/shanshui:cpu "${@:3}"
}

run_jobs() {
    local start=$SECONDS
    if printf '%s\n' "${services[@]}" | grep -qx gateway; then
        local answer
        answer=$(curl -fsS "http://127.0.0.1:8080/v1/jobs" -H "Authorization: Bearer $(cat "$root/secrets/api-key")" \
            -H 'Prefer: wait=300' -H 'Content-Type: audio/wav' --data-binary "@$root/tests/data/speech/cat.wav")
        grep -q '"state": *"done"' <<<"$answer" || die "the gateway says: $answer"
        printf 'ok  compose: a sentence through the gateway, %s s\n' "$((SECONDS - start))"
    else
        client tenant-a say /speech/cat.wav --out /tmp >"$boxes/say.log" 2>&1 || { cat "$boxes/say.log" >&2; die "say failed"; }
        printf 'ok  compose: a sentence through the queue as tenant-a, %s s (no gateway in this program yet)\n' "$((SECONDS - start))"
    fi
}

lose_a_painter() {
    local start=$SECONDS job lost
    dc up -d --no-build --pull never --no-recreate --scale paint=3 "${services[@]}" >"$boxes/scale.log" 2>&1 || die "cannot scale: $boxes/scale.log"
    local painters
    painters=$(podman ps --filter label=com.docker.compose.service=paint --format '{{.Names}}')
    [ "$(wc -l <<<"$painters")" -eq 3 ] || die "not three painters: $painters"
    # Long enough that the first is still at work when the last is sent.
    client_shell tenant-a 'for job in 1 2 3 4 5 6 7 8; do
        shanshui draw "a red apple" --id lost-$job --steps 60 --count 8 --no-wait; done' >"$boxes/send.log" 2>&1 ||
        { cat "$boxes/send.log" >&2; die "cannot send the jobs"; }
    lost=$(busy_painter) || die "no painter is busy"
    podman kill --signal KILL "$lost" >/dev/null
    for job in $(seq 8); do await_done "lost-$job"; done
    printf 'ok  compose: paint=3, one killed at work, 8 of 8 jobs done, %s s\n' "$((SECONDS - start))"
    client reconcile audit >"$boxes/audit.log" 2>&1 || { cat "$boxes/audit.log" >&2; die "the audit found something"; }
    printf 'ok  compose: audit: %s\n' "$(head -n 4 "$boxes/audit.log" | tr -s "[:space:]" " ")"
}

# The first painter that says that it has a job in hand.
busy_painter() {
    local one
    for _ in $(seq 100); do
        for one in $(podman ps --filter label=com.docker.compose.service=paint --format '{{.Names}}'); do
            if podman exec "$one" bash -c 'exec 3<>/dev/tcp/127.0.0.1/9090; printf "GET /metrics HTTP/1.0\r\n\r\n" >&3; cat <&3' \
                2>/dev/null | grep -q '^shanshui_jobs_in_flight{.*} 1'; then
                echo "$one"
                return
            fi
        done
    done
    return 1
}

await_done() {
    for _ in $(seq 120); do
        if client tenant-a jobs show "$1" 2>/dev/null | grep -qw done; then return; fi
        sleep 1
    done
    client tenant-a jobs show "$1" >&2 || true
    die "job $1 is not done"
}

look_at_prometheus() {
    local up rules
    for _ in $(seq 40); do
        up=$(prometheus_says 'count(up{job="shanshui"}==1)')
        [ "${up:-0}" -lt 4 ] || break
        sleep 1
    done
    [ "${up:-0}" -ge 4 ] || die "Prometheus sees $up parts"
    rules=$(curl -fsS http://127.0.0.1:9091/api/v1/rules | grep -o '"name":"Shanshui' | wc -l)
    printf 'ok  compose: Prometheus scrapes %s parts, has %s alerts, sees %s redeliveries\n' "$up" "$rules" \
        "$(prometheus_says 'sum(shanshui_redelivered_total)')"
}

prometheus_says() {
    curl -fsS --get http://127.0.0.1:9091/api/v1/query --data-urlencode "query=$1" | sed -n 's/.*"value":\[[^,]*,"\([^"]*\)".*/\1/p'
}

take_down() {
    local start=$SECONDS
    dc --profile '*' down --volumes --timeout 30 >"$boxes/down.log" 2>&1 || die "cannot take it down: $boxes/down.log"
    [ -z "$(podman ps -aq)" ] || die "containers are left: $(podman ps -a)"
    # The bridges that podman leaves behind.
    ip link delete cni-podman1 2>/dev/null || true
    ip link delete cni-podman0 2>/dev/null || true
    printf 'ok  compose: down, nothing is left, %s s\n' "$((SECONDS - start))"
}
