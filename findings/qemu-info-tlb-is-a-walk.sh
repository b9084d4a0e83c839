#!/usr/bin/env bash
# Expected: `info tlb` of QEMU's monitor, by its name, lists the translations that are cached.
# Seen: it walks the page tables. Here a guest changes an entry and flushes nothing: its reads still come from the old frame, and
# `info tlb` of that moment names the new one.
# Matters: whoever hunts a missing flush with it sees that all is well, since what it shows is what a flush would bring.
source "$(dirname "$0")/install.bash"
debian "qemu-system-x86=$qemu_version"
kernel <<'K'
main:
    mov dword [page_a], 0xAAAAAAAA
    mov dword [page_b], 0xBBBBBBBB
    mov dword [table + 0x200 * 4], page_a + 3
    invlpg [0x200000]
    mov eax, [0x200000]
    mov dword [table + 0x200 * 4], page_b + 3   ; and no INVLPG
    mov eax, [0x200000]
    call hex
    mov eax, page_a
    call hex
    mov eax, page_b
    call hex
    mov al, 10
    out 0xE9, al
    jmp $
K
{ sleep 3; echo "info tlb"; sleep 1; echo quit; } | qemu -m 16 -nodefaults -display none -vga none -kernel "$tmp/kernel.elf" \
    -debugcon "file:$tmp/said" -monitor stdio >"$tmp/monitor" 2>/dev/null || true
read -r value page_a page_b <"$tmp/said"
listed=$(sed -n 's/\r//; s/^0*200000: 0*\([0-9a-f]*\) .*/\1/p' "$tmp/monitor" | head -n 1)
shown=neither
((16#$listed != 16#$page_a)) || shown="the old frame"
((16#$listed != 16#$page_b)) || shown="the new frame"
expect "the guest reads (aaaaaaaa: the old frame); info tlb names" "$value; $shown" "aaaaaaaa; the new frame"
