/* Owns: what the kernel of the benchmark guest gives its workloads, and their list.
 * Callers: the files here. Promises: a workload needs no more than this. */
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

/* They say "B name" and "E name units=... sum=... OK" on the serial line; what lies between is timed from outside. */
void bench_begin(const char* name);
void bench_end(const char* name, u32 units, u32 sum, u32 want);
void bench_flush(void); /* reloads CR3 */

/* Workloads. `a` is page-aligned memory of 129 MB. */
void w_int(u8* a, u32 rounds);
void w_chase(u8* a, u32 laps);
void w_copy(u8* a, u32 reps);
void w_chasef(u8* a, u32 laps); /* the same after sweeps that reload CR3, upon which QEMU's TLB grows */
void w_fpu(u8* a, u32 steps);
void w_smc(u8* a, u32 kpatches);
void w_str(u8* a, u32 rounds);
void w_cold(u8* a, u32 kblocks);

static inline u32 lcg(u32* s) { return *s = *s * 1664525u + 1013904223u; }
