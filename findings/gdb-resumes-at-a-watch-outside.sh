#!/usr/bin/env bash
# Expected: a stub says `T05watch:ADDRESS` with the address of the store that touched watched bytes, and gdb stops.
# Seen: where that store begins below the watched bytes, as an eight-byte one over a watched int may, gdb continues at once and
# tells nobody. It stops if the address is clipped to the first watched byte.
# Matters: a watchpoint misses the very stores that are hardest to find, those meant for something else.
source "$(dirname "$0")/install.bash"
debian "gdb=13.1-3"
cat >"$tmp/stub.py" <<'PY'
"""A processor that stores eight bytes from 0x1ffc on, and says so; on stdout, each time that gdb lets it run."""
import re, socket, sys
address = sys.argv[1]
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
wire = server.accept()[0]
text, stored, runs = b"", 0, 0
while True:
    data = wire.recv(4096)
    if not data:
        break
    text += data
    while match := re.search(rb"\$([^#]*)#..", text):
        text, packet = text[match.end():], match[1].decode()
        answer = ""
        if packet.startswith("qSupported"):
            answer = "PacketSize=1000;swbreak+;hwbreak+"
        elif packet == "?":
            answer = "T05"
        elif packet == "g":
            answer = "00" * 64
        elif packet.startswith("m"):
            answer = ("%02x" % stored) * int(packet.split(",")[1], 16)
        elif packet[0] in "Zz":
            answer = "OK"
        elif packet == "vCont?":
            answer = "vCont;c;C;s;S"
        elif packet[0] in "cs" or packet.startswith("vCont;"):
            stored = 1
            runs += 1
            print("run", flush=True)
            answer = "T05watch:%s;" % address if runs == 1 else "W00"
        body = answer.encode()
        wire.sendall(b"+$" + body + b"#%02x" % (sum(body) & 255))
PY
runs() {
    python3 "$tmp/stub.py" "$1" >"$tmp/said" &
    local port=
    until port=$(head -n 1 "$tmp/said") && [[ -n $port ]]; do sleep 0.1; done
    timeout 30 "$root/lib64/ld-linux-x86-64.so.2" --library-path "$root/lib/x86_64-linux-gnu:$root/usr/lib/x86_64-linux-gnu" \
        "$root/usr/bin/gdb" -nx -q -batch -data-directory "$root/usr/share/gdb" -ex "set architecture i386" \
        -ex "target remote 127.0.0.1:$port" -ex "watch *(int*)0x2000" -ex continue -ex detach >/dev/null 2>&1 || true
    wait
    grep -c run "$tmp/said"
}
expect "gdb lets it run, told of 1ffc; told of 2000" "$(runs 1ffc) times; $(runs 2000) times" "2 times; 1 times"
