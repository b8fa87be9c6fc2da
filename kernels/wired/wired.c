/* Recurrent networks whose units are wired one by one; a panel's sequences fill the vectors.
 *
 * The emitter puts vectors.c, units.c and counts before this text, and the levels after it.
 * Letters: B sequences, T steps, F features, N units of all networks, P panels of sequences. Each
 * number of a unit is a row of PANEL numbers, one for each sequence of a panel.
 */
typedef struct {
  long batch, steps, networks, features, units, keep, threads;
  const int64_t *lengths;      /* [B], or null */
  const int32_t *first_layer;  /* [networks + 1] */
  const int32_t *first_unit;   /* [layers + 1] */
  const int64_t *squares;      /* [layers + 1]: where each layer begins in `on_h` */
  const int32_t *starts;       /* [N + 1]: where each unit's edges begin */
  const int32_t *columns;      /* [edges]: a feature in a network's first layer, else a unit */
  const real *bias;            /* [N, LINEARS] */
  const real *on_inputs;       /* [edges, READING_X] */
  const real *on_h;            /* [for each layer units * units, CONNECTIONS] */
  const real *diagonal;        /* [N, DIAGONALS] */
  const real *x;               /* [P, T, F, PANEL] */
  real *states;                /* [P, T + 1, STATES, N, PANEL], the first filled */
  real *kept;                  /* [P, T or 1, KEPT, N, PANEL] */
  const real *grad_outputs;    /* [P, T, N, PANEL], or null */
  const real *grad_last;       /* [P, STATES, N, PANEL] */
  real *grad_initial;          /* the same */
  real *grad_x;                /* [P, T, F, PANEL] of zeros, or null */
  real *carried;               /* [2, STATES, N, PANEL] */
  real *partial;               /* [partial values, N, PANEL] */
  real *nodes;                 /* [LINEARS + DIAGONALS, N, PANEL]: their gradients */
  real *above;                 /* [N, PANEL]: the gradients of the units' outputs */
  real *grad_bias, *grad_on_inputs, *grad_on_h, *grad_diagonal; /* like the weights, [..., LANES] */
} arguments;

/* One layer at one step of one panel. */
typedef struct {
  long p, t, side, first, size;
  const real *read;   /* the rows that `columns` indexes */
  real *read_above;   /* their gradients, or null */
  const real *square; /* [size, size, CONNECTIONS] */
  real *grad_square;
  int32_t live[PANEL_WIDTH];
} place;

static inline real *x_at(const arguments *a, real *of, const place *at) {
  return of + (at->p * a->steps + at->t) * a->features * PANEL;
}
static inline real *state_at(const arguments *a, long state, long t, const place *at) {
  const long slot = at->p * (a->steps + 1) + t;
  return a->states + ((slot * STATES + state) * a->units + at->first) * PANEL;
}
static inline real *kept_at(const arguments *a, long node, long t, const place *at) {
  const long slot = a->keep ? at->p * a->steps + t : at->p;
  return a->kept + ((slot * KEPT + node) * a->units + at->first) * PANEL;
}
static inline real *carried_at(const arguments *a, long side, long state, const place *at) {
  return a->carried + ((side * STATES + state) * a->units + at->first) * PANEL;
}
static inline real *partial_at(const arguments *a, long value, const place *at) {
  return a->partial + (value * a->units + at->first) * PANEL;
}
static inline real *node_at(const arguments *a, long row, const place *at) {
  return a->nodes + (row * a->units + at->first) * PANEL;
}

#define LEFT(row) (*(vector *)(row))
#define RIGHT(row) (*(vector *)((row) + LANES))

static void forward_layer(const arguments *a, const place *at);
static void backward_layer(const arguments *a, const place *at);

static void set_live(const arguments *a, place *at) {
  for (long j = 0; j < PANEL; j++) {
    const long b = at->p * PANEL + j;
    at->live[j] = b < a->batch && (!a->lengths || at->t < a->lengths[b]);
  }
}

static void go_to(const arguments *a, place *at, long n, long layer) {
  const int first = layer == a->first_layer[n];
  at->first = 0;
  at->read = first ? x_at(a, (real *)a->x, at) : state_at(a, 0, at->t + 1, at);
  at->read_above = first ? (a->grad_x ? x_at(a, a->grad_x, at) : 0) : a->above;
  at->first = a->first_unit[layer];
  at->size = a->first_unit[layer + 1] - at->first;
  at->square = a->on_h + a->squares[layer] * CONNECTIONS;
  at->grad_square = a->grad_on_h + a->squares[layer] * CONNECTIONS * LANES;
}

void forward(const arguments *a) {
  const long panels = (a->batch + PANEL - 1) / PANEL;
  _Pragma("omp parallel for collapse(2) num_threads(a->threads) if (a->threads > 1)")
  for (long n = 0; n < a->networks; n++)
    for (long p = 0; p < panels; p++) {
      place at = {.p = p};
      for (at.t = 0; at.t < a->steps; at.t++) {
        set_live(a, &at);
        for (long layer = a->first_layer[n]; layer < a->first_layer[n + 1]; layer++) {
          go_to(a, &at, n, layer);
          forward_layer(a, &at);
        }
      }
    }
}

/* Each weight's gradient accumulates over steps and panels in its own vector. */
void backward(const arguments *a) {
  const long panels = (a->batch + PANEL - 1) / PANEL;
  _Pragma("omp parallel for num_threads(a->threads) if (a->threads > 1)")
  for (long n = 0; n < a->networks; n++) {
    const long begin = a->first_unit[a->first_layer[n]];
    const long row = (a->first_unit[a->first_layer[n + 1]] - begin) * PANEL;
    real *above = a->above + begin * PANEL;
    for (long p = 0; p < panels; p++) {
      place at = {.p = p, .first = begin};
      for (long s = 0; s < STATES; s++)
        memcpy(carried_at(a, 0, s, &at), a->grad_last + ((p * STATES + s) * a->units + begin) * PANEL,
               row * sizeof(real));
      for (at.t = a->steps - 1; at.t >= 0; at.t--) {
        if (a->grad_outputs)
          memcpy(above, a->grad_outputs + ((p * a->steps + at.t) * a->units + begin) * PANEL,
                 row * sizeof(real));
        else
          memset(above, 0, row * sizeof(real));
        set_live(a, &at);
        for (long layer = a->first_layer[n + 1] - 1; layer >= a->first_layer[n]; layer--) {
          go_to(a, &at, n, layer);
          backward_layer(a, &at);
        }
        at.side = 1 - at.side;
      }
      at.first = begin;
      for (long s = 0; s < STATES; s++)
        memcpy(a->grad_initial + ((p * STATES + s) * a->units + begin) * PANEL,
               carried_at(a, at.side, s, &at), row * sizeof(real));
    }
  }
}
