#!/usr/bin/env bash
# Expected: bit 4 of port 61h follows the refresh of memory: it changes every 15 us, however often a program looks.
# Seen: QEMU 7.2 changes it at each read, also while the virtual machine is stopped and no time passes.
# Matters: kernels time short delays by counting its changes. On QEMU such a delay lasts as many reads as it counts, so a
# calibration against it measures the speed of IN. A trace that reads the port changes what the guest reads next.
source "$(dirname "$0")/install.bash"
debian "qemu-system-x86=$qemu_version"
expect "port 61h, four reads while no time passes" \
    "$(ports <<<$'inb 0x61\ninb 0x61\ninb 0x61\ninb 0x61')" "30 20 30 20"
