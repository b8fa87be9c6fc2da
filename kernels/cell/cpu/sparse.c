/* Products with the weights that a mask keeps: lists of columns, row by row.
 *
 * A row of the lists is a unit to compute, a column a number that it reads. For several sequences,
 * a level first transposes the numbers it reads, so that those of a block of sequences are adjacent
 * and one weight multiplies them all.
 */
#define TURNS ((BLOCK + LANES - 1) / LANES)
#define WIDE (TURNS * LANES)

const long rows_of_a_block = BLOCK, wide = WIDE;

static inline real *turned_at(const arguments *a, long B, long slot, long b0) {
  const long block = block_rows(B), blocks = (B + block - 1) / block;
  return a->turned + (slot * blocks + b0 / block) * stride(a) * WIDE;
}

/* turned[k][i] = from[i * row + k] for the sequences i of the block that begins with b0. */
static void turn(const arguments *a, long B, long slot, long b0, const real *from, long row,
                 long count) {
  const long rows = least(block_rows(B), B - b0);
  real *to = turned_at(a, B, slot, b0);
  if (a->batch == 1) return;
  for (long k = 0; k < count; k++)
    for (long i = 0; i < rows; i++) to[k * WIDE + i] = from[i * row + k];
}

/* One sequence, by fans: 16 units read 32 neighbouring numbers, one number per unit at a time.
 *
 * The 32 numbers fill two registers, from which all 16 units pick at once. Fans are ordered by
 * panel, half of a panel, and group of 32 numbers; `fans` holds the start of each. */
#if defined(__AVX512F__) && defined(REAL_IS_FLOAT)
#include <immintrin.h>
#define FANS 1
static inline __m512 picked(const arguments *a, long n, __m512 low, __m512 high, __m512 sum) {
  const __m128i bytes = _mm_loadu_si128((const __m128i *)(a->fan_columns + n * 16));
  const __m512 read = _mm512_permutex2var_ps(low, _mm512_cvtepu8_epi32(bytes), high);
  return _mm512_fmadd_ps(_mm512_loadu_ps(a->fan_values + n * 16), read, sum);
}
static NOINLINE void fanned_product(const arguments *a, real *sums, long panel, const real *from) {
  const long groups = (a->depth + 31) / 32;
  for (long half = 0; half < 2; half++) {
    const int32_t *fan = a->fans + (panel * 2 + half) * groups;
    __m512 s0 = _mm512_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
    for (long g = 0; g < groups; g++) {
      const __m512 low = _mm512_loadu_ps(from + g * 32);
      const __m512 high = _mm512_loadu_ps(from + g * 32 + 16);
      long n = fan[g];
      const long end = fan[g + 1];
      for (; n + 4 <= end; n += 4) {
        s0 = picked(a, n, low, high, s0);
        s1 = picked(a, n + 1, low, high, s1);
        s2 = picked(a, n + 2, low, high, s2);
        s3 = picked(a, n + 3, low, high, s3);
      }
      if (n < end) s0 = picked(a, n, low, high, s0);
      if (n + 1 < end) s1 = picked(a, n + 1, low, high, s1);
      if (n + 2 < end) s2 = picked(a, n + 2, low, high, s2);
    }
    real *to = sums + half * 16;
    const __m512 sum = _mm512_add_ps(_mm512_add_ps(s0, s1), _mm512_add_ps(s2, s3));
    _mm512_storeu_ps(to, _mm512_add_ps(_mm512_loadu_ps(to), sum));
  }
}
#else
#define FANS 0
#define fanned_product(a, sums, panel, from)
#endif
const long has_fans = FANS;

static inline void add_turned(const arguments *a, long n, const real *turned, vector *held) {
  const vector *read = (const vector *)(turned + a->columns[n] * WIDE);
  for (int v = 0; v < TURNS; v++) held[v] += a->values[n] * read[v];
}

/* sums[i][j] += the weighted inputs of unit `first + j` in a connection's list, for sequence i.
 *
 * unit: the list's row of the panel's first unit; panel: its number among all connections' panels.
 * from: the first sequence's numbers of this head;
 * turned: the same, transposed. */
static NOINLINE void listed_product(const arguments *a, long rows, tile sums, long unit, long width,
                                    long panel, const real *from, const real *turned) {
  if (FANS && a->fans) {
    fanned_product(a, sums[0], panel, from);
    return;
  }
  for (long j = 0; j < width; j++) {
    const int64_t end = a->starts[unit + j + 1];
    int64_t n = a->starts[unit + j];
    if (a->batch == 1) {
      real s0 = 0, s1 = 0, s2 = 0, s3 = 0;
      for (; n + 4 <= end; n += 4) {
        s0 += a->values[n] * from[a->columns[n]];
        s1 += a->values[n + 1] * from[a->columns[n + 1]];
        s2 += a->values[n + 2] * from[a->columns[n + 2]];
        s3 += a->values[n + 3] * from[a->columns[n + 3]];
      }
      for (; n < end; n++) s0 += a->values[n] * from[a->columns[n]];
      sums[0][j] += (s0 + s1) + (s2 + s3);
      continue;
    }
    vector held[4][TURNS];
    memset(held, 0, sizeof held);
    for (; n + 4 <= end; n += 4)
      for (int u = 0; u < 4; u++) add_turned(a, n + u, turned, held[u]);
    for (; n < end; n++) add_turned(a, n, turned, held[0]);
    for (int v = 0; v < TURNS; v++) held[0][v] += (held[1][v] + held[2][v]) + held[3][v];
    const real *spread = (const real *)held[0];
    for (long i = 0; i < rows; i++) sums[i][j] += spread[i];
  }
}
