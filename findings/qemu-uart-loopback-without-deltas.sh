#!/usr/bin/env bash
# Expected: in loopback (MCR bit 4) the modem inputs are MCR's outputs, and MSR bits 3:0 tell which of them changed since MSR
# was read last (NS16550A data sheet, 8.7 and 8.8): raising DTR and RTS reads 33h, then 30h.
# Seen: QEMU 7.2 reads 30h both times: the inputs follow, the change bits never do.
# Matters: loopback is how a driver tests modem-status interrupts without a cable; on QEMU they never come.
source "$(dirname "$0")/install.bash"
debian "qemu-system-x86=$qemu_version"
expect "MSR with all off, with DTR and RTS raised, and once more" \
    "$(ports -chardev null,id=line -device isa-serial,chardev=line \
        <<<$'outb 0x3fc 0x10\ninb 0x3fe\noutb 0x3fc 0x13\ninb 0x3fe\ninb 0x3fe')" "00 30 30"
