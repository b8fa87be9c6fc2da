/* The gradients of the weights and of x, from those of the nodes at all steps. */
static long all_rows(const arguments *a) { return step_row(a, a->steps); }

static void multiply_with(const arguments *a, long rows, long columns, long depth, const real *left,
                          long left_row, long left_step, const real *right, long right_row,
                          long right_step, real *out) {
  const long threads = rows * columns * depth >= WORTH_THREADS ? a->all_threads : 1;
  multiply(&(factors){rows, columns, depth, threads, left, left_row, left_step, right, right_row,
                      right_step, out, a->room});
}

/* projected = x * on_x, for all steps. */
static void project_x(const arguments *a) {
  multiply_with(a, all_rows(a), READING_X * a->heads * a->depth, a->features, a->x, a->x_row, 1,
                a->on_x, 1, a->features, a->projected);
}

static void x_gradients(const arguments *a) {
  const long R = all_rows(a), H = a->heads * a->depth, G = GRADIENTS * H, X = READING_X * H;
  multiply_with(a, X, a->features, R, a->grad_nodes, 1, G, a->x, a->x_row, 1, a->grad_on_x);
  if (a->grad_x)
    multiply_with(a, R, a->features, X, a->grad_nodes, G, 1, a->on_x, a->features, 1, a->grad_x);
}

/* The previous values of a state at all steps, row by row: [R, N * P]. */
static const real *before(const arguments *a, long state) {
  const long S = stride(a);
  if (!a->first) return state_at(a, state, 0, 0);
  real *to = a->before + state * all_rows(a) * S;
  for (long t = 0; t < a->steps; t++)
    memcpy(to + step_row(a, t) * S, state_at(a, state, t, 0), running(a, t) * S * sizeof(real));
  return to;
}

/* For matrices of adjacent nodes from `row` on, which read the same values [R, N * P]. */
static void on_h_gradients(const arguments *a, long connection, long row, long count,
                           const real *read) {
  const long D = a->depth, H = a->heads * D, G = GRADIENTS * H, S = stride(a), P = S / a->heads;
  const real *nodes = a->grad_nodes + row * H;
  real *to = a->grad_on_h + connection * H * D;
  if (a->heads == 1) {
    multiply_with(a, count * D, D, all_rows(a), nodes, 1, G, read, S, 1, to);
    return;
  }
  for (long n = 0; n < count * a->heads; n++)
    multiply_with(a, D, D, all_rows(a), nodes + n * D, 1, G, read + n % a->heads * P, S, 1,
                  to + n * D * D);
}

static void bias_gradients(const arguments *a) {
  const long H = a->heads * a->depth, G = GRADIENTS * H, count = LINEARS * H;
  memset(a->grad_bias, 0, count * sizeof(real));
  for (long r = 0; r < all_rows(a); r++)
    for (long j = 0; j < count; j++) a->grad_bias[j] += a->grad_nodes[r * G + j];
}

/* For the node of a diagonal row, which multiplies its weights with `count` values [R, N * P]. */
static void diagonal_gradient(const arguments *a, long row, long count, const real **read) {
  const long D = a->depth, H = a->heads * D, G = GRADIENTS * H, S = stride(a), P = S / a->heads;
  real *to = a->grad_diagonal + row * H;
  memset(to, 0, H * sizeof(real));
  for (long r = 0; r < all_rows(a); r++)
    for (long n = 0; n < a->heads; n++)
      for (long j = 0; j < D; j++) {
        real product = a->grad_nodes[r * G + (LINEARS + row) * H + n * D + j];
        for (long i = 0; i < count; i++) product *= read[i][r * S + n * P + j];
        to[n * D + j] += product;
      }
}
