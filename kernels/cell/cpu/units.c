/* Unit-wise functions, written so that loops over them vectorise. */

/* e^r - 1 and the scale 2^n of e^x = 2^n * e^r, |r| <= ln(2)/2, where a Taylor polynomial of degree 7
 * is exact to half a unit in the last place. Doubles use the library's functions. */
#ifdef REAL_IS_FLOAT
static inline float exp_parts(float x, float *scale) {
  x = x > 88.3f ? 88.3f : x;
  x = x < -87.3f ? -87.3f : x;
  const float shifted = x * 1.44269504f + 12582912.f; /* 1.5 * 2^23: rounds to an integer */
  const float n = shifted - 12582912.f;
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.f / 5040;
  p = p * r + 1.f / 720;
  p = p * r + 1.f / 120;
  p = p * r + 1.f / 24;
  p = p * r + 1.f / 6;
  p = p * r + 0.5f;
  int32_t bits;
  memcpy(&bits, &shifted, 4);
  bits = (int32_t)((uint32_t)(bits - 0x4B400000) << 23) + 0x3F800000;
  memcpy(scale, &bits, 4);
  return p * (r * r) + r;
}
static inline float unit_exp(float x) {
  float scale;
  const float p = exp_parts(x, &scale);
  return p * scale + scale;
}
/* tanh x = (e^2x - 1) / (e^2x + 1), without the cancellation near 0. */
static inline float unit_tanh(float x) {
  float scale;
  const float p = exp_parts(2.f * x, &scale);
  const float less_one = p * scale + (scale - 1.f);
  return less_one / (less_one + 2.f);
}
static inline float unit_sigmoid(float x) { return 1.f / (1.f + unit_exp(-x)); }
/* The exponential with its limits, which the functions above do not need. */
static inline float whole_exp(float x) {
  const float y = unit_exp(x);
  return x > 88.7228f ? INFINITY : x < -87.3f ? 0.f : y;
}
/* The logarithm: 2^e * (1 + f) with the polynomial of Cephes (Moshier, logf) for |f| < 0.42. */
static inline float unit_log(float x) {
  const int small = x < 1.17549435e-38f;
  const float whole = small ? x * 8388608.f : x;
  int32_t bits;
  memcpy(&bits, &whole, 4);
  bits -= 0x3F3504F3; /* the square root of 1/2 */
  const float e = (float)((bits >> 23) - (small ? 23 : 0));
  bits = (bits & 0x007FFFFF) + 0x3F3504F3;
  float f;
  memcpy(&f, &bits, 4);
  f -= 1.f;
  const float z = f * f;
  float p = 7.0376836292e-2f;
  p = p * f - 1.1514610310e-1f;
  p = p * f + 1.1676998740e-1f;
  p = p * f - 1.2420140846e-1f;
  p = p * f + 1.4249322787e-1f;
  p = p * f - 1.6668057665e-1f;
  p = p * f + 2.0000714765e-1f;
  p = p * f - 2.4999993993e-1f;
  p = p * f + 3.3333331174e-1f;
  const float y = (f * z * p - e * 2.12194440e-4f) - 0.5f * z;
  const float result = (f + y) + e * 0.693359375f;
  return x > 0 ? (x < INFINITY ? result : x) : (x == 0 ? -INFINITY : NAN);
}
/* log(1 + e) for e in [0, 1], right for small e: Kahan's correction of the rounding of 1 + e. */
static inline float log_of_1_and(float e) {
  const float u = 1.f + e, d = u - 1.f;
  return d == 0 ? e : unit_log(u) * (e / d);
}
/* The normal distribution: Abramowitz and Stegun 1964, 7.1.26, exact to 8e-8. */
static inline float unit_cdf(float x) {
  const float z = fabsf(x) * 0.70710678f, t = 1.f / (1.f + 0.3275911f * z);
  float p = 1.061405429f;
  p = p * t - 1.453152027f;
  p = p * t + 1.421413741f;
  p = p * t - 0.284496736f;
  p = p * t + 0.254829592f;
  const float tail = 0.5f * p * t * unit_exp(-z * z);
  return x < 0 ? tail : 1.f - tail;
}
static inline float unit_sqrt(float x) { return __builtin_sqrtf(x); }
#else
static inline double unit_tanh(double x) { return tanh(x); }
static inline double unit_sigmoid(double x) { return 1. / (1. + exp(-x)); }
static inline double whole_exp(double x) { return exp(x); }
static inline double unit_log(double x) { return log(x); }
static inline double log_of_1_and(double e) { return log1p(e); }
static inline double unit_cdf(double x) { return 0.5 * erfc(-x * 0.70710678118654752); }
static inline double unit_sqrt(double x) { return __builtin_sqrt(x); }
#endif
/* As in PyTorch, the result is NaN if either argument is NaN; x != x only for NaN. */
static inline real unit_max(real x, real y) { return x > y || x != x ? x : y; }
static inline real unit_min(real x, real y) { return x < y || x != x ? x : y; }
static inline real unit_softplus(real x) {
  return unit_max(x, 0) + log_of_1_and(whole_exp(x < 0 ? x : -x));
}
#define tanh(x) unit_tanh(x)
#define exp(x) whole_exp(x)
#define log(x) unit_log(x)
#define sqrt(x) unit_sqrt(x)
#define softplus(x) unit_softplus(x)
#define normal_cdf(x) unit_cdf(x)
#define sigmoid(x) unit_sigmoid(x)
#define maximum(x, y) unit_max(x, y)
#define minimum(x, y) unit_min(x, y)
#define where(condition, x, y) ((condition) ? (x) : (y))
#define full(x) (x)
