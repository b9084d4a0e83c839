/* The kernel: serial line, paging, traps, and the workloads that need ring 0: mmu, sys, irq. Its command line lists
 * workloads, "int=3 mmu": how often, and which. */
#include "bench.h"

static inline void outb(u16 p, u8 v) { __asm__ volatile("outb %0,%1" ::"a"(v), "Nd"(p)); }
static inline u8 inb(u16 p) {
    u8 v;
    __asm__ volatile("inb %1,%0" : "=a"(v) : "Nd"(p));
    return v;
}
static inline u64 rdtsc(void) {
    u64 t;
    __asm__ volatile("rdtsc" : "=A"(t));
    return t;
}
static inline void set_cr3(u32 v) { __asm__ volatile("mov %0,%%cr3" ::"r"(v) : "memory"); }
static inline void invlpg(u32 a) { __asm__ volatile("invlpg (%0)" ::"r"(a) : "memory"); }
static inline u32 get_cr2(void) {
    u32 v;
    __asm__ volatile("mov %%cr2,%0" : "=r"(v));
    return v;
}

extern u32 isr_table[49];
u32 enter_user(u32 (*fn)(u32), u32 arg);
void leave_user(u32 v);
void gdt_load(void);

static void putch(char c) {
    while (!(inb(0x3fd) & 0x20))
        ;
    outb(0x3f8, (u8)c);
}
static void put(const char* s) {
    while (*s)
        putch(*s++);
}
static void hex(u32 v) {
    int i;
    for (i = 28; i >= 0; i -= 4)
        putch("0123456789abcdef"[v >> i & 15]);
}
static void dec(u32 v) {
    char b[12], *p = b + 11;
    *p = 0;
    do
        *--p = (char)('0' + v % 10);
    while (v /= 10);
    put(p);
}
static void halt(void) {
    const char* s = "Shutdown";
    outb(0xf4, 0); /* QEMU isa-debug-exit */
    while (*s)
        outb(0x8900, (u8)*s++); /* Bochs */
    for (;;)
        __asm__ volatile("cli; hlt");
}

static u64 tsc0;
void bench_begin(const char* n) {
    put("B ");
    put(n);
    put("\n");
    tsc0 = rdtsc();
}
void bench_end(const char* n, u32 units, u32 sum, u32 want) {
    u64 d = rdtsc() - tsc0;
    put("E ");
    put(n);
    put(" units=");
    dec(units);
    put(" sum=");
    hex(sum);
    put(sum == want ? " OK" : " BAD");
    put(" tsc=");
    hex((u32)(d >> 32));
    hex((u32)d);
    put("\n");
}

/* 256 MB at their own addresses, in pages of 4 KB. */
#define P 1u
#define W 2u
#define U 4u
#define COW 0x200u
#define NKPT 64
static u32 kpd[1024] __attribute__((aligned(4096)));
static u32 kpt[NKPT * 1024] __attribute__((aligned(4096)));

static void paging_on(void) {
    u32 i;
    for (i = 0; i < NKPT * 1024; i++)
        kpt[i] = i << 12 | P | W | U;
    for (i = 0; i < NKPT; i++)
        kpd[i] = (u32)&kpt[i * 1024] | P | W | U;
    set_cr3((u32)kpd);
    __asm__ volatile("mov %%cr0,%0; or $0x80010000,%0; mov %0,%%cr0" : "=&r"(i));
}

void bench_flush(void) {
    u32 v;
    __asm__ volatile("mov %%cr3,%0; mov %0,%%cr3" : "=r"(v)::"memory");
}

struct frame {
    u32 es, ds, edi, esi, ebp, esp_, ebx, edx, ecx, eax, vec, err, eip, cs, efl, esp, ss;
};
static volatile u32 ticks;
static u32 faults_copy, faults_upgrade;
static void cow_fault(u32 va, u32 err);

static u32 sys_add(u32 a) { return a + 1; }
static u32 sys_xor(u32 a) { return a ^ 0x55; }
static u32 (*const systab[])(u32) = {0, sys_add, sys_xor};

void trap(struct frame* f) {
    if (f->vec == 0x80) {
        if (f->eax == 0)
            leave_user(f->ebx);
        if (f->eax < 3)
            f->eax = systab[f->eax](f->ebx);
        return;
    }
    if (f->vec == 14 && (f->err & 3) == 3) {
        cow_fault(get_cr2(), f->err);
        return;
    }
    if (f->vec == 32) {
        ticks++;
        outb(0x20, 0x20);
        return;
    }
    put("PANIC vec=");
    dec(f->vec);
    put(" err=");
    hex(f->err);
    put(" eip=");
    hex(f->eip);
    put(" cr2=");
    hex(get_cr2());
    put("\n");
    halt();
}

static struct { u16 lo, sel, type, hi; } __attribute__((packed)) idt[256];
static void gate(u32 n, u32 h, u16 type) {
    idt[n].lo = (u16)h;
    idt[n].sel = 8;
    idt[n].type = type;
    idt[n].hi = (u16)(h >> 16);
}
static void traps_on(void) {
    static const u8 icw[][2] = {{0x20, 0x11}, {0xa0, 0x11}, {0x21, 32}, {0xa1, 40},   {0x21, 4},
                                {0xa1, 2},    {0x21, 1},    {0xa1, 1},  {0x21, 0xfe}, {0xa1, 0xff}};
    struct {
        u16 lim;
        void* base;
    } __attribute__((packed)) r = {sizeof idt - 1, idt};
    u32 i;
    for (i = 0; i < 48; i++)
        gate(i, isr_table[i], 0x8e00);
    gate(0x80, isr_table[48], 0xee00);
    __asm__ volatile("lidt %0" ::"m"(r));
    for (i = 0; i < sizeof icw / 2; i++)
        outb(icw[i][0], icw[i][1]);
}

/* sys: INT 80h from ring 3 and back. */
static u32 user_sys(u32 n) {
    u32 i, r, s = 0;
    for (i = 0; i < n; i++) {
        __asm__ volatile("int $0x80" : "=a"(r) : "a"(1 + (i & 1)), "b"(i) : "memory");
        s += r;
    }
    return s;
}
static void w_sys(u8* a, u32 k) {
    u32 n = k * 1000, i, want = 0;
    (void)a;
    for (i = 0; i < n; i++)
        want += i & 1 ? i ^ 0x55 : i + 1;
    bench_begin("sys");
    i = enter_user(user_sys, n);
    bench_end("sys", n, i, want);
}

/* mmu: forks of 8 MB with copy-on-write. */
#define UBASE 0x40000000u
#define UPAGES 2048u     /* 8 MiB user region */
#define POOL 0x04000000u /* frames from 64 MiB up */
static u32 upd[2][1024] __attribute__((aligned(4096)));
static u32 upt[2][2048] __attribute__((aligned(4096)));
static u8 ref[8192];
static u32 freelist[8192], nfree;
static u32* curpt; /* flat view of the current 2 page tables */

static u32 frame_alloc(void) {
    u32 f = freelist[--nfree];
    ref[f] = 1;
    return POOL + (f << 12);
}
static void frame_put(u32 pa) {
    u32 f = (pa - POOL) >> 12;
    if (!--ref[f])
        freelist[nfree++] = f;
}

static void cow_fault(u32 va, u32 err) {
    u32 i = (va - UBASE) >> 12, pte, old, pa, c = 1024;
    if (i >= UPAGES || !((pte = curpt[i]) & COW)) {
        put("bad fault ");
        hex(va);
        put("\n");
        halt();
    }
    old = pte & ~0xfffu;
    if (ref[(old - POOL) >> 12] == 1) {
        curpt[i] = old | P | W | (err & U);
        faults_upgrade++;
    } else {
        void *d, *s = (void*)old;
        pa = frame_alloc();
        d = (void*)pa;
        __asm__ volatile("rep movsl" : "+D"(d), "+S"(s), "+c"(c)::"memory");
        frame_put(old);
        curpt[i] = pa | P | W | U;
        faults_copy++;
    }
    invlpg(va);
}

static u32 user_child(u32 gen) /* read every page, write every 4th */
{
    u32 i, s = 0;
    for (i = 0; i < UPAGES; i++) {
        volatile u32* p = (u32*)(UBASE + (i << 12) + (i & 63) * 64);
        s += *p;
        if ((i & 3) == 0) {
            *p = gen;
            s += p[1];
        }
    }
    return s;
}
static u32 user_parent(u32 gen) /* write every 4th, offset by 2 */
{
    u32 i, s = 0;
    for (i = 2; i < UPAGES; i += 4) {
        volatile u32* p = (u32*)(UBASE + (i << 12) + (i & 63) * 64);
        s += *p;
        *p = *p + 1;
    }
    (void)gen;
    return s;
}

static void w_mmu(u8* a, u32 loops) {
    u32 i, n, sum = 0, want = 0;
    (void)a;
    for (i = 8192; i > 0; i--)
        freelist[nfree++] = i - 1;
    for (i = 0; i < 2; i++) {
        for (n = 0; n < NKPT; n++)
            upd[i][n] = kpd[n];
        for (n = 0; n < 2; n++)
            upd[i][(UBASE >> 22) + n] = (u32)&upt[i][n * 1024] | P | W | U;
    }
    for (i = 0; i < UPAGES; i++) {
        u32 f = frame_alloc(), *p = (u32*)f;
        upt[0][i] = f | P | W | U;
        for (n = 0; n < 1024; n++)
            p[n] = 0;
    }
    curpt = upt[0];
    set_cr3((u32)upd[0]);
    bench_begin("mmu");
    for (n = 0; n < loops; n++) {
        for (i = 0; i < UPAGES; i++) { /* fork: share everything CoW */
            u32 e = upt[0][i];
            if (e & W)
                upt[0][i] = e = (e & ~W) | COW;
            ref[(e - POOL) >> 12]++;
            upt[1][i] = e;
        }
        set_cr3((u32)upd[0]); /* flush parent's stale writable entries */
        curpt = upt[1];
        set_cr3((u32)upd[1]);
        sum += enter_user(user_child, n + 1); /* 512 copy faults */
        for (i = 0; i < UPAGES; i++) {
            frame_put(upt[1][i] & ~0xfffu);
            upt[1][i] = 0;
        }
        curpt = upt[0];
        set_cr3((u32)upd[0]);
        sum += enter_user(user_parent, n + 1); /* 512 upgrade faults */
        want += 512 * n * 2;
    }
    if (faults_copy != loops * 512 || faults_upgrade != loops * 512)
        sum = ~want;
    bench_end("mmu", faults_copy + faults_upgrade, sum, want);
    set_cr3((u32)kpd);
}

/* irq: the PIT at 1 kHz, waited for by HLT. */
static void w_irq(u8* a, u32 n) {
    u32 t;
    (void)a;
    outb(0x43, 0x34);
    outb(0x40, 1193 & 255);
    outb(0x40, 1193 >> 8);
    ticks = 0;
    bench_begin("irq");
    __asm__ volatile("sti");
    while (ticks < n)
        __asm__ volatile("hlt");
    __asm__ volatile("cli");
    t = ticks;
    bench_end("irq", n, t, n);
}

static const struct {
    const char* n;
    void (*f)(u8*, u32);
    u32 def;
} T[] = {{"int", w_int, 150}, {"chase", w_chase, 8},  {"copy", w_copy, 8}, {"chasef", w_chasef, 8},
         {"mmu", w_mmu, 400}, {"sys", w_sys, 1000},   {"fpu", w_fpu, 20},  {"smc", w_smc, 500},
         {"str", w_str, 40},  {"cold", w_cold, 1000}, {"irq", w_irq, 2000}};

void kmain(u32 magic, u32* mbi) {
    char cmd[256], *p = cmd;
    const char* s;
    u32 i;
    s = magic == 0x2BADB002 && mbi[0] & 4 ? (const char*)mbi[4] : "";
    for (i = 0; i < 255 && s[i]; i++)
        cmd[i] = s[i];
    cmd[i] = 0;
    outb(0x3f9, 0);
    outb(0x3fb, 0x80);
    outb(0x3f8, 1);
    outb(0x3f9, 0);
    outb(0x3fb, 3);
    outb(0x3fa, 7);
    gdt_load();
    traps_on();
    paging_on();
    __asm__ volatile("fninit");
    put("bench cmdline: ");
    put(cmd);
    put("\n");
    while (*p) { /* words: name or name=count */
        u32 n = 0;
        char* w = p;
        while (*p && *p != ' ' && *p != '=')
            p++;
        if (*p == '=') {
            *p++ = 0;
            while (*p >= '0' && *p <= '9')
                n = n * 10 + (u32)(*p++ - '0');
        }
        if (*p)
            *p++ = 0;
        for (i = 0; i < sizeof T / sizeof *T; i++) {
            const char *x = w, *y = T[i].n;
            while (*x && *x == *y)
                x++, y++;
            if (*x == *y)
                T[i].f((u8*)0x4000000, n ? n : T[i].def);
        }
    }
    put("DONE\n");
    halt();
}
