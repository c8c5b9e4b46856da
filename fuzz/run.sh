# Sourced by ./dev: builds and runs the fuzz targets. Uses its $root, $scratch, $children, say, die, need_tools.
# shellcheck shell=bash disable=SC2154

# What libFuzzer wants to know of the code, in flags that a stable compiler takes.
coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
-Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 --cfg fuzzing"

fuzz() {
    local seconds=60 host
    if [[ ${1:-} =~ ^[0-9]+$ ]]; then seconds=$1; shift; fi
    local all targets=("$@")
    all=$(sed -n 's/^path = "targets\/\(.*\)\.rs"$/\1/p' "$root/fuzz/Cargo.toml")
    [ ${#targets[@]} -gt 0 ] || mapfile -t targets <<<"$all"
    local target
    for target in "${targets[@]}"; do
        grep -qx -- "$target" <<<"$all" || die "no fuzz target $target; there are: $(tr '\n' ' ' <<<"$all")"
    done
    need_tools
    host=$(rustc -vV | sed -n 's/^host: //p')
    say "build the fuzz targets (the first time takes some minutes)"
    # With a target given, build scripts and macros stay without instrumentation.
    (cd "$root/fuzz" && RUSTFLAGS="$coverage" CARGO_TARGET_DIR=$root/fuzz/target cargo build --bins --locked --target "$host")
    fuzz_all "$root/fuzz/target/$host/debug" "$seconds" "${targets[@]}"
}

# fuzz_all BINARIES SECONDS TARGET...: one after the other, then a table; fails if any did.
fuzz_all() {
    local binaries=$1 seconds=$2 target status failed=0 table place
    # In memory where there is one: some targets write a folder of files for every input.
    place=$(mktemp -d -p "$([ -w /dev/shm ] && echo /dev/shm || echo "${TMPDIR:-/tmp}")" shanshui-fuzz.XXXXXX)
    scratch+=("$place")
    table=$(printf '%-18s %10s %8s %8s %8s  %s' target runs per-sec edges corpus result)
    for target in "${@:3}"; do
        say "fuzz $target for $seconds s"
        status=0
        fuzz_one "$binaries/$target" "$seconds" "$place" || status=$?
        [ "$status" -eq 0 ] || failed=1
        table+=$'\n'$(fuzz_line "$target" "$root/fuzz/target/log/$target.log" "$status")
    done
    printf '%s\n' "$table"
    return "$failed"
}

# What is found goes to fuzz/target/corpus and fuzz/target/artifacts; the seeds stay as they are.
fuzz_one() {
    local target seeds out=$root/fuzz/target pid
    target=$(basename "$1")
    mkdir -p "$out/corpus/$target" "$out/artifacts/$target" "$out/log"
    seeds=("$root/fuzz/corpus/$target")
    [ "$target" != audio ] || seeds=("$root/tests/data/audio")
    TMPDIR=$3 "$1" "$out/corpus/$target" "${seeds[@]}" -max_total_time="$2" -rss_limit_mb=512 -timeout=5 -max_len=65536 \
        -artifact_prefix="$out/artifacts/$target/" -print_final_stats=1 >"$out/log/$target.log" 2>&1 &
    pid=$!
    children+=("$pid")
    local status=0
    wait "$pid" || status=$?
    children=()
    return "$status"
}

fuzz_line() {
    local runs edges corpus result=ok
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$2")
    edges=$(grep -o 'cov: [0-9]*' "$2" | tail -n 1 | cut -c 6-)
    corpus=$(grep -o 'corp: [0-9]*' "$2" | tail -n 1 | cut -c 7-)
    if [ "$3" -ne 0 ]; then
        result="FAILED, see fuzz/target/log/$1.log"
        tail -n 30 "$2" >&2
    fi
    printf '%-18s %10s %8s %8s %8s  %s' "$1" "${runs:--}" "$(sed -n 's/^stat::average_exec_per_sec: *//p' "$2")" "${edges:--}" "${corpus:--}" "$result"
}
