// Complex arithmetic, and Fourier transforms of a few numbers that stay in registers.

#define INLINE __device__ __forceinline__

INLINE float2 operator+(float2 a, float2 b) { return make_float2(a.x + b.x, a.y + b.y); }
INLINE float2 operator-(float2 a, float2 b) { return make_float2(a.x - b.x, a.y - b.y); }
INLINE float2 operator*(float a, float2 b) { return make_float2(a * b.x, a * b.y); }
INLINE float2 operator*(float2 a, float2 b) { return make_float2(a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x); }
INLINE float2 conj(float2 a) { return make_float2(a.x, -a.y); }
INLINE float2 swapped(float2 a) { return make_float2(a.y, a.x); }  // turns a transform around, before and after it
INLINE float2 minus_i(float2 a) { return make_float2(a.y, -a.x); }

// sin(x) or cos(x) for |x| <= pi by their series, at compile time.
__device__ constexpr double wave(double x, bool is_sine) {
    double term = is_sine ? x : 1, sum = term;
    for (int k = is_sine ? 2 : 1; k < 40; k += 2) {
        term *= -x * x / (k * (k + 1));
        sum += term;
    }
    return sum;
}

// exp(-2 pi i k / R) for k < R.
template <int R> struct Roots {
    float re[R], im[R];
    __device__ constexpr Roots() : re(), im() {
        for (int k = 0; k < R; ++k) {
            double angle = 6.283185307179586476925 * (2 * k > R ? k - R : k) / R;
            re[k] = static_cast<float>(wave(angle, false));
            im[k] = static_cast<float>(-wave(angle, true));
        }
    }
};

template <int R> struct Dft;

template <> struct Dft<2> {
    static INLINE void run(float2 (&x)[2]) {
        float2 a = x[0];
        x[0] = a + x[1];
        x[1] = a - x[1];
    }
};

template <> struct Dft<3> {
    static INLINE void run(float2 (&x)[3]) {
        constexpr Roots<3> roots{};
        float2 sum = x[1] + x[2], odd = -roots.im[1] * minus_i(x[1] - x[2]), even = x[0] - 0.5f * sum;
        x[0] = x[0] + sum;
        x[1] = even + odd;
        x[2] = even - odd;
    }
};

template <> struct Dft<4> {
    static INLINE void run(float2 (&x)[4]) {
        float2 a = x[0] + x[2], b = x[0] - x[2], c = x[1] + x[3], d = minus_i(x[1] - x[3]);
        x[0] = a + c;
        x[1] = b + d;
        x[2] = a - c;
        x[3] = b - d;
    }
};

template <> struct Dft<5> {
    static INLINE void run(float2 (&x)[5]) {
        constexpr Roots<5> roots{};
        float2 p = x[1] + x[4], q = minus_i(x[1] - x[4]), r = x[2] + x[3], u = minus_i(x[2] - x[3]);
        float2 f = x[0] + roots.re[1] * p + roots.re[2] * r, g = x[0] + roots.re[2] * p + roots.re[1] * r;
        float2 h = -roots.im[1] * q - roots.im[2] * u, k = roots.im[1] * u - roots.im[2] * q;
        x[0] = x[0] + p + r;
        x[1] = f + h;
        x[2] = g + k;
        x[3] = g - k;
        x[4] = f - h;
    }
};

// Of A * B numbers: B transforms of A, twiddle factors, A transforms of B.
template <int A, int B> INLINE void in_two_steps(float2 (&x)[A * B]) {
    constexpr Roots<A * B> roots{};
    float2 rows[B][A];
#pragma unroll
    for (int b = 0; b < B; ++b) {
#pragma unroll
        for (int a = 0; a < A; ++a) rows[b][a] = x[a * B + b];
        Dft<A>::run(rows[b]);
    }
#pragma unroll
    for (int a = 0; a < A; ++a) {
        float2 column[B];
#pragma unroll
        for (int b = 0; b < B; ++b) {
            constexpr int R = A * B;
            column[b] = a * b == 0 ? rows[b][a] : rows[b][a] * make_float2(roots.re[a * b % R], roots.im[a * b % R]);
        }
        Dft<B>::run(column);
#pragma unroll
        for (int b = 0; b < B; ++b) x[a + A * b] = column[b];
    }
}

template <> struct Dft<6> {
    static INLINE void run(float2 (&x)[6]) { in_two_steps<2, 3>(x); }
};
template <> struct Dft<8> {
    static INLINE void run(float2 (&x)[8]) { in_two_steps<2, 4>(x); }
};
template <> struct Dft<9> {
    static INLINE void run(float2 (&x)[9]) { in_two_steps<3, 3>(x); }
};
template <> struct Dft<10> {
    static INLINE void run(float2 (&x)[10]) { in_two_steps<2, 5>(x); }
};

// The inverse, unscaled.
template <int R> INLINE void inverse_dft(float2 (&x)[R]) {
#pragma unroll
    for (int q = 0; q < R; ++q) x[q] = swapped(x[q]);
    Dft<R>::run(x);
#pragma unroll
    for (int q = 0; q < R; ++q) x[q] = swapped(x[q]);
}
