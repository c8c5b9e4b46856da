# Runs the tests. Sourced by ./dev, with its variables and functions.

# Targets whose tests wait for servers and clocks. They run beside all others, which compute.
waiting=(chaos cli enlarge it store worker)

run_tests() {
    cd "$root"
    # As the program sets it for itself: candle would read /proc/cpuinfo at every product.
    export RAYON_NUM_THREADS=${RAYON_NUM_THREADS:-$(nproc)}
    local log status=0
    log=$(mktemp)
    scratch+=("$log")
    if [ $# -gt 0 ]; then
        need_models
        need_foreign
        say "run these tests"
        cargo_test "$@" 2>&1 | tee "$log" || status=$?
    else
        build_and_fetch
        both_lanes "$log" || status=$?
    fi
    sum_up "$log" || status=1
    return "$status"
}

cargo_test() { cargo test --workspace --no-fail-fast --locked "${features[@]}" "$@"; }

# Downloads wait for the network while the compiler computes.
build_and_fetch() {
    need_tools
    say "fetch what the tests need, and build them"
    (
        children=() scratch=()
        trap clean_up EXIT
        need_models
        need_foreign
    ) &
    children+=($!)
    cargo_test --no-run
    wait "${children[-1]}" || true
    unset 'children[-1]'
    # What is there already is only checked; what failed is tried once more, and says why.
    need_models
    need_foreign
}

both_lanes() {
    local log=$1 beside status=0 name wait_for=() compute=()
    for name in $(test_targets); do
        case " ${waiting[*]} " in
            *" $name "*) wait_for+=(--test "$name") ;;
            *) compute+=(--test "$name") ;;
        esac
    done
    beside=$(mktemp)
    scratch+=("$beside")
    say "run every test: ${waiting[*]} run beside the others, and their lines come at the end"
    cargo_test "${wait_for[@]}" >"$beside" 2>&1 &
    children+=($!)
    compute "${compute[@]}" 2>&1 | tee "$log" || status=$?
    wait "${children[-1]}" || status=$?
    unset 'children[-1]'
    tee -a "$log" <"$beside"
    return "$status"
}

compute() {
    local status=0
    cargo_test --lib --bins "$@" || status=$?
    cargo_test --doc || status=$?
    return "$status"
}

# Names of all test targets, each once.
test_targets() {
    cargo metadata --no-deps --format-version 1 --locked | python3 -c '
import json, sys
packages = json.load(sys.stdin)["packages"]
print(*sorted({target["name"] for package in packages for target in package["targets"] if "test" in target["kind"]}))'
}

# The last line is the result; a test that is ignored has not been run, so it fails too.
sum_up() {
    local passed failed ignored
    read -r passed failed ignored < <(awk '/^test result:/ { p += $4; f += $6; i += $8 } END { print p + 0, f + 0, i + 0 }' "$1")
    [ "$ignored" -eq 0 ] || complain "$ignored tests are ignored: a test that nobody runs proves nothing"
    printf '%s passed, %s failed\n' "$passed" "$failed"
    [ "$passed" -gt 0 ] && [ "$failed" -eq 0 ] && [ "$ignored" -eq 0 ]
}
