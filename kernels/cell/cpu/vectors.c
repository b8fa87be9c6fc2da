/* Vectors as wide as the processor's, and the block sizes that keep a product in registers.
 *
 * The emitter defines `real`, float or double, before this text. A panel is PANEL columns wide, two
 * vectors; a product computes up to ROWS rows of a panel at a time.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#define ROWS 12 /* rows of a product: 12 * 2 sums, 2 weights and 1 factor fit in 32 registers */
#elif defined(__AVX2__)
#define VECTOR_BYTES 32
#define ROWS 6
#elif defined(__aarch64__)
#define VECTOR_BYTES 16
#define ROWS 12
#else
#define VECTOR_BYTES 16
#define ROWS 6
#endif
#ifdef STORED_AS_LISTS /* one vector of sequences at a time, see sparse.c */
#define BLOCK (VECTOR_BYTES / 4)
#else
#define BLOCK ROWS
#endif
#define LANES ((long)(VECTOR_BYTES / sizeof(real)))
#define NOINLINE __attribute__((noinline)) /* inlining twelve heights at each call takes seconds to compile */
#define PANEL (2 * LANES)
#define PANEL_WIDTH (2 * VECTOR_BYTES / sizeof(real)) /* PANEL as a constant expression */

typedef real vector __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(real)), may_alias));
typedef real tile[BLOCK][PANEL_WIDTH];

const long panel = PANEL_WIDTH;

#if defined(__AVX512F__) && defined(__AVX512VNNI__) && defined(__AVX512BF16__)
const char *instructions = "AVX-512 with VNNI and BF16";
#elif defined(__AVX512F__) && defined(__AVX512VNNI__)
const char *instructions = "AVX-512 with VNNI";
#elif defined(__AVX512F__)
const char *instructions = "AVX-512";
#elif defined(__AVX2__)
const char *instructions = "AVX2";
#elif defined(__aarch64__)
const char *instructions = "NEON";
#else
const char *instructions = "plain C";
#endif

static inline long least(long a, long b) { return a < b ? a : b; }

/* out[r][:] (+)= sum over k of factors[r * row + k * step] * weights[k][:], for R rows. The order of
 * a sum does not depend on R. */
#define PRODUCT(R)                                                                              \
  static NOINLINE void product_##R(real *out, long out_row, int add, const real *factors,       \
                                   long row, long step, const real *weights, long depth) {      \
    vector left[R], right[R];                                                                   \
    _Pragma("GCC unroll 12") for (int r = 0; r < R; r++) { /* in registers from the start */    \
      left[r] = add ? *(vector *)(out + r * out_row) : (vector){0};                             \
      right[r] = add ? *(vector *)(out + r * out_row + LANES) : (vector){0};                    \
    }                                                                                           \
    for (long k = 0; k < depth; k++) {                                                          \
      const vector w0 = *(const vector *)(weights + k * PANEL);                                 \
      const vector w1 = *(const vector *)(weights + k * PANEL + LANES);                         \
      _Pragma("GCC unroll 12") for (int r = 0; r < R; r++) {                                    \
        const real f = factors[r * row + k * step];                                             \
        left[r] += f * w0;                                                                      \
        right[r] += f * w1;                                                                     \
      }                                                                                         \
    }                                                                                           \
    _Pragma("GCC unroll 12") for (int r = 0; r < R; r++) {                                      \
      *(vector *)(out + r * out_row) = left[r];                                                 \
      *(vector *)(out + r * out_row + LANES) = right[r];                                        \
    }                                                                                           \
  }
/* Heights of blocks of rows. */
#if ROWS == 12
#define EACH_HEIGHT(F) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11) F(12)
#else
#define EACH_HEIGHT(F) F(1) F(2) F(3) F(4) F(5) F(6)
#endif
EACH_HEIGHT(PRODUCT)

static NOINLINE void product(long rows, real *out, long out_row, int add, const real *factors,
                             long row, long step, const real *weights, long depth) {
  switch (rows) {
#define CASE(R)                                                             \
  case R:                                                                   \
    product_##R(out, out_row, add, factors, row, step, weights, depth);     \
    break;
    EACH_HEIGHT(CASE)
  }
}
