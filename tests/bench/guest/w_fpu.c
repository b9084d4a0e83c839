/* x87 double precision: n-body (div/sqrt heavy) + Mandelbrot (mul/add/compare). */
#include "bench.h"

#define W_FPU_SUM 0x6f3b80f7u /* of one round */

struct body {
    double x[3], v[3], m;
};

static void step(struct body* b, int n, double dt) {
    int i, j, k;
    for (i = 0; i < n; i++)
        for (j = i + 1; j < n; j++) {
            double d[3], r2 = 0, mag;
            for (k = 0; k < 3; k++) {
                d[k] = b[i].x[k] - b[j].x[k];
                r2 += d[k] * d[k];
            }
            mag = dt / (r2 * __builtin_sqrt(r2));
            for (k = 0; k < 3; k++) {
                b[i].v[k] -= d[k] * b[j].m * mag;
                b[j].v[k] += d[k] * b[i].m * mag;
            }
        }
    for (i = 0; i < n; i++)
        for (k = 0; k < 3; k++)
            b[i].x[k] += dt * b[i].v[k];
}

static u32 mandel(int w, int maxit) {
    int px, py, it;
    u32 h = 0;
    for (py = 0; py < w; py++)
        for (px = 0; px < w; px++) {
            double cr = px * 3.0 / w - 2.2, ci = py * 3.0 / w - 1.5, x = 0, y = 0, x2 = 0, y2 = 0;
            for (it = 0; it < maxit && x2 + y2 <= 4.0; it++) {
                y = 2 * x * y + ci;
                x = x2 - y2 + cr;
                x2 = x * x;
                y2 = y * y;
            }
            h = h * 33 + (u32)it;
        }
    return h;
}

static u32 one(struct body* b) {
    u32 h = 0, i, j;
    for (i = 0; i < 5; i++) {
        for (j = 0; j < 3; j++) {
            b[i].x[j] = (i * 7 + j * 3 + 1) * 0.37;
            b[i].v[j] = ((i * 5 + j) % 4) * 0.11 - 0.1;
        }
        b[i].m = 1.0 + i * 0.25;
    }
    for (i = 0; i < 4000; i++)
        step(b, 5, 0.001);
    for (i = 0; i < 5 * sizeof *b / 4; i++)
        h = h * 33 + ((u32*)b)[i];
    return h * 33 + mandel(96, 100);
}

void w_fpu(u8* a, u32 rounds) {
    u32 i, h = 0, bad = 0;
    one((struct body*)a);
    bench_begin("fpu");
    for (i = 0; i < rounds; i++) {
        h = one((struct body*)a);
        bad |= h ^ W_FPU_SUM;
    }
    bench_end("fpu", rounds, bad ? bad ^ W_FPU_SUM : h, W_FPU_SUM);
}
