#!/usr/bin/env bash
# Expected: a page fault drops the translation of its address (SDM 3A, 4.10.4.1). Here a cached read-only page is written; the
# handler points the entry at another frame, flushes nothing, and skips the write: the next read comes from the new frame.
# Seen: on QEMU 7.2 it comes from the old one.
# Matters: handlers that replace a frame on a fault may rely on the rule and leave INVLPG out. On QEMU such a kernel reads old
# data, on a processor never; whoever finds the bug there looks for it in vain on hardware.
source "$(dirname "$0")/install.bash"
debian "qemu-system-x86=$qemu_version"
kernel <<'K'
main:
    GATE 14, fault
    mov dword [page_a], 0xAAAAAAAA
    mov dword [page_b], 0xBBBBBBBB
    mov dword [table + 0x200 * 4], page_a + 1   ; 200000h: page_a, read only
    invlpg [0x200000]
    mov eax, [0x200000]                         ; cached
write:
    mov dword [0x200000], 0x12345678            ; faults
written:
    mov eax, [0x200000]
    jmp hex
fault:
    mov dword [table + 0x200 * 4], page_b + 1
    add dword [esp + 4], written - write
    add esp, 4
    iretd
K
expect "read behind the fault (by the manual: bbbbbbbb)" "$(boot)" "aaaaaaaa"
