#!/usr/bin/env bash
# Expected: Capstone's details say of each operand whether it is read or written; FSTP m32 stores, CMPXCHG m, r may store.
# Seen: version 4.0.2 calls the memory operand of both READ and nothing else.
# Matters: a tool that asks which instructions can write memory (watchpoints, taint, "who changed this page-table entry") goes
# by this access field and misses them; CMPXCHG is how kernels change entries that other processors look at.
source "$(dirname "$0")/install.bash"
debian capstone-tool=4.0.2-5
access() { from_root usr/bin/cstool -d x32 "$1" | sed -n 's/.*operands\[0\].access: //p'; }
expect "memory operand of FSTP [ebx], of CMPXCHG [ecx], eax, of MOV [ecx], eax" \
    "$(access d91b), $(access 0fb101), $(access 8901)" "READ, READ, WRITE"
