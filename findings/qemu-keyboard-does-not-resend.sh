#!/usr/bin/env bash
# Expected: a PS/2 keyboard answers FEh (resend) with the byte that it sent last: after F2h -> FA AB 83, that is 83.
# Seen: QEMU 7.2's keyboard answers FE, as it does to a command that it does not know.
# Matters: a driver that recovers from a lost byte by asking again reads FE, takes it as another request to resend, and loops
# or gives the keyboard up; the path cannot be tested there.
source "$(dirname "$0")/install.bash"
debian "qemu-system-x86=$qemu_version"
expect "identify (F2h), then resend (FEh)" \
    "$(ports <<<$'outb 0x60 0xf2\ninb 0x60\ninb 0x60\ninb 0x60\noutb 0x60 0xfe\ninb 0x60')" "fa ab 83 fe"
