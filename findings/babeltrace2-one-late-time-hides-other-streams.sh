#!/usr/bin/env bash
# Expected: a CTF trace whose clock counts in 64 bits can hold any of them; a reader that cannot show one time shows the others.
# Seen: babeltrace2 2.0.4 computes signed 64-bit nanoseconds: a time of 2^63 in one stream ends the conversion with an error, and
# what other streams hold behind it in the merge, though earlier, is not shown: of five valid events one is.
# Matters: counters as clocks (cycles, instructions since power-on with a guest's offset) reach the upper half; export relative times.
source "$(dirname "$0")/install.bash"
debian babeltrace2=2.0.4-1+b6
trace() { # FOLDER TIMES TIMES: a CTF 1.8 trace of two streams with an event at each time
    mkdir "$tmp/$1"
    cat >"$tmp/$1/metadata" <<'M'
/* CTF 1.8 */
typealias integer { size = 32; align = 8; signed = false; } := uint32_t;
typealias integer { size = 64; align = 8; signed = false; } := uint64_t;
clock { name = cycles; freq = 1000000000; };
typealias integer { size = 64; align = 8; signed = false; map = clock.cycles.value; } := time_t;
trace { major = 1; minor = 8; byte_order = le; packet.header := struct { uint32_t magic; uint32_t stream_id; }; };
stream { id = 0; event.header := struct { uint32_t id; time_t timestamp; };
         packet.context := struct { uint64_t content_size; uint64_t packet_size; }; };
event { name = fault; id = 0; stream_id = 0; fields := struct { uint32_t address; }; };
M
    python3 - "$tmp/$1" "$2" "$3" <<'P'
import struct, sys
for number, times in enumerate(sys.argv[2:]):
    body = b"".join(struct.pack("<IQI", 0, int(time, 0), 0x1000) for time in times.split())
    bits = (24 + len(body)) * 8
    with open(f"{sys.argv[1]}/stream{number}", "wb") as file:
        file.write(struct.pack("<IIQQ", 0xC1FC1FC1, 0, bits, bits) + body)
P
}
shown() {
    LIBBABELTRACE2_PLUGIN_PROVIDER_DIR=$root/usr/lib/x86_64-linux-gnu/babeltrace2/plugin-providers \
        BABELTRACE_PLUGIN_PATH=$root/usr/lib/x86_64-linux-gnu/babeltrace2/plugins from_root usr/bin/babeltrace2 "$tmp/$1" 2>/dev/null |
        grep -c fault || true
}
trace early "5 20" "6 7 8 9"
trace late "5 0x8000000000000000" "6 7 8 9"
expect "events shown with times 5, 20 | 6, 7, 8, 9; with 5, 2^63 | 6, 7, 8, 9" "$(shown early), $(shown late)" "6, 1"
