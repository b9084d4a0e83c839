/* Integers, branches and calls: a working set of 0.7 MB, some 44 * 10^6 instructions a round. */
#include "bench.h"

#define W_INT_SUM 0x77ff150cu /* of one round */
#define NOINL __attribute__((noinline))

static u32 crctab[256];

static NOINL u32 crc32(const u8* p, u32 n) {
    u32 c = ~0u;
    while (n--)
        c = crctab[(c ^ *p++) & 255] ^ (c >> 8);
    return ~c;
}

static NOINL u32 sieve(u8* f, u32 n) {
    u32 i, j, cnt = 0;
    for (i = 0; i < n; i++)
        f[i] = 1;
    for (i = 2; i < n; i++)
        if (f[i]) {
            cnt++;
            for (j = i + i; j < n; j += i)
                f[j] = 0;
        }
    return cnt;
}

static NOINL void qsort32(u32* v, int lo, int hi) {
    while (lo < hi) {
        u32 p = v[(lo + hi) >> 1], t;
        int i = lo, j = hi;
        while (i <= j) {
            while (v[i] < p)
                i++;
            while (v[j] > p)
                j--;
            if (i <= j) {
                t = v[i];
                v[i++] = v[j];
                v[j--] = t;
            }
        }
        if (j - lo < hi - i) {
            qsort32(v, lo, j);
            lo = i;
        } else {
            qsort32(v, i, hi);
            hi = j;
        }
    }
}

static NOINL u32 matmul(int* a, int* b, int* c, int n) {
    int i, j, k;
    u32 s = 0;
    for (i = 0; i < n; i++)
        for (j = 0; j < n; j++) {
            int t = 0;
            for (k = 0; k < n; k++)
                t += a[i * n + k] * b[k * n + j];
            c[i * n + j] = t;
            s = s * 31 + (u32)t;
        }
    return s;
}

/* Tiny stack-machine interpreter: indirect jumps, unpredictable-ish control flow. */
enum { PUSH, ADD, SUB, MUL, DUP, SWAP, JNZ, XOR, SHR, LD, ST, HALT };
static NOINL u32 vm(const u8* pc0, u32* mem) {
    u32 st[16], *sp = st;
    const u8* pc = pc0;
    u32 t;
    *sp = 0;
    for (;;)
        switch (*pc++) {
        case PUSH:
            *++sp = *pc++;
            break;
        case ADD:
            sp--;
            sp[0] += sp[1];
            break;
        case SUB:
            sp--;
            sp[0] -= sp[1];
            break;
        case MUL:
            sp--;
            sp[0] *= sp[1];
            break;
        case XOR:
            sp--;
            sp[0] ^= sp[1];
            break;
        case SHR:
            sp--;
            sp[0] >>= sp[1] & 31;
            break;
        case DUP:
            sp++;
            sp[0] = sp[-1];
            break;
        case SWAP:
            t = sp[0];
            sp[0] = sp[-1];
            sp[-1] = t;
            break;
        case LD:
            *++sp = mem[*pc++];
            break;
        case ST:
            mem[*pc++] = *sp--;
            break;
        case JNZ:
            t = *pc++;
            if (*sp--)
                pc = pc0 + t;
            break;
        case HALT:
            return mem[1];
        }
}
static const u8 vmprog[] = {/* m1 = hash loop, m0 counts down */
                            LD, 1, PUSH, 33, MUL,  LD, 0,   XOR, DUP, PUSH, 7,   SHR, ADD,
                            ST, 1, LD,   0,  PUSH, 1,  SUB, DUP, ST,  0,    JNZ, 0,   HALT};

static NOINL u32 fib(u32 n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

/* Dhrystone-flavoured records, strings and indirect calls. */
struct rec {
    struct rec* next;
    u32 kind, val;
    char s[32];
};
static NOINL int scmp(const char* a, const char* b) {
    while (*a && *a == *b)
        a++, b++;
    return (u8)*a - (u8)*b;
}
static NOINL void scpy(char* d, const char* s) {
    while ((*d++ = *s++))
        ;
}
static u32 op0(struct rec* r, u32 x) { return r->val + x; }
static u32 op1(struct rec* r, u32 x) { return r->val ^ (x << 3); }
static u32 op2(struct rec* r, u32 x) { return x > r->val ? x - r->val : r->val * 3; }
static u32 (*const ops[3])(struct rec*, u32) = {op0, op1, op2};
static NOINL u32 dhry(struct rec* r, u32 n) {
    u32 x = 1, i;
    struct rec* p = r;
    for (i = 0; i < n; i++) {
        struct rec* q = p->next;
        scpy(q->s, p->s);
        q->s[i % 23] = 'A' + (char)(x % 26);
        if (scmp(p->s, q->s) > 0)
            x += p->kind;
        x = ops[(p->kind + i) % 3](p, x);
        q->val = (q->val >> 1) + (x & 0xffff);
        p = q;
    }
    return x;
}

static u32 one_round(u8* a) {
    u32 i, s = 12345, h = 0;
    u8* buf = a;                  /*  64 KiB */
    u8* flags = a + 0x10000;      /* 256 KiB */
    u32* v = (u32*)(a + 0x50000); /* 128 KiB */
    int* m = (int*)(a + 0x70000); /*  48 KiB */
    u32* vmm = (u32*)(a + 0x7c000);
    struct rec* r = (struct rec*)(a + 0x80000);

    for (i = 0; i < 256; i++) {
        u32 c = i, k;
        for (k = 0; k < 8; k++)
            c = c & 1 ? 0xedb88320u ^ (c >> 1) : c >> 1;
        crctab[i] = c;
    }
    for (i = 0; i < 65536; i++)
        buf[i] = (u8)(lcg(&s) >> 24);
    h ^= crc32(buf, 65536);
    h = h * 33 + crc32(buf + 1, 65535);
    h = h * 33 + sieve(flags, 1 << 18);
    for (i = 0; i < 32768; i++)
        v[i] = lcg(&s);
    qsort32(v, 0, 32767);
    for (i = 0; i < 32768; i += 97)
        h = h * 33 + v[i];
    for (i = 0; i < 8192; i++)
        m[i] = (int)(lcg(&s) >> 16);
    h = h * 33 + matmul(m, m + 4096, m + 8192, 64);
    vmm[0] = 60000;
    vmm[1] = 1;
    h = h * 33 + vm(vmprog, vmm);
    h = h * 33 + fib(24);
    for (i = 0; i < 64; i++) {
        r[i].next = &r[(i * 29 + 1) & 63];
        r[i].kind = i % 7;
        r[i].val = i * 77;
        scpy(r[i].s, "DHRYSTONE PROGRAM, SOME STRING");
    }
    return h * 33 + dhry(r, 20000);
}

void w_int(u8* a, u32 rounds) {
    u32 i, h = 0, bad = 0;
    one_round(a); /* warm up translation caches */
    bench_begin("int");
    for (i = 0; i < rounds; i++) {
        h = one_round(a);
        bad |= h ^ W_INT_SUM;
    }
    bench_end("int", rounds, bad ? bad ^ W_INT_SUM : h, W_INT_SUM);
}
