# Builds the program for NVIDIA GPUs on a machine that has neither a GPU nor the toolkit. Sourced by ./dev, with its
# variables and functions.

# The oldest GPU that must run it, without the point: 80 is Ampere. Newer ones compile its kernels when they first
# start.
compute_cap=${CUDA_COMPUTE_CAP:-80}

cuda() {
    local profile=${1:-local} kind=${2:-cudnn} place=$cache/cuda start
    case $kind in cuda | cudnn) ;; *) die "cuda: $kind is not allowed; allowed: cuda, cudnn" ;; esac
    need_models
    build
    need_toolkit "$place"
    say "build with the feature $kind for compute capability $compute_cap (a first build takes 10 minutes)"
    start=$SECONDS
    (cd "$root" && in_toolkit "$place" cargo build --profile "$profile" --package shanshui --package shanshui-paint \
        --bin shanshui --example gpu "${features[@]}" --features "shanshui/$kind" --locked)
    start=$((SECONDS - start))
    bundle "$place" "$profile" "$kind"
    check_words "$place"
    cuda_report "$place/bundle/shanshui-cuda" "$kind" "$start"
}

# bundle PLACE PROFILE FEATURE: what tests/bench/gpu.py needs, in a folder that can be carried to a machine with a GPU.
bundle() {
    local bundle=$1/bundle made=$1/target/$2
    mkdir -p "$bundle/models"
    cp -r "$root/models/mini" "$models/whisper-base" "$bundle/models/"
    cp "$server" "$bundle/nats-server"
    strip -o "$bundle/gpu-$3" "$made/examples/gpu"
    strip -o "$bundle/shanshui-cuda" "$made/shanshui"
    strip -o "$bundle/shanshui" "$target/local/shanshui"
}

# need_toolkit PLACE: PLACE/toolkit is laid out as NVIDIA's installer does it.
need_toolkit() {
    local nvidia toolkit=$1/toolkit
    make_venv "$1/venv" "$root/deploy/cuda/requirements.txt"
    nvidia=$("$1/venv/bin/python" -c 'import nvidia; print(list(nvidia.__path__)[0])')
    rm -rf "$toolkit"
    mkdir -p "$toolkit/bin" "$toolkit/include" "$toolkit/lib64"
    ln -s "$root/deploy/cuda/nvcc" "$toolkit/bin/nvcc"
    printf '%s\n' "$nvidia/cu13/bin/nvcc" >"$toolkit/nvcc.path"
    ln -s "$nvidia"/cu13/include/* "$nvidia"/cudnn/include/* "$toolkit/include"
    link_libraries "$toolkit/lib64" "$nvidia"/cu13/lib/*.so.* "$nvidia"/cudnn/lib/*.so.*
    stand_in "$toolkit/lib64"
}

# link_libraries FOLDER FILES...: the wheels lack the names that a linker looks for.
link_libraries() {
    local file name
    for file in "${@:2}"; do
        name=$(basename "$file")
        ln -sf "$file" "$1/$name"
        ln -sf "$file" "$1/${name%%.so.*}.so"
    done
}

# The driver's library comes with the driver. To link against it, its names are enough: those that cudarc declares.
stand_in() {
    local cudarc
    (cd "$root" && cargo fetch --locked --quiet)
    cudarc=$(cd "$root" && cargo metadata --format-version 1 --locked --features shanshui/cuda |
        python3 -c 'import json, sys
print(next(p["manifest_path"] for p in json.load(sys.stdin)["packages"] if p["name"] == "cudarc"))')
    grep -ohE '\bfn cu[A-Z][A-Za-z0-9_]*' "$(dirname "$cudarc")/src/driver/sys/mod.rs" | sed 's/^fn //' | sort -u |
        grep -vxFf <(sed -n 's/^int \(cu[A-Za-z]*\)(.*/\1/p' "$root/deploy/cuda/driver.c") |
        sed 's/.*/int &(void) { return 100; }/' |
        cat "$root/deploy/cuda/driver.c" - | cc -shared -fPIC -x c - -Wl,-soname,libcuda.so.1 -o "$1/libcuda.so"
}

# in_toolkit PLACE COMMAND...
in_toolkit() {
    local toolkit=$1/toolkit
    env CUDA_HOME="$toolkit" CUDA_PATH="$toolkit" CUDA_ROOT="$toolkit" CUDA_TOOLKIT_ROOT_DIR="$toolkit" \
        NVCC="$toolkit/bin/nvcc" SHANSHUI_NVCC="$(cat "$toolkit/nvcc.path")" PATH="$toolkit/bin:$PATH" \
        CUDA_COMPUTE_CAP="$compute_cap" CARGO_TARGET_DIR="$1/target" LIBRARY_PATH="$toolkit/lib64" "${@:2}"
}

# check_words PLACE: what both programs say of machines that have less than all.
check_words() {
    local bundle=$1/bundle libraries=$1/toolkit/lib64 empty
    empty=$(mktemp -d)
    scratch+=("$empty")
    says "the NVIDIA driver is missing: there is no libcuda.so.1" env -u LD_LIBRARY_PATH "$bundle/shanshui" gpus
    ln -s "$libraries/libcuda.so" "$empty/libcuda.so.1"
    says ".so.[0-9]* is missing, which" env LD_LIBRARY_PATH="$empty" "$bundle/shanshui" gpus
    local driver=(env LD_LIBRARY_PATH="$empty:$libraries" "$bundle/shanshui")
    says "the NVIDIA driver says: no CUDA-capable device is detected" "${driver[@]}" gpus
    export STAND_IN_GPUS=2 STAND_IN_VERSION=12040
    says "the NVIDIA driver knows CUDA 12.4; this program needs" "${driver[@]}" gpus
    STAND_IN_VERSION=13000
    says "cuda:1 stand-in 1" "${driver[@]}" gpus
    says "which has 2 GPUs: cuda:0 to cuda:1" "${driver[@]}" paint --paint-device cuda:2
    unset STAND_IN_GPUS STAND_IN_VERSION
}

# says PATTERN COMMAND...
says() {
    local said
    said=$("${@:2}" 2>&1) || true
    grep -q -- "$1" <<<"$said" || die "it does not say \"$1\" but: $said"
    say "it says: $said"
}

# cuda_report PROGRAM FEATURE SECONDS
cuda_report() {
    say "$1"
    printf 'feature: %s; compute capability: %s; nvcc: %s\n' "$2" "$compute_cap" \
        "$(in_toolkit "$cache/cuda" nvcc --version | sed -n 's/.*, V//p')"
    printf 'size: %s bytes; seconds: %s\n' "$(stat -c %s "$1")" "$3"
    readelf --dynamic --wide "$1" | sed -n 's/.*Shared library: /needs: /p'
}
