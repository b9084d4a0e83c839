#!/usr/bin/env bash
# Forkscope on a Debian that has nothing: makes a minimal Debian 12 in a temporary directory, clones the project's HEAD
# into it, and does there what a newcomer does: ./run, ./run again, ./run test. Prints what each took.
# Needs root and debootstrap. The archive is the one that this machine's apt uses. Exits 77 where it cannot run.
#
#   debootstrap.sh [--keep] [STEP…]    STEPs replace the three steps, for example: debootstrap.sh "./run build"
set -euo pipefail

project=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)
suite=bookworm
keep=no
if [[ ${1-} == --keep ]]; then
    keep=yes
    shift
fi
steps=("./run" "./run --help" "./run test")
(($# == 0)) || steps=("$@")

skip() {
    echo "skipped: $*"
    exit 77
}

# Where the machine's apt gets $suite's main component from.
mirror() {
    apt-get indextargets --format '$(SITE) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
        awk -v suite="$suite" '$2 == suite && $3 == "main" { print $1; exit }'
}

# The lines of sources.list for all of $suite's archives that the machine knows, updates and security included.
sources() {
    apt-get indextargets --format '$(SITE) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
        awk -v suite="$suite" 'index($2, suite) == 1 && $3 == "main" && !seen[$0]++ { print "deb", $1, $2, $3 }'
}

seconds_since() { awk -v now="$EPOCHREALTIME" -v then="$1" 'BEGIN { printf "%.1f", now - then }'; }

make_debian() {
    local archive
    archive=$(mirror)
    [[ -n $archive ]] || skip "this machine's apt has no archive for $suite"
    debootstrap --variant=minbase "$suite" "$tree" "$archive" >"$work/debootstrap.log" 2>&1 || {
        tail -n 20 "$work/debootstrap.log"
        echo "debootstrap failed"
        return 1
    }
    sources >"$tree/etc/apt/sources.list"
    apt-config dump | grep -E '^Acquire::https?::Proxy' >"$tree/etc/apt/apt.conf.d/90proxy" || true
    cp --dereference /etc/resolv.conf /etc/hosts "$tree/etc/"
    git clone --quiet --no-hardlinks "file://$project" "$tree/srv/forkscope"
}

# Runs one step in the new Debian, in name spaces of its own: the mounts vanish with it.
run_step() {
    unshare --mount --pid --fork --kill-child bash -c '
        set -e
        mount -t proc proc "$1/proc"
        mount -t sysfs -o ro sysfs "$1/sys"
        mount --rbind /dev "$1/dev"
        mount -t tmpfs tmpfs "$1/tmp"
        exec chroot "$1" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 TERM=dumb \
            bash -c "cd /srv/forkscope && $2"' bash "$tree" "$1" </dev/null
}

((EUID == 0)) || skip "needs root"
command -v debootstrap >/dev/null || skip "debootstrap is not installed (./run test --long installs it)"
unshare --mount --pid --fork true 2>/dev/null || skip "this machine allows no mount name spaces"

work=$(mktemp -d)
tree=$work/debian
[[ $keep == yes ]] || trap 'rm -rf --one-file-system "$work"' EXIT

start=$EPOCHREALTIME
make_debian
echo "debootstrap: $(seconds_since "$start") s, $(du -sm "$tree" | cut -f1) MB"

failed=0
for step in "${steps[@]}"; do
    start=$EPOCHREALTIME
    status=0
    run_step "$step" >"$work/step.log" 2>&1 || status=$?
    tail -n 25 "$work/step.log" | sed 's/^/    /'
    echo "$step: $(seconds_since "$start") s, status $status"
    ((status == 0)) || failed=1
done
[[ $keep == no ]] || echo "kept: $work"
exit "$failed"
