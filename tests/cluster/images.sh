# Base images made on the spot, for a machine that reaches no registry of images: Debian by debootstrap, and
# busybox with one program in place of images that hold little else. Sourced by ./dev.

# Debian's crun needs cgroups that a container of a build machine does not have; runc does not.
prepare_podman() {
    local missing=()
    has podman || missing+=(podman)
    has buildah || missing+=(buildah)
    has runc || missing+=(runc)
    has debootstrap || missing+=(debootstrap)
    has prometheus || missing+=(prometheus)
    [ -x /usr/bin/catatonit ] || missing+=(catatonit)
    [ -x /usr/lib/cni/dnsname ] || missing+=(golang-github-containernetworking-plugin-dnsname dnsmasq-base)
    has busybox && ! ldd "$(command -v busybox)" >/dev/null 2>&1 || missing+=(busybox-static)
    [ ${#missing[@]} -eq 0 ] || install "${missing[@]}"
    boxes=$cache/containers
    mkdir -p "$boxes"
    printf '[containers]\ndefault_ulimits = ["nofile=4096:4096","nproc=4096:4096"]\n[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n' >"$boxes/containers.conf"
    printf '[storage]\ndriver = "overlay"\nrunroot = "%s/run"\ngraphroot = "%s/graph"\n' "$boxes" "$boxes" >"$boxes/storage.conf"
    export CONTAINERS_CONF=$boxes/containers.conf CONTAINERS_STORAGE_CONF=$boxes/storage.conf
}

debian=docker.io/library/debian:bookworm-slim

need_debian() {
    podman image exists "$debian" && return
    say "make a base image of Debian 12 with debootstrap (about a minute)"
    local tree=$boxes/debian
    rm -rf "$tree"
    debootstrap --variant=minbase bookworm "$tree" >"$boxes/debootstrap.log" 2>&1 || die "debootstrap failed: $boxes/debootstrap.log"
    tar -C "$tree" --exclude=./var/cache/apt --exclude=./dev -c . | podman import --quiet - "$debian" >/dev/null
    rm -rf "$tree"
}

# stand_in IMAGE [PROGRAM NAME]: busybox, and a program that needs no library.
stand_in() {
    podman image exists "$1" && return
    say "make a stand-in for $1"
    local tree
    tree=$(mktemp -d "$boxes/tree.XXXXXX")
    scratch+=("$tree")
    mkdir -p "$tree"/{bin,etc,tmp,usr/local/bin,run/secrets}
    chmod 1777 "$tree/tmp"
    cp "$(command -v busybox)" "$tree/bin/busybox"
    local applet
    for applet in sh wget nc mkdir chown cat; do ln -s busybox "$tree/bin/$applet"; done
    [ $# -lt 3 ] || { cp "$2" "$tree/usr/local/bin/$3" && chmod 755 "$tree/usr/local/bin/$3"; }
    tar -C "$tree" -c . | podman import --quiet --change 'ENV PATH=/usr/local/bin:/bin' ${3:+--change "ENTRYPOINT [\"$3\"]"} - "$1" >/dev/null
}

# Debian's Prometheus is linked to its libraries.
stand_in_prometheus() {
    podman image exists "$1" && return
    say "make a stand-in for $1"
    local tree
    tree=$(mktemp -d "$boxes/tree.XXXXXX")
    scratch+=("$tree")
    cp "$(command -v busybox)" "$(command -v prometheus)" "$tree"
    printf 'FROM %s\nCOPY prometheus /bin/prometheus\nCOPY busybox /usr/bin/wget\nRUN mkdir /prometheus && chown 65534:65534 /prometheus\nENTRYPOINT ["/bin/prometheus"]\n' "$debian" >"$tree/Dockerfile"
    buildah bud --isolation chroot --pull=never --quiet -t "$1" "$tree" >/dev/null
}

image_of() { sed -n "s|^    image: \(docker.io/$1:.*\)|\1|p" "$root/compose.yaml"; }

need_stand_ins() {
    need_debian
    stand_in "$(image_of library/busybox)"
    stand_in "$(image_of library/nats)" "$server" nats-server
    stand_in "$(image_of chrislusf/seaweedfs)" "$(weed)" weed
    stand_in_prometheus "$(image_of prom/prometheus)"
}

# The SeaweedFS that the tests use.
weed() { find "$cache/foreign" -name weed -type f -perm -u+x | head -1; }
