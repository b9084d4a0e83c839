/* Memory: pointers followed, words copied and filled over 64 MB, string instructions, code that is patched or new. */
#include "bench.h"

#define MB64 (64u << 20)

static void grow_tlb(u8* a, u32 bytes) {
    u32 i, k;
    for (k = 0; k < 12; k++) {
        for (i = 0; i < bytes; i += 4096)
            *(volatile u32*)(a + i + 2048);
        bench_flush();
    }
}

static void chase(const char* name, u8* a, u32 laps, int grow) {
    u32 n = MB64 / 64, i, s = 1, sum = 0, want;
    u32 *p, k;
    /* Sattolo's algorithm: one cycle through all 2^20 cache lines. */
    for (i = 0; i < n; i++)
        *(u32*)(a + i * 64) = i;
    for (i = n - 1; i > 0; i--) {
        u32 j = (u32)(((u64)lcg(&s) * i) >> 32), t;
        u32 *x = (u32*)(a + i * 64), *y = (u32*)(a + j * 64);
        t = *x;
        *x = *y;
        *y = t;
    }
    for (i = 0; i < n; i++) {
        p = (u32*)(a + i * 64);
        *p = (u32)(unsigned long)(a + *p * 64);
        p[1] = i;
    }
    p = (u32*)a;
    if (grow)
        grow_tlb(a, MB64);
    bench_begin(name);
    for (k = 0; k < laps; k++) /* one lap = 2^20 steps = every line once */
        for (i = 0; i < n; i++) {
            sum += p[1];
            p = (u32*)(unsigned long)*p;
        }
    want = laps * (n / 2 * (n - 1));
    bench_end(name, laps, p == (u32*)a ? sum : ~want, want);
}

void w_chase(u8* a, u32 laps) { chase("chase", a, laps, 0); }
void w_chasef(u8* a, u32 laps) { chase("chasef", a, laps, 1); }

void w_copy(u8* a, u32 reps) {
    /* d is offset so that s and d do not alias in a power-of-two soft TLB */
    u32 *s = (u32*)a, *d = (u32*)(a + MB64 + 0x23000), n = MB64 / 4, i, r, sum = 0;
    for (i = 0; i < n; i++)
        s[i] = i * 2654435761u;
    for (i = 0; i < n; i++)
        d[i] = 0;
    bench_begin("copy");
    for (r = 0; r < reps; r++) {
        for (i = 0; i < n; i++)
            d[i] = r; /* fill */
        for (i = 0; i < n; i++)
            d[i] = s[i]; /* copy */
        for (i = 0; i < n; i++)
            sum += d[i]; /* sum  */
    }
    bench_end("copy", reps, sum, reps * (n / 2 * (n - 1)) * 2654435761u);
}

#define REP(ins, D, S, C) __asm__ volatile("cld; " ins : "+D"(D), "+S"(S), "+c"(C) : "a"(0x5a5a5a5a) : "memory", "cc")
void w_str(u8* a, u32 rounds) {
    static const u32 len[] = {16, 64, 256, 1500, 4096, 65536};
    u8 *s = a, *d = a + (1 << 20) + 0x25000;
    u32 i, r, k, sum = 0, seed = 7;
    for (i = 0; i < 1 << 20; i++)
        s[i] = (u8)(lcg(&seed) >> 24) | 1, d[i] = 0;
    bench_begin("str");
    for (r = 0; r < rounds; r++)
        for (k = 0; k < 6; k++) {
            u32 n = len[k], todo = 1 << 18; /* 256 KiB per op and size */
            for (; todo >= n; todo -= n) {
                void *D, *S;
                u32 C, off = (todo * 7) & 0xfffc;
                D = d + off;
                S = s;
                C = n / 4;
                REP("rep movsl", D, S, C);
                D = d + off;
                S = s;
                C = n;
                REP("repe cmpsb", D, S, C);
                sum += C;
                D = d + off;
                S = s;
                C = n;
                REP("rep stosb", D, S, C);
                D = d + off;
                S = s;
                C = n;
                REP("rep movsb", D, S, C);
                D = d + off;
                S = s;
                C = n;
                __asm__ volatile("cld; repne scasb" : "+D"(D), "+c"(C) : "a"(0) : "memory", "cc");
                sum += C; /* no zero bytes: C = 0 */
                D = d + off;
                S = s;
                C = n / 4;
                REP("rep stosl", D, S, C);
                sum += ((u32*)(d + off))[n / 8] == 0x5a5a5a5a;
            }
        }
    bench_end("str", rounds, sum, rounds * (16384 + 4096 + 1024 + 174 + 64 + 4));
}

/* Self-modifying code: patch the immediate of one of 32 tiny functions, call it. */
void w_smc(u8* a, u32 kpatches) {
    u32 i, j, sum = 0, want = 0, n = kpatches * 1000;
    for (i = 0; i < 32; i++) {
        u8* f = a + i * 64;
        f[0] = 0xb8;
        *(u32*)(f + 1) = 0; /* mov eax, imm32 */
        f[5] = 0x83;
        f[6] = 0xc0;
        f[7] = (u8)i; /* add eax, i     */
        f[8] = 0xc3;  /* ret            */
    }
    bench_begin("smc");
    for (i = 0; i < n; i++) {
        u8* f = a + (i & 31) * 64;
        *(volatile u32*)(f + 1) = i;
        for (j = 0; j < 4; j++)
            sum += ((u32(*)(void))(unsigned long)f)();
    }
    for (i = 0; i < n; i++)
        want += 4 * (i + (i & 31));
    bench_end("smc", n, sum, want);
}

/* Cold code: run kblocks*1000 distinct 6-instruction blocks exactly once each. */
void w_cold(u8* a, u32 kblocks) {
    static const u8 t[20] = {0x05, 0,    0,    0,    0,          /* add eax, imm32    */
                             0x83, 0xf0, 0x5a, 0x8d, 0x48, 0x01, /* xor eax, 0x5a; lea ecx, [eax+1] */
                             0x89, 0xca, 0x01, 0xd0,             /* mov edx, ecx; add eax, edx      */
                             0xe9, 0,    0,    0,    0};         /* jmp next                        */
    u32 i, j, n = kblocks * 1000, sum = 0, want = 0;
    for (i = 0; i < n; i++) {
        u8* f = a + i * 20;
        for (j = 0; j < 20; j++)
            f[j] = t[j];
        *(u32*)(f + 1) = i;
        want = (want + i) ^ 0x5a;
        want += want + 1;
    }
    a[n * 20] = 0xc3;
    bench_begin("cold");
    __asm__ volatile("call *%1" : "+a"(sum) : "r"(a) : "ecx", "edx", "memory", "cc");
    bench_end("cold", n, sum, want);
}
