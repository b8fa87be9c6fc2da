/* Unit-wise functions, written so that loops over them vectorise. */

/* The exponential as 2^n * e^r, |r| <= ln(2)/2, where a Taylor polynomial of degree 7 is exact to
 * half a unit in the last place. Doubles use the library's functions. */
#ifdef REAL_IS_FLOAT
static inline float unit_exp(float x) {
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
  p = p * (r * r) + r + 1.f;
  int32_t bits;
  memcpy(&bits, &shifted, 4);
  bits = (int32_t)((uint32_t)(bits - 0x4B400000) << 23) + 0x3F800000;
  float scale;
  memcpy(&scale, &bits, 4);
  return p * scale;
}
/* tanh: the odd polynomial of Cephes (Moshier, tanhf) near 0, elsewhere 1 - 2 / (e^2x + 1). */
static inline float unit_tanh(float x) {
  const float z = x * x;
  float p = -5.70498872745e-3f;
  p = p * z + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  const float near = p * z * x + x;
  const float far = 1.f - 2.f / (unit_exp(2.f * x) + 1.f);
  return z < 0.390625f ? near : far;
}
static inline float unit_sigmoid(float x) { return 1.f / (1.f + unit_exp(-x)); }
#else
static inline double unit_tanh(double x) { return tanh(x); }
static inline double unit_sigmoid(double x) { return 1. / (1. + exp(-x)); }
#endif
/* As in PyTorch, the result is NaN if either argument is NaN; x != x only for NaN. */
static inline real unit_max(real x, real y) { return x > y || x != x ? x : y; }
static inline real unit_min(real x, real y) { return x < y || x != x ? x : y; }
#define tanh(x) unit_tanh(x)
#define sigmoid(x) unit_sigmoid(x)
#define maximum(x, y) unit_max(x, y)
#define minimum(x, y) unit_min(x, y)
#define where(condition, x, y) ((condition) ? (x) : (y))
#define full(x) (x)
