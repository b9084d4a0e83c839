#!/usr/bin/env bash
# Builds the fuzzers and lets them run: fuzz.sh SOURCE BUILD [SECONDS]. SECONDS (3600) for the decoder, machines,
# gdb's clients, conditions and recordings, a sixth of it for snapshots, images, archives and traces. New inputs go to BUILD/new/TARGET, findings to BUILD/found.
# Exits with 77 where there is no clang with libFuzzer, with 1 if anything was found.
set -euo pipefail
source=$1 build=$2 seconds=${3:-3600}

echo 'extern "C" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }' |
    clang++ -fsanitize=fuzzer -x c++ - -o /dev/null 2>/dev/null || {
    echo "no clang with libFuzzer (packages clang and libclang-rt-14-dev): not fuzzing"
    exit 77
}
cmake -S "$source" -B "$build" --preset fuzz >/dev/null
targets=(decoder machine gdb conditions recording snapshot multiboot elf tar trace)
ninja -C "$build" "${targets[@]/#/fuzz_}"
mkdir -p "$build/found"
status=0
for target in "${targets[@]}"; do
    time=$seconds
    [[ $target =~ ^(decoder|machine|gdb|conditions|recording)$ ]] || time=$((seconds / 6))
    mkdir -p "$build/new/$target"
    dictionary=$source/tests/fuzz/dictionaries/$target.dict
    words=()
    [[ ! -f $dictionary ]] || words=(-dict="$dictionary")
    echo "fuzzing $target for $time s"
    "$build/tests/fuzz/fuzz_$target" "${words[@]}" -max_total_time="$time" -timeout=20 -rss_limit_mb=2048 -max_len=2048 \
        -print_final_stats=1 -verbosity=0 -artifact_prefix="$build/found/$target-" \
        "$build/new/$target" "$source/tests/fuzz/corpus/$target" || status=1
done
exit $status
