/* A matrix product for any strides: out = a * b, panel by panel of columns.
 *
 * DEPTH rows of a panel of b are packed and stay in the first-level cache for all rows of a.
 */
#define DEPTH 256
#define CHUNK (16 * ROWS)
#define WORTH_THREADS 10000000 /* multiplications, as in products.py */

typedef struct {
  long rows, columns, depth, threads;
  const real *a;          /* [rows, depth] */
  long a_row, a_step;     /* the strides of its rows and columns */
  const real *b;          /* [depth, columns] */
  long b_row, b_step;
  real *out;              /* [rows, columns], contiguous */
  real *packed;           /* room for DEPTH rows of columns, in whole panels */
} factors;

static void pack(const factors *g, long k0, long depth, long n, long width, real *to) {
  const real *from = g->b + k0 * g->b_row + n * g->b_step;
  if (g->b_step == 1 && width == PANEL) {
    for (long k = 0; k < depth; k++) memcpy(to + k * PANEL, from + k * g->b_row, PANEL * sizeof(real));
    return;
  }
  for (long begin = 0; begin < depth; begin += LANES)
    for (long j = 0; j < PANEL; j++)
      for (long k = begin; k < least(depth, begin + LANES); k++)
        to[k * PANEL + j] = j < width ? from[k * g->b_row + j * g->b_step] : 0;
}

/* A chunk of rows times all packed panels; sums start from `out`, or from 0 if k0 is 0. */
static void multiply_chunk(const factors *g, long begin, long k0, long depth) {
  const long end = least(g->rows, begin + CHUNK);
  for (long n = 0; n < g->columns; n += PANEL)
    for (long m = begin; m < end; m += ROWS) {
      const long rows = least(ROWS, end - m), width = least(PANEL, g->columns - n);
      const real *a = g->a + m * g->a_row + k0 * g->a_step, *b = g->packed + n * depth;
      real *out = g->out + m * g->columns + n;
      if (width == PANEL) {
        product(rows, out, g->columns, k0 > 0, a, g->a_row, g->a_step, b, depth);
        continue;
      }
      real edge[ROWS][PANEL_WIDTH];
      for (long i = 0; i < rows; i++) memcpy(edge[i], out + i * g->columns, width * sizeof(real));
      product(rows, edge[0], PANEL, k0 > 0, a, g->a_row, g->a_step, b, depth);
      for (long i = 0; i < rows; i++) memcpy(out + i * g->columns, edge[i], width * sizeof(real));
    }
}

void multiply(const factors *g) {
  if (g->depth == 0) memset(g->out, 0, g->rows * g->columns * sizeof(real));
  _Pragma("omp parallel num_threads(g->threads) if (g->threads > 1)")
  for (long k0 = 0; k0 < g->depth; k0 += DEPTH) {
    const long depth = least(DEPTH, g->depth - k0);
    _Pragma("omp for") for (long n = 0; n < g->columns; n += PANEL)
        pack(g, k0, depth, n, least(PANEL, g->columns - n), g->packed + n * depth);
    _Pragma("omp for") for (long m = 0; m < g->rows; m += CHUNK) multiply_chunk(g, m, k0, depth);
  }
}
