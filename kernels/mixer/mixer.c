/* A recurrence with a matrix state, forward and backward, for one shape of step.
 *
 * The emitter defines before this text: real, REAL_BYTES, KEYS, VALUES, WRITES, DECAYS (0, 1 or
 * KEYS) and ERASE (0 none, 1 key, 2 own). Columns of the state never meet, so a panel of WIDE
 * vectors of them runs through all steps while it stays in the first-level cache. One pass over the
 * panel ends a write and begins the next: it adds, reads, decays and compares in registers.
 *
 * The backward pass needs the states before each write, after the decay of their step: they are
 * computed again from a mark every EVERY steps. The gradient is that to log |a|, the product of
 * such a state with its gradient, so nothing is divided by a.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#define MOST_CHAINS 8 /* sums that hide the latency of an addition */
#elif defined(__AVX2__)
#define VECTOR_BYTES 32
#define MOST_CHAINS 4
#else
#define VECTOR_BYTES 16
#define MOST_CHAINS 4
#endif
#define PANEL_BYTES 16384 /* half of a first-level cache */
#define KEPT_BYTES 262144 /* of states that the backward pass keeps at once, in the second-level cache */

#define LANES (VECTOR_BYTES / REAL_BYTES)
#define CEILING(x, y) (((x) + (y) - 1) / (y))
#define CLAMP(x, low, high) ((x) < (low) ? (low) : (x) > (high) ? (high) : (x))
#define FITTING CLAMP(PANEL_BYTES / (KEYS * VECTOR_BYTES), 1, 4)
#define PANELS CEILING(CEILING(VALUES, LANES), FITTING)
#define WIDE CEILING(CEILING(VALUES, LANES), PANELS)
#define COLUMNS (WIDE * LANES)
#define PADDED (CEILING(KEYS, LANES) * LANES)
#define CHAINS CLAMP(MOST_CHAINS / WIDE, 1, KEYS)
#define EVERY CLAMP(KEPT_BYTES / (KEYS * COLUMNS * REAL_BYTES * WRITES), 4, 32)

typedef real vector __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef vector panel[KEYS][WIDE];

const long every = EVERY, mark_numbers = PANELS * KEYS * COLUMNS;

ROW_SUMS
typedef struct {
  long rows, steps, heads, threads;
  const int64_t *lengths;                            /* [B], or null; rows are B * heads */
  const real *q, *k, *v, *b, *e, *decay, *state;
  real *y, *last, *marks;
  const real *dy, *dlast;
  real *dq, *dk, *dv, *db, *de, *dlog, *dstate;
} arguments;

static const real ones[KEYS] = {[0 ... KEYS - 1] = 1}, zeros[KEYS] = {0};

/* Runs its body for each row d of the state; i is one of CHAINS independent sums. */
#define ROWS(...)                                                     \
  for (long o = 0; o + CHAINS <= KEYS; o += CHAINS)                   \
    _Pragma("GCC unroll 8") for (long i = 0; i < CHAINS; i++) {       \
      const long d = o + i;                                           \
      __VA_ARGS__                                                     \
    }                                                                 \
  for (long d = KEYS / CHAINS * CHAINS; d < KEYS; d++) {              \
    const long i = 0;                                                 \
    __VA_ARGS__                                                       \
  }
#define EACH _Pragma("GCC unroll 8") for (long w = 0; w < WIDE; w++)

static inline long width(long p) {
  return VALUES - p * COLUMNS < COLUMNS ? VALUES - p * COLUMNS : COLUMNS;
}
static inline void load(vector *to, const real *from, long count) {
  if (count == COLUMNS) { memcpy(to, from, sizeof(real) * COLUMNS); return; }
  memset(to, 0, sizeof(real) * COLUMNS);
  memcpy(to, from, sizeof(real) * count);
}
static inline void store(real *to, const vector *from, long count) {
  memcpy(to, from, sizeof(real) * (count == COLUMNS ? COLUMNS : count));
}
static inline void load_state(panel s, const real *from, long p) {
  for (long d = 0; d < KEYS; d++) load(s[d], from + d * VALUES + p * COLUMNS, width(p));
}
static inline void store_state(real *to, panel s, long p) {
  for (long d = 0; d < KEYS; d++) store(to + d * VALUES + p * COLUMNS, s[d], width(p));
}
static inline long steps_of(const arguments *a, long row) {
  return a->lengths ? a->lengths[row / a->heads] : a->steps;
}
static inline long step_at(const arguments *a, long row, long t) { return row * a->steps + t; }
static inline real *mark_at(const arguments *a, long row, long p, long block) {
  const long blocks = (a->steps + EVERY - 1) / EVERY;
  return a->marks + ((row * PANELS + p) * blocks + block) * KEYS * COLUMNS;
}
static inline const real *decay_at(const arguments *a, long step) {
  return DECAYS ? a->decay + step * DECAYS : ones;
}
static inline const real *erase_at(const arguments *a, long write) {
  return (ERASE == 2 ? a->e : a->k) + write * KEYS;
}
#define DECAY_OF(decay, d) (decay)[DECAYS == 1 ? 0 : (d)]

/* The sums over rows of a vector with CHAINS parts. */
static inline void add_chains(vector *to, vector part[CHAINS][WIDE]) {
  EACH {
    vector sum = part[0][w];
    for (long i = 1; i < CHAINS; i++) sum += part[i][w];
    to[w] = sum;
  }
}

/* to <- decay (from + k bu'); if reading, y <- q' (from + k bu'); if erasing, r <- e' to. */
static inline __attribute__((always_inline)) void pass(
    panel to, panel from, const real *k, const vector *bu, int decays, const real *decay,
    const real *q, vector *y, const real *e, vector *r) {
  vector read[CHAINS][WIDE] = {0}, compared[CHAINS][WIDE] = {0}, u[WIDE];
  EACH u[w] = bu[w];
  ROWS(EACH {
    vector s = from[d][w] + k[d] * u[w];
    if (q) read[i][w] += q[d] * s;
    if (decays) s *= DECAY_OF(decay, d);
    if (e) compared[i][w] += e[d] * s;
    to[d][w] = s;
  })
  if (q) add_chains(y, read);
  if (e) add_chains(r, compared);
}

/* to <- decay from; r <- e' to: what comes before the first write. */
static inline void begin(panel to, panel from, const real *decay, const real *e, vector *r) {
  vector nothing[WIDE] = {0};
  pass(to, from, zeros, nothing, DECAYS > 0, decay, 0, 0, ERASE ? e : 0, r);
}

/* u <- v - r: what a write adds along its key, before b. */
static inline void compare(vector *u, const arguments *a, long write, long p, const vector *r) {
  load(u, a->v + write * VALUES + p * COLUMNS, width(p));
  if (ERASE) EACH u[w] -= r[w];
}

static void forward_panel(const arguments *a, long row, long p) {
  const long steps = steps_of(a, row);
  panel s __attribute__((aligned(64)));
  vector u[WIDE], bu[WIDE], r[WIDE], y[WIDE];
  load_state(s, a->state + row * KEYS * VALUES, p);
  if (steps) {
    const long first = step_at(a, row, 0);
    begin(s, s, decay_at(a, first), erase_at(a, first * WRITES), r);
  }
  for (long t = 0; t < steps; t++) {
    const long step = step_at(a, row, t), is_last = t == steps - 1;
    if (a->marks && t % EVERY == 0) memcpy(mark_at(a, row, p, t / EVERY), s, sizeof(panel));
    for (long j = 0; j < WRITES; j++) {
      const long write = step * WRITES + j;
      const real *k = a->k + write * KEYS;
      compare(u, a, write, p, r);
      EACH bu[w] = a->b[write] * u[w];
      if (j < WRITES - 1) {
        pass(s, s, k, bu, 0, 0, 0, 0, ERASE ? erase_at(a, write + 1) : 0, r);
      } else {
        const real *decay = is_last ? ones : decay_at(a, step + 1);
        const real *e = is_last ? zeros : erase_at(a, write + 1);
        pass(s, s, k, bu, DECAYS > 0, decay, a->q + step * KEYS, y, ERASE ? e : 0, r);
        store(a->y + step * VALUES + p * COLUMNS, y, width(p));
      }
    }
  }
  for (long t = steps; t < a->steps; t++)
    memset(a->y + step_at(a, row, t) * VALUES + p * COLUMNS, 0, sizeof(real) * width(p));
  store_state(a->last + row * KEYS * VALUES, s, p);
}

void forward(const arguments *a) {
#pragma omp parallel for schedule(static) num_threads(a->threads) if (a->threads > 1)
  for (long row = 0; row < a->rows; row++)
    for (long p = 0; p < PANELS; p++) forward_panel(a, row, p);
}

/* What a block of steps keeps: the state before each write, and u of each write; and the vectors
 * whose sums are gradients, which stay 0 beyond KEYS. */
typedef struct {
  panel before[EVERY * WRITES];
  vector u[EVERY * WRITES][WIDE], read[PADDED], wrote[PADDED], erased[PADDED], faded[PADDED];
} block;

static void compute_again(const arguments *a, block *kept, long row, long p, long from, long to) {
  vector r[WIDE], bu[WIDE], nothing[WIDE] = {0};
  const long first = step_at(a, row, from) * WRITES, writes = (to - from) * WRITES;
  memcpy(kept->before[0], mark_at(a, row, p, from / EVERY), sizeof(panel));
  pass(kept->before[0], kept->before[0], zeros, nothing, 0, 0, 0, 0,
       ERASE ? erase_at(a, first) : 0, r);
  for (long m = 0; m < writes; m++) {
    const long write = first + m;
    compare(kept->u[m], a, write, p, r);
    if (m == writes - 1) break;
    EACH bu[w] = a->b[write] * kept->u[m][w];
    const real *k = a->k + write * KEYS, *e = ERASE ? erase_at(a, write + 1) : 0;
    panel *s = &kept->before[m];
    if ((m + 1) % WRITES)
      pass(s[1], s[0], k, bu, 0, 0, 0, 0, e, r);
    else
      pass(s[1], s[0], k, bu, DECAYS > 0, decay_at(a, (write + 1) / WRITES), 0, 0, e, r);
  }
}

static inline real lanes_sum(vector x) {
  real sum = 0;
  for (long l = 0; l < LANES; l++) sum += x[l];
  return sum;
}
static inline real dot(const vector *x, const vector *y) {
  vector sum = {0};
  EACH sum += x[w] * y[w];
  return lanes_sum(sum);
}

/* Adds the sums of rows of vectors to the gradients, or sets them for the first panel. */
static inline void put(real *to, const vector *rows, long p, real factor, const real *times) {
  real sums[PADDED];
  for (long d = 0; d < PADDED; d += LANES) row_sums(sums + d, rows + d);
  for (long d = 0; d < KEYS; d++) {
    const real sum = sums[d] + factor * times[d];
    to[d] = p ? to[d] + sum : sum;
  }
}

static void backward_write(const arguments *a, block *kept, panel grad, long row, long p, long t,
                           long j, long m) {
  static const vector nothing[WIDE] = {0};
  const long step = step_at(a, row, t), write = step * WRITES + j, ends = j == WRITES - 1;
  const real *k = a->k + write * KEYS, *q = a->q + step * KEYS, *e = erase_at(a, write);
  const real b = a->b[write], *decay = decay_at(a, step);
  vector(*s)[WIDE] = kept->before[m], *u = kept->u[m];
  vector dy[WIDE] = {0}, du[WIDE], bu[WIDE], part[CHAINS][WIDE] = {0};
  EACH bu[w] = b * u[w];
  if (ends) {
    load(dy, a->dy + step * VALUES + p * COLUMNS, width(p));
    ROWS(vector read = {0}; EACH {
      const vector g = grad[d][w] + q[d] * dy[w];
      read += s[d][w] * dy[w];
      part[i][w] += k[d] * g;
      grad[d][w] = g;
    } kept->read[d] = read;)
    put(a->dq + step * KEYS, kept->read, p, dot(bu, dy), k);
  } else {
    ROWS(EACH part[i][w] += k[d] * grad[d][w];)
  }
  add_chains(du, part);
  const real db = dot(u, du);
  a->db[write] = p ? a->db[write] + db : db;
  EACH du[w] *= b;
  store(a->dv + write * VALUES + p * COLUMNS, du, width(p));
  const int decays = DECAYS && j == 0;
  vector all = {0};
  ROWS(vector wrote = {0}, erased = {0}, fading = {0}; EACH {
    vector g = grad[d][w];
    wrote += g * bu[w];
    if (ERASE) erased += s[d][w] * du[w];
    if (ERASE) g -= e[d] * du[w];
    if (decays) fading += g * s[d][w];
    if (decays) g *= DECAY_OF(decay, d);
    grad[d][w] = g;
  }
  if (ERASE == 1) wrote -= erased;
  kept->wrote[d] = wrote;
  if (ERASE == 2) kept->erased[d] = -erased;
  if (DECAYS > 1) kept->faded[d] = fading; else all += fading;)
  put(a->dk + write * KEYS, kept->wrote, p, 0, zeros);
  if (ERASE == 2) put(a->de + write * KEYS, kept->erased, p, 0, zeros);
  if (decays && DECAYS > 1) put(a->dlog + step * KEYS, kept->faded, p, 0, zeros);
  if (decays && DECAYS == 1) {
    const real sum = lanes_sum(all);
    a->dlog[step] = p ? a->dlog[step] + sum : sum;
  }
}

static void backward_panel(const arguments *a, block *kept, long row, long p) {
  const long steps = steps_of(a, row), blocks = (steps + EVERY - 1) / EVERY;
  panel grad __attribute__((aligned(64)));
  load_state(grad, a->dlast + row * KEYS * VALUES, p);
  for (long c = blocks - 1; c >= 0; c--) {
    const long from = c * EVERY, to = from + EVERY < steps ? from + EVERY : steps;
    compute_again(a, kept, row, p, from, to);
    for (long m = (to - from) * WRITES - 1; m >= 0; m--)
      backward_write(a, kept, grad, row, p, from + m / WRITES, m % WRITES, m);
  }
  store_state(a->dstate + row * KEYS * VALUES, grad, p);
}

void backward(const arguments *a) {
#pragma omp parallel num_threads(a->threads) if (a->threads > 1)
  {
    block *kept = aligned_alloc(64, CEILING(sizeof(block), 64) * 64);
    memset(kept->read, 0, 4 * sizeof kept->read);
#pragma omp for schedule(static)
    for (long row = 0; row < a->rows; row++)
      for (long p = 0; p < PANELS; p++) backward_panel(a, kept, row, p);
    free(kept);
  }
}
