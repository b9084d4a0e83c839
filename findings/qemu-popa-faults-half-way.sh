#!/usr/bin/env bash
# Expected: an instruction that faults leaves the registers as they were (SDM 3A, 6.5), so that it can be restarted.
# Seen: on QEMU 7.2 a POPA whose frame runs into an absent page has changed EDI and ESI by the time its page fault is delivered.
# Matters: a fault handler that looks at the interrupted registers (a debugger, a tracer, a kernel that finds the stack
# pointer's owner) sees a state that no processor ever has.
source "$(dirname "$0")/install.bash"
debian "qemu-system-x86=$qemu_version"
kernel <<'K'
main:
    GATE 14, fault
    mov [saved], esp
    mov dword [table + 0x201 * 4], 0            ; 201000h: absent
    invlpg [0x201000]
    mov dword [0x200FF8], 0x11111111
    mov dword [0x200FFC], 0x22222222
    mov edi, 0xDDDDDDDD
    mov esi, 0xEEEEEEEE
    mov esp, 0x200FF8
    popad
fault:
    mov esp, [saved]
    mov eax, edi
    call hex
    mov eax, esi
    jmp hex
saved: dd 0
K
expect "EDI, ESI in the handler (by the manual: dddddddd eeeeeeee)" "$(boot)" "11111111 22222222"
