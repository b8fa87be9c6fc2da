/* Code that all generated cells share: the arguments, packing.
 *
 * The emitter puts vectors.c, units.c and three counts before this text, and the levels after it.
 * Letters: B sequences, T steps, R rows of all steps, N heads of D units, H = N * D. A row of a state is padded to
 * N * P numbers, where P is D rounded up to whole panels, so a panel is always PANEL wide.
 */
/* The arguments of forward and backward, in the order of loops.py. */
typedef struct {
  long batch, steps, heads, depth, keep, threads;
  long features, x_row;      /* C, and the numbers from row to row of x */
  long all_threads;          /* for products over all steps; `threads` are for the loops */
  const int64_t *first;      /* [T + 2], see rows.py; null if each step has all sequences */
  const real *x;             /* [R, C] */
  const real *on_x;          /* [linear nodes that read x, H, C] */
  real *projected;           /* [R, linear nodes that read x, H] */
  const real *bias;          /* [linear nodes, H] */
  const real *on_h;          /* [connections, N, D, D] */
  const real *diagonal;      /* [diagonal nodes, H] */
  const real *initial;       /* [states, B, H] */
  real *packed;              /* [connections, N, panels of a head, D, PANEL] */
  real *states;              /* [states, B + R, N * P] */
  real *kept;                /* [kept nodes, R or B, N * P] */
  const real *grad_outputs;  /* [R, H], or null */
  const real *grad_last;     /* [states, B, H] */
  real *grad_nodes;          /* [R, linear nodes + diagonal nodes, H] */
  real *grad_initial;        /* [states, B, H] */
  real *carried;             /* [2, states, B, N * P] */
  real *partial;             /* [partial values, B, N * P] */
  const int64_t *starts;     /* starts of lists of weights, see sparse.c: [connections * N * D + 1] */
  const int32_t *columns;    /* [weights left] */
  const real *values;        /* [weights left] */
  const int32_t *fans;       /* starts of fans of weights, see sparse.c; or null */
  const uint8_t *fan_columns;
  const real *fan_values;
  real *turned;              /* [values that a level reads, blocks of rows, N * P, WIDE] */
  const int32_t *words;      /* weights of a few bits, see few_bits.c */
  const real *scales;        /* of their rows: [connections, N * P] */
  const int32_t *offsets;    /* [connections, N * P] */
  int32_t *narrowed;         /* [values that a level reads, B, N, words of a row] */
  real *narrowed_scales;     /* [values that a level reads, B, N] */
  real *room;                /* for packed factors, see products.c */
  real *before;              /* [states, R, N * P], if `first` */
  real *grad_x;              /* [R, C], or null if nobody needs it */
  real *grad_bias, *grad_on_x, *grad_on_h, *grad_diagonal; /* as the weights; on_h may be null */
} arguments;

static inline long panels(const arguments *a) { return (a->depth + PANEL - 1) / PANEL; }
static inline long stride(const arguments *a) { return a->heads * panels(a) * PANEL; }

/* The number of rows in a block; blocks have nearly equal heights. */
static inline long block_rows(long batch) {
  const long blocks = (batch + BLOCK - 1) / BLOCK;
  return blocks ? (batch + blocks - 1) / blocks : 1;
}

/* The first row of the states before step t, and of the step's other values. */
static inline long states_row(const arguments *a, long t) {
  return a->first ? a->first[t] : t * a->batch;
}
static inline long step_row(const arguments *a, long t) { return states_row(a, t + 1) - a->batch; }
/* The number of sequences that step t has. */
static inline long running(const arguments *a, long t) {
  return states_row(a, t + 2) - states_row(a, t + 1);
}

static inline real *state_at(const arguments *a, long state, long t, long b) {
  return a->states + (state * states_row(a, a->steps + 1) + states_row(a, t) + b) * stride(a);
}
static inline real *kept_at(const arguments *a, long node, long t, long b) {
  const long row = a->keep ? node * step_row(a, a->steps) + step_row(a, t) : node * a->batch;
  return a->kept + (row + b) * stride(a);
}
static inline real *carried_at(const arguments *a, long side, long state, long b) {
  return a->carried + ((side * STATES + state) * a->batch + b) * stride(a);
}
static inline real *partial_at(const arguments *a, long value, long b) {
  return a->partial + (value * a->batch + b) * stride(a);
}
static inline const real *packed_at(const arguments *a, long connection, long p) {
  return a->packed + (connection * a->heads * panels(a) + p) * a->depth * PANEL;
}

/* Panels of the transposed matrices: packed[k][j] = on_h[j][k]. Columns beyond D are zero. */
static void pack_transposed(const arguments *a, long m) {
  const long D = a->depth, Q = panels(a);
  const real *matrix = a->on_h + m * D * D;
  for (long q = 0; q < Q; q++) {
    real *to = a->packed + (m * Q + q) * D * PANEL;
    const long width = least(PANEL, D - q * PANEL);
    for (long k0 = 0; k0 < D; k0 += LANES)
      for (long j = 0; j < PANEL; j++)
        for (long k = k0; k < least(D, k0 + LANES); k++)
          to[k * PANEL + j] = j < width ? matrix[(q * PANEL + j) * D + k] : 0;
  }
}

/* Panels of the untransposed matrices: packed[k][j] = on_h[k][j]. */
static void pack_straight(const arguments *a, long m) {
  const long D = a->depth, Q = panels(a);
  const real *matrix = a->on_h + m * D * D;
  for (long q = 0; q < Q; q++) {
    real *to = a->packed + (m * Q + q) * D * PANEL;
    const long width = least(PANEL, D - q * PANEL);
    for (long k = 0; k < D; k++) {
      memcpy(to + k * PANEL, matrix + k * D + q * PANEL, width * sizeof(real));
      memset(to + k * PANEL + width, 0, (PANEL - width) * sizeof(real));
    }
  }
}

/* Copies rows of N * D numbers to rows of N * P with zero padding, and back. */
static void spread(const arguments *a, const real *from, real *to) {
  const long D = a->depth, P = panels(a) * PANEL;
  for (long row = 0; row < a->batch * a->heads; row++) {
    memcpy(to + row * P, from + row * D, D * sizeof(real));
    memset(to + row * P + D, 0, (P - D) * sizeof(real));
  }
}
static void gather(const arguments *a, const real *from, real *to) {
  const long D = a->depth, P = panels(a) * PANEL;
  for (long row = 0; row < a->batch * a->heads; row++)
    memcpy(to + row * D, from + row * P, D * sizeof(real));
}

/* Initialises a linear node's sums with its bias and the step's product with x. */
static inline void start_width(tile sums, long rows, const real *bias, const real *projected,
                               long projected_row, long width) {
  for (long i = 0; i < rows; i++)
    for (long j = 0; j < width; j++)
      sums[i][j] = projected ? bias[j] + projected[i * projected_row + j] : bias[j];
}
static void start(const arguments *a, tile sums, long rows, long row_of_bias, const real *projected,
                  long projected_row, long first, long width) {
  const real *bias = a->bias + row_of_bias * a->heads * a->depth + first;
  if (width == PANEL) {
    start_width(sums, rows, bias, projected, projected_row, PANEL);
  } else {
    memset(sums, 0, rows * sizeof sums[0]);
    start_width(sums, rows, bias, projected, projected_row, width);
  }
}

/* The gradient of a step's outputs; an incomplete panel is copied and padded with zeros. */
static const real *gradient_above(const arguments *a, long t, long b, long first, long width,
                                  real *edge) {
  const long begin = (step_row(a, t) + b) * a->heads * a->depth + first;
  if (a->grad_outputs && width == PANEL) return a->grad_outputs + begin;
  memset(edge, 0, PANEL * sizeof(real));
  if (a->grad_outputs) memcpy(edge, a->grad_outputs + begin, width * sizeof(real));
  return edge;
}

static void diagonal_weights(const arguments *a, long row, long first, long width, real *to) {
  memset(to, 0, PANEL * sizeof(real));
  memcpy(to, a->diagonal + row * a->heads * a->depth + first, width * sizeof(real));
}
