/* h[t] = decay[t] h[t-1] + x[t] for each of `width` features by itself, forward and backward.
 *
 * The emitter defines `real` before this text. Blocks of features run through all steps, so a block
 * of h stays in registers. The gradient is that to log |decay|, as in mixer.c.
 */
#include <stdint.h>
#include <string.h>

#define BLOCK 64
#define EACH for (long c = 0; c < count; c++)

typedef struct {
  long rows, steps, width, threads;
  const int64_t *lengths; /* [rows], or null */
  const real *x, *decay, *state;
  real *h, *last;
  const real *dh, *dlast;
  real *dx, *dlog, *dstate;
} arguments;

/* Runs its body for each sequence and block: its first number of all steps, and of the state. */
#define BLOCKS(...)                                                              \
  const long blocks = (a->width + BLOCK - 1) / BLOCK;                            \
  _Pragma("omp parallel for schedule(static) num_threads(a->threads)")           \
  for (long i = 0; i < a->rows * blocks; i++) {                                  \
    const long row = i / blocks, first = i % blocks * BLOCK;                     \
    const long count = a->width - first < BLOCK ? a->width - first : BLOCK;      \
    const long ends = a->lengths ? a->lengths[row] : a->steps;                   \
    const long start = row * a->steps * a->width + first, own = row * a->width + first; \
    __VA_ARGS__                                                                  \
  }

void forward(const arguments *a) {
  BLOCKS({
    real h[BLOCK];
    memcpy(h, a->state + own, sizeof(real) * count);
    for (long t = 0; t < ends; t++) {
      const long at = start + t * a->width;
      const real *decay = a->decay + at, *x = a->x + at;
      real *to = a->h + at;
      EACH h[c] = decay[c] * h[c] + x[c];
      memcpy(to, h, sizeof(real) * count);
    }
    for (long t = ends; t < a->steps; t++) memset(a->h + start + t * a->width, 0, sizeof(real) * count);
    memcpy(a->last + own, h, sizeof(real) * count);
  })
}

void backward(const arguments *a) {
  BLOCKS({
    real g[BLOCK];
    memcpy(g, a->dlast + own, sizeof(real) * count);
    for (long t = a->steps - 1; t >= ends; t--) {
      memset(a->dx + start + t * a->width, 0, sizeof(real) * count);
      memset(a->dlog + start + t * a->width, 0, sizeof(real) * count);
    }
    for (long t = ends - 1; t >= 0; t--) {
      const long at = start + t * a->width;
      const real *before = t ? a->h + at - a->width : a->state + own;
      const real *decay = a->decay + at, *dh = a->dh + at;
      real *restrict dx = a->dx + at, *restrict dlog = a->dlog + at;
      EACH {
        const real all = g[c] + dh[c];
        dx[c] = all;
        g[c] = all * decay[c];
        dlog[c] = g[c] * before[c];
      }
    }
    memcpy(a->dstate + own, g, sizeof(real) * count);
  })
}
