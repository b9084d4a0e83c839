#!/usr/bin/env bash
# Expected: in 32-bit code behind prefix 66h near branches have a 16-bit offset and clear the upper half of EIP (SDM 2A, CALL, JMP,
# Jcc: "if OperandSize = 16 then EIP := EIP AND FFFFh"): all of these go to an address below 10000h.
# Seen: Capstone 4.0.2 shows that for CALL; JMP, Jcc and LOOP keep the upper half.
# Matters: a control-flow graph or a breakpoint at "the branch's target" taken from its text is wrong for those, and right for CALL.
source "$(dirname "$0")/install.bash"
debian capstone-tool=4.0.2-5
targets=
for code in 66e80000 660f840000 66eb10 66e2fe; do
    targets+=$(from_root usr/bin/cstool x32 "$code" 12345678 | awk '{printf "%s %s; ", $(NF-1), $NF}')
done
expect "branches at 12345678h with 16-bit operands" "${targets%; }" "call 0x567c; je 0x1234567d; jmp 0x1234568b; loop 0x12345679"
