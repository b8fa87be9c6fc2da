/* Products of weights and numbers of 8 or 16 bits; PER of them fill a word of 32 bits.
 *
 * A row of numbers is narrowed just before a level's products read it: int8 with one scale per row
 * and head, or bfloat16. Weights have a scale per unit. Panels of words: [panels of units, groups of
 * PER columns, PANEL units], so that one word of the row meets the words of all units of a panel.
 */
typedef int32_t words __attribute__((vector_size(VECTOR_BYTES), aligned(4), may_alias));
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#ifdef STORED_AS_INT8
#define PER 4
typedef words lanes;
typedef int32_t sum_type;
typedef int8_t part;
#else
#define PER 2
typedef vector lanes;
typedef float sum_type;
typedef uint16_t part;
#endif

/* sums + the products of two vectors of words, added within each word.
 *
 * OFFSET is what narrowed numbers have been raised by: VNNI multiplies unsigned by signed numbers. */
#define OFFSET 0
#if defined(STORED_AS_INT8) && defined(__AVX512VNNI__)
#undef OFFSET
#define OFFSET 128
static inline lanes dot(lanes sums, words row, words weights) {
  return (lanes)_mm512_dpbusd_epi32((__m512i)sums, (__m512i)row, (__m512i)weights);
}
#elif defined(STORED_AS_INT8) && defined(__AVX512BW__)
static inline lanes dot(lanes sums, words row, words weights) {
  const __m512i a = (__m512i)row, w = (__m512i)weights;
  const __m512i even = _mm512_madd_epi16(_mm512_srai_epi16(_mm512_slli_epi16(a, 8), 8),
                                         _mm512_srai_epi16(_mm512_slli_epi16(w, 8), 8));
  return sums + (lanes)even + (lanes)_mm512_madd_epi16(_mm512_srai_epi16(a, 8), _mm512_srai_epi16(w, 8));
}
#elif defined(STORED_AS_INT8) && defined(__AVX2__) && VECTOR_BYTES == 32
/* |a| * (w with the sign of a); two products of at most 127 * 127 do not saturate 16 bits. */
static inline lanes dot(lanes sums, words row, words weights) {
  const __m256i a = (__m256i)row, w = (__m256i)weights;
  const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(a), _mm256_sign_epi8(w, a));
  return sums + (lanes)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}
#elif defined(STORED_AS_INT8)
static inline lanes dot(lanes sums, words row, words weights) {
  for (int up = 24; up >= 0; up -= 8) sums += ((row << up) >> 24) * ((weights << up) >> 24);
  return sums;
}
#elif defined(__AVX512BF16__)
static inline lanes dot(lanes sums, words row, words weights) {
  return (lanes)_mm512_dpbf16_ps((__m512)sums, (__m512bh)row, (__m512bh)weights);
}
#else
static inline lanes dot(lanes sums, words row, words weights) {
  const int32_t upper = 0xffff0000;
  sums += (vector)(row << 16) * (vector)(weights << 16);
  return sums + (vector)(row & upper) * (vector)(weights & upper);
}
#endif

/* Fans: the units of a vector pick PER numbers each from WINDOW columns, which fill a register. */
#if defined(STORED_AS_INT8) && defined(__AVX512VBMI__) && defined(__AVX512VNNI__)
#define WINDOW 64
static inline words picked(const uint8_t *columns, words window) {
  return (words)_mm512_permutexvar_epi8(_mm512_loadu_si512(columns), (__m512i)window);
}
#elif defined(STORED_AS_BFLOAT16) && defined(__AVX512BW__)
#define WINDOW 32
static inline words picked(const uint8_t *columns, words window) {
  const __m512i index = _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)columns));
  return (words)_mm512_permutexvar_epi16(index, (__m512i)window);
}
#elif defined(STORED_AS_INT8) && defined(__AVX2__) && VECTOR_BYTES == 32
#define WINDOW 16
static inline words picked(const uint8_t *columns, words window) {
  return (words)_mm256_shuffle_epi8((__m256i)window, _mm256_loadu_si256((const __m256i *)columns));
}
#else /* removed weights are stored as zeros */
#define WINDOW PER
#define NO_FANS
#endif
#if WINDOW == 16
#define WINDOW_AT(p) ((words)_mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(p))))
#else
#define WINDOW_AT(p) (*(const words *)(p))
#endif

const long per = PER, window = WINDOW, offset = OFFSET;
#ifdef NO_FANS
const long few_bits_fans = 0;
#else
const long few_bits_fans = 1;
#endif

static inline long words_of(long depth) { return (depth + WINDOW - 1) / WINDOW * (WINDOW / PER); }

/* Rounds numbers to parts, padded to whole windows; returns their scale. */
#ifdef STORED_AS_INT8
static real narrow(const real *from, long count, int32_t *to) {
  real largest = 0;
  for (long k = 0; k < count; k++) largest = unit_max(from[k] < 0 ? -from[k] : from[k], largest);
  const real inverse = largest > 0 ? 127 / largest : 0;
  part *parts = (part *)to;
  for (long k = 0; k < count; k++) {
    const float shifted = from[k] * inverse + 12582912.f; /* 1.5 * 2^23: rounds to an integer */
    int32_t bits;
    memcpy(&bits, &shifted, 4);
    parts[k] = (part)(bits + OFFSET);
  }
  memset(parts + count, 0, words_of(count) * 4 - count);
  return largest / 127;
}
#else
static real narrow(const real *from, long count, int32_t *to) {
  part *parts = (part *)to;
  for (long k = 0; k < count; k++) {
    uint32_t bits;
    memcpy(&bits, from + k, 4);
    const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    parts[k] = (part)(from[k] != from[k] ? 0x7fc0 : rounded);
  }
  memset(parts + count, 0, words_of(count) * 4 - count * 2);
  return 1;
}
#endif

static void narrow_rows(const arguments *a, long B, long slot, long b0, const real *from) {
  const long rows = least(block_rows(B), B - b0), P = stride(a) / a->heads;
  for (long n = 0; n < rows * a->heads; n++) {
    const long to = (slot * a->batch + b0) * a->heads + n;
    a->narrowed_scales[to] = narrow(from + n * P, a->depth, a->narrowed + to * words_of(a->depth));
  }
}

typedef sum_type few_tile[ROWS][PANEL_WIDTH];

/* sums[r][:] = sum over groups of the row's word and the units' words, for R rows. Few rows leave
 * registers for several chains of sums, which do not wait for one another. */
#define FEW(R)                                                                                 \
  static NOINLINE void few_##R(few_tile sums, const int32_t *read, long row,                   \
                               const int32_t *weights, long groups) {                          \
    enum { CHAINS = R <= 2 ? 4 : 1 };                                                          \
    lanes left[R][CHAINS], right[R][CHAINS];                                                   \
    memset(left, 0, sizeof left);                                                              \
    memset(right, 0, sizeof right);                                                            \
    long k = 0;                                                                                \
    for (; k + CHAINS <= groups; k += CHAINS)                                                  \
      _Pragma("GCC unroll 4") for (int c = 0; c < CHAINS; c++) {                               \
        const words w0 = *(const words *)(weights + (k + c) * PANEL);                          \
        const words w1 = *(const words *)(weights + (k + c) * PANEL + LANES);                  \
        _Pragma("GCC unroll 12") for (int r = 0; r < R; r++) {                                 \
          const words f = (words){0} + read[r * row + k + c];                                  \
          left[r][c] = dot(left[r][c], f, w0);                                                 \
          right[r][c] = dot(right[r][c], f, w1);                                               \
        }                                                                                      \
      }                                                                                        \
    for (; k < groups; k++)                                                                    \
      for (int r = 0; r < R; r++) {                                                            \
        const words f = (words){0} + read[r * row + k];                                        \
        left[r][0] = dot(left[r][0], f, *(const words *)(weights + k * PANEL));                \
        right[r][0] = dot(right[r][0], f, *(const words *)(weights + k * PANEL + LANES));      \
      }                                                                                        \
    for (int r = 0; r < R; r++) {                                                              \
      for (int c = 1; c < CHAINS; c++) left[r][0] += left[r][c], right[r][0] += right[r][c];   \
      *(lanes *)sums[r] = left[r][0];                                                          \
      *(lanes *)(sums[r] + LANES) = right[r][0];                                               \
    }                                                                                          \
  }
EACH_HEIGHT(FEW)

static void few(long rows, few_tile sums, const int32_t *read, long row, const int32_t *weights,
                long groups) {
  switch (rows) {
#define FEW_CASE(R)                              \
  case R:                                        \
    few_##R(sums, read, row, weights, groups);   \
    break;
    EACH_HEIGHT(FEW_CASE)
  }
}

/* The real value of a unit's sum. */
static inline real valued(sum_type sum, real scale, const real *scales, const int32_t *offsets,
                          long j) {
#ifdef STORED_AS_INT8
  return scale * scales[j] * (real)(sum - offsets[j]);
#else
  return sum;
#endif
}

#ifndef NO_FANS
static void fanned(const arguments *a, long rows, few_tile sums, long panel, const int32_t *read,
                   long row) {
  const long windows = (a->depth + WINDOW - 1) / WINDOW;
  const int32_t *values = (const int32_t *)a->fan_values;
  for (long i = 0; i < rows; i++)
    for (long half = 0; half < 2; half++) {
      const int32_t *fan = a->fans + (panel * 2 + half) * windows;
      lanes s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
#define PICKED(sums, n)                                                  \
  sums = dot(sums, picked(a->fan_columns + (n) * LANES * PER, numbers), \
             *(const words *)(values + (n) * LANES))
      for (long g = 0; g < windows; g++) {
        const words numbers = WINDOW_AT(read + i * row + g * (WINDOW / PER));
        long n = fan[g];
        const long end = fan[g + 1];
        for (; n + 4 <= end; n += 4) {
          PICKED(s0, n);
          PICKED(s1, n + 1);
          PICKED(s2, n + 2);
          PICKED(s3, n + 3);
        }
        if (n < end) PICKED(s0, n);
        if (n + 1 < end) PICKED(s1, n + 1);
        if (n + 2 < end) PICKED(s2, n + 2);
      }
      *(lanes *)(sums[i] + half * LANES) = (s0 + s1) + (s2 + s3);
    }
}
#else
#define fanned(a, rows, sums, panel, read, row)
#endif

/* z[i][j] += the product of a connection's matrix and the rows of a slot, for panel p. */
static NOINLINE void few_product(const arguments *a, long rows, tile z, long connection, long p,
                                 long slot, long b0) {
  const long Q = panels(a), panel = connection * a->heads * Q + p, row = words_of(a->depth);
  const long first = (slot * a->batch + b0) * a->heads + p / Q, groups = (a->depth + PER - 1) / PER;
  const int32_t *read = a->narrowed + first * row;
  few_tile sums;
  if (a->fans)
    fanned(a, rows, sums, panel, read, a->heads * row);
  else
    few(rows, sums, read, a->heads * row, a->words + panel * groups * PANEL, groups);
  for (long i = 0; i < rows; i++)
    for (long j = 0; j < PANEL; j++)
      z[i][j] += valued(sums[i][j], a->narrowed_scales[first + i * a->heads],
                        a->scales + panel * PANEL, a->offsets + panel * PANEL, j);
}

/* The product of all steps: out = x * weights, without bias. */
typedef struct {
  long rows, columns, depth, threads;
  const real *x;          /* [rows, depth] */
  long x_row;             /* from row to row */
  const int32_t *words;   /* panels of [columns, depth] */
  const real *scales;     /* [columns in whole panels] */
  const int32_t *offsets; /* the same */
  real *out;              /* [rows, columns] */
  int32_t *narrowed;      /* [rows, words of a row] */
} projection;

static void project_block(const projection *g, long m) {
  const long rows = least(ROWS, g->rows - m), row = words_of(g->depth);
  const long groups = (g->depth + PER - 1) / PER;
  real scale[ROWS];
  int32_t *read = g->narrowed + m * row;
  for (long i = 0; i < rows; i++)
    scale[i] = narrow(g->x + (m + i) * g->x_row, g->depth, read + i * row);
  for (long n = 0; n < g->columns; n += PANEL) {
    const long width = least(PANEL, g->columns - n);
    few_tile sums;
    few(rows, sums, read, row, g->words + n * groups, groups);
    for (long i = 0; i < rows; i++)
      for (long j = 0; j < width; j++)
        g->out[(m + i) * g->columns + n + j] =
            valued(sums[i][j], scale[i], g->scales + n, g->offsets + n, j);
  }
}

void project(const projection *g) {
  _Pragma("omp parallel for num_threads(g->threads) if (g->threads > 1)")
  for (long m = 0; m < g->rows; m += ROWS) project_block(g, m);
}
