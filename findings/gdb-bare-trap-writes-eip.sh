#!/usr/bin/env bash
# Expected: a stub that keeps breakpoints apart from memory (Z0) stops with `T05` and the address of the breakpoint, and gdb
# believes it.
# Seen: where the byte before has a breakpoint too, gdb takes the address for that of the byte behind an INT3, and writes EIP one
# lower: the instruction is executed again. With `swbreak` announced in qSupported and given as the reason, it does not.
# Matters: an emulator or a kernel's own stub corrupts its guest, and only where one-byte instructions lie side by side.
source "$(dirname "$0")/install.bash"
debian "gdb=13.1-3"
cat >"$tmp/stub.py" <<'PY'
"""A processor that jumps to 0x1001 and stops there; says on stdout what gdb writes into its registers."""
import re, socket, sys
named = sys.argv[1] == "named"
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
wire = server.accept()[0]
registers = bytearray(16 * 4)
registers[32:36] = (0x800).to_bytes(4, "little")
text = b""
while True:
    data = wire.recv(4096)
    if not data:
        break
    text += data
    while match := re.search(rb"\$([^#]*)#..", text):
        text, packet = text[match.end():], match[1].decode()
        answer = ""
        if packet.startswith("qSupported"):
            answer = "PacketSize=1000" + (";swbreak+" if named else "")
        elif packet == "?":
            answer = "T05"
        elif packet == "g":
            answer = registers.hex()
        elif packet.startswith("m"):
            answer = "90" * int(packet.split(",")[1], 16)
        elif packet[0] in "Zz":
            answer = "OK"
        elif packet[0] in "cs" or packet.startswith("vCont;"):
            registers[32:36] = (0x1001).to_bytes(4, "little")
            answer = "T05swbreak:;" if named else "T05"
        elif packet[0] == "G":
            registers[:] = bytes.fromhex(packet[1:])[:64]
            print("EIP=%x" % int.from_bytes(registers[32:36], "little"), flush=True)
            answer = "OK"
        elif packet[0] == "P":
            number, value = packet[1:].split("=")
            if number == "8":
                print("EIP=%x" % int.from_bytes(bytes.fromhex(value), "little"), flush=True)
            answer = "OK"
        elif packet == "vCont?":
            answer = "vCont;c;C;s;S"
        body = answer.encode()
        wire.sendall(b"+$" + body + b"#%02x" % (sum(body) & 255))
PY
written() {
    python3 "$tmp/stub.py" "$1" >"$tmp/said" &
    local port=
    until port=$(head -n 1 "$tmp/said") && [[ -n $port ]]; do sleep 0.1; done
    timeout 30 "$root/lib64/ld-linux-x86-64.so.2" --library-path "$root/lib/x86_64-linux-gnu:$root/usr/lib/x86_64-linux-gnu" \
        "$root/usr/bin/gdb" -nx -q -batch -data-directory "$root/usr/share/gdb" -ex "set architecture i386" \
        -ex "target remote 127.0.0.1:$port" -ex "break *0x1000" -ex "break *0x1001" -ex continue -ex detach >/dev/null 2>&1 || true
    wait
    sed -n 2p "$tmp/said"
}
expect "gdb writes, after a bare T05; with swbreak" "$(written bare); $(written named)" "EIP=1000; "
