#!/usr/bin/env bash
# Expected: a page fault for a reserved bit says so in bit 3 of its error code and sets bit 0, too: the entry was present
# (SDM 3A, 4.7): 9 for a read in ring 0.
# Seen: QEMU 7.2 delivers 8, a combination that the manual rules out.
# Matters: handlers test bit 0 first, to tell absent pages from violated rights. A corrupt entry is taken for an absent page there,
# and a demand-paging kernel maps over it without a word.
source "$(dirname "$0")/install.bash"
debian "qemu-system-x86=$qemu_version"
kernel <<'K'
main:
    GATE 14, fault
    mov eax, cr4
    or eax, 16                                  ; CR4.PSE
    mov cr4, eax
    mov dword [directory + 4], 0x00600083       ; 400000h: a 4 MB page with bit 21 set
    mov eax, [0x400000]
    ret
fault:
    mov eax, [esp]
    call hex
    mov eax, directory
    mov dword [directory + 4], 0x00000083
    mov cr3, eax
    add esp, 4
    iretd
K
expect "error code (by the manual: 00000009)" "$(boot)" "00000008"
