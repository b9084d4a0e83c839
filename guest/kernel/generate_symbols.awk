# Reads `nm -n kernel` and writes the assembler source of the kernel's table of function names.
BEGIN {
    print "    .section .symbol_table, \"a\""
    print "    .global symbol_table"
    print "    .align 4"
    print "symbol_table:"
    count = 0
}
$2 ~ /^[tT]$/ && $1 ~ /^c/ && $3 !~ /^\./ && $3 !~ /^kernel_text/ {
    printf "    .long 0x%s, name_%d\n", $1, count
    names[count] = $3
    count++
}
END {
    print "    .global symbol_count"
    print "symbol_count:"
    printf "    .long %d\n", count
    for (i = 0; i < count; i++) {
        printf "name_%d: .asciz \"%s\"\n", i, names[i]
    }
    print "    .section .note.GNU-stack, \"\", @progbits"
}
