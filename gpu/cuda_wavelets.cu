// One level of an orthogonal wavelet transform of images, there (with shrinkage by neighbourhoods) and back, tile by tile in
// shared memory. Needs cuda_dft.cu before it, for its complex arithmetic.
//
// Constants of the compilation: TAPS filter taps LOW_TAPS; TILE_X, TILE_Y coefficients of each band that are a block's; SETS images
// of a slice; THREADS of a block, a power of two. Bands are numbered 2 * (high along x) + (high along y).

#define PAIRS (TAPS / 2)
#define TINY 1e-30f

INLINE constexpr float low(int k) {
    constexpr float taps[TAPS] = {LOW_TAPS};
    return taps[k];
}
INLINE constexpr float high(int k) { return k % 2 == 0 ? low(TAPS - 1 - k) : -low(TAPS - 1 - k); }

INLINE int wrapped(int i, int n) {
    i %= n;
    return i < 0 ? i + n : i;
}

// Where image `index` of (slice, x, set, y) begins; levels beyond the first are stored as (image, x, y).
INLINE long long image_start(int index, int n_x, int n_y) {
    return static_cast<long long>(index / SETS) * n_x * SETS * n_y + static_cast<long long>(index % SETS) * n_y;
}

// Bands of a level. `source` has sides n_x, n_y and is padded with zeros to padded_x, padded_y and rolled by `shift` (x, y); a
// row begins row_stride after the one before. approximation (image, x, y), details (image, band - 1, x, y), shrunk by
// t = threshold[slice] * strength[slice]. Grid: (tiles along y, along x, images).
extern "C" __global__ void __launch_bounds__(THREADS) analyse(
    const float2* source, int is_image, int n_x, int n_y, int padded_x, int padded_y, const int* shift,
    const float* threshold, const float* strength, float2* approximation, float2* details
) {
    constexpr int COEFFICIENTS_X = TILE_X + 2, COEFFICIENTS_Y = TILE_Y + 2;  // with neighbours
    constexpr int SAMPLES_X = 2 * COEFFICIENTS_X + TAPS - 2, SAMPLES_Y = 2 * COEFFICIENTS_Y + TAPS - 2;
    constexpr int BAND = COEFFICIENTS_X * COEFFICIENTS_Y;
    __shared__ float2 samples[SAMPLES_X * SAMPLES_Y > 4 * BAND ? SAMPLES_X * SAMPLES_Y : 4 * BAND];
    __shared__ float2 halfway[SAMPLES_X * 2 * COEFFICIENTS_Y];
    int image = blockIdx.z, first_x = blockIdx.y * TILE_X - 1, first_y = blockIdx.x * TILE_Y - 1;
    int half_x = padded_x / 2, half_y = padded_y / 2, row_stride = is_image ? SETS * n_y : n_y;
    int shift_x = is_image ? shift[0] : 0, shift_y = is_image ? shift[1] : 0;
    const float2* from = source + (is_image ? image_start(image, n_x, n_y) : static_cast<long long>(image) * n_x * n_y);

    for (int i = threadIdx.x; i < SAMPLES_X * SAMPLES_Y; i += THREADS) {
        int x = wrapped(2 * first_x + i / SAMPLES_Y - shift_x, padded_x);
        int y = wrapped(2 * first_y + i % SAMPLES_Y - shift_y, padded_y);
        samples[i] = x < n_x && y < n_y ? from[static_cast<long long>(x) * row_stride + y] : make_float2(0.f, 0.f);
    }
    __syncthreads();
    for (int i = threadIdx.x; i < SAMPLES_X * COEFFICIENTS_Y; i += THREADS) {
        int x = i / COEFFICIENTS_Y, y = i % COEFFICIENTS_Y;
        float2 u = make_float2(0.f, 0.f), v = u;
#pragma unroll
        for (int k = 0; k < TAPS; ++k) {
            float2 sample = samples[x * SAMPLES_Y + 2 * y + k];
            u = u + low(k) * sample;
            v = v + high(k) * sample;
        }
        halfway[(2 * x) * COEFFICIENTS_Y + y] = u;
        halfway[(2 * x + 1) * COEFFICIENTS_Y + y] = v;
    }
    __syncthreads();
    float2* bands = samples;  // what was in it has been used
    for (int i = threadIdx.x; i < BAND; i += THREADS) {
        int x = i / COEFFICIENTS_Y, y = i % COEFFICIENTS_Y;
        for (int along_y = 0; along_y < 2; ++along_y) {
            float2 u = make_float2(0.f, 0.f), v = u;
#pragma unroll
            for (int k = 0; k < TAPS; ++k) {
                float2 sample = halfway[(2 * (2 * x + k) + along_y) * COEFFICIENTS_Y + y];
                u = u + low(k) * sample;
                v = v + high(k) * sample;
            }
            bands[along_y * BAND + i] = u;
            bands[(2 + along_y) * BAND + i] = v;
        }
    }
    __syncthreads();
    float t = threshold[image / SETS] * strength[image / SETS];
    for (int i = threadIdx.x; i < TILE_X * TILE_Y; i += THREADS) {
        int x = i / TILE_Y + 1, y = i % TILE_Y + 1, to_x = first_x + x, to_y = first_y + y;
        if (to_x >= half_x || to_y >= half_y) continue;
        // a band's edge stands for what lies beyond it
        int above = to_x > 0 ? x - 1 : x, below = to_x < half_x - 1 ? x + 1 : x;
        int before = to_y > 0 ? y - 1 : y, after = to_y < half_y - 1 ? y + 1 : y;
        long long to = (static_cast<long long>(image) * half_x + to_x) * half_y + to_y;
        approximation[to] = bands[x * COEFFICIENTS_Y + y];
        for (int band = 1; band < 4; ++band) {
            const float2* own = bands + band * BAND;
            float power = 0.f;
#pragma unroll
            for (int p = 0; p < 9; ++p) {
                int row = p / 3 == 0 ? above : p / 3 == 1 ? x : below, column = p % 3 == 0 ? before : p % 3 == 1 ? y : after;
                float2 c = own[row * COEFFICIENTS_Y + column];
                power += c.x * c.x + c.y * c.y;
            }
            power = power / 9.f;
            float kept = 1.f - t * t / (power > TINY ? power : TINY);
            long long at = (static_cast<long long>(image) * 3 + band - 1) * half_x * half_y + static_cast<long long>(to_x) * half_y;
            details[at + to_y] = (kept > 0.f ? kept : 0.f) * own[x * COEFFICIENTS_Y + y];
        }
    }
}

// The four bands of a tile to the samples (2 TILE_X, 2, TILE_Y + PAIRS - 1) that are whole along x, half along y.
INLINE void along_x(const float2* approximation, const float2* details, int half_x, int half_y, float2* bands, float2* halfway) {
    constexpr int COEFFICIENTS_X = TILE_X + PAIRS - 1, COEFFICIENTS_Y = TILE_Y + PAIRS - 1;
    constexpr int BAND = COEFFICIENTS_X * COEFFICIENTS_Y;
    long long image = blockIdx.z, side = static_cast<long long>(half_x) * half_y;
    int first_x = blockIdx.y * TILE_X - (PAIRS - 1), first_y = blockIdx.x * TILE_Y - (PAIRS - 1);
    for (int i = threadIdx.x; i < BAND; i += THREADS) {
        int x = wrapped(first_x + i / COEFFICIENTS_Y, half_x), y = wrapped(first_y + i % COEFFICIENTS_Y, half_y);
        long long from = static_cast<long long>(x) * half_y + y;
        bands[i] = approximation[image * side + from];
        for (int band = 1; band < 4; ++band) bands[band * BAND + i] = details[(image * 3 + band - 1) * side + from];
    }
    __syncthreads();
    for (int i = threadIdx.x; i < 2 * TILE_X * COEFFICIENTS_Y; i += THREADS) {
        int y = i % COEFFICIENTS_Y, along_y = i / COEFFICIENTS_Y % 2, x = i / COEFFICIENTS_Y / 2 + PAIRS - 1;
        float2 even = make_float2(0.f, 0.f), odd = even;
#pragma unroll
        for (int j = 0; j < PAIRS; ++j) {
            float2 u = bands[along_y * BAND + (x - j) * COEFFICIENTS_Y + y];
            float2 v = bands[(2 + along_y) * BAND + (x - j) * COEFFICIENTS_Y + y];
            even = even + low(2 * j) * u + high(2 * j) * v;
            odd = odd + low(2 * j + 1) * u + high(2 * j + 1) * v;
        }
        int row = 2 * (x - (PAIRS - 1));
        halfway[(2 * row + along_y) * COEFFICIENTS_Y + y] = even;
        halfway[(2 * (row + 1) + along_y) * COEFFICIENTS_Y + y] = odd;
    }
    __syncthreads();
}

// Row x of a tile along y: samples 2 y and 2 y + 1.
INLINE void along_y(const float2* halfway, int x, int y, float2& even, float2& odd) {
    constexpr int COEFFICIENTS_Y = TILE_Y + PAIRS - 1;
    even = odd = make_float2(0.f, 0.f);
#pragma unroll
    for (int j = 0; j < PAIRS; ++j) {
        float2 u = halfway[2 * x * COEFFICIENTS_Y + y + PAIRS - 1 - j];
        float2 v = halfway[(2 * x + 1) * COEFFICIENTS_Y + y + PAIRS - 1 - j];
        even = even + low(2 * j) * u + high(2 * j) * v;
        odd = odd + low(2 * j + 1) * u + high(2 * j + 1) * v;
    }
}

#define SYNTHESIS_MEMORY                                                                                              \
    __shared__ float2 bands[4 * (TILE_X + PAIRS - 1) * (TILE_Y + PAIRS - 1)];                                         \
    __shared__ float2 halfway[4 * TILE_X * (TILE_Y + PAIRS - 1)];

// A level back: target (image, 2 half_x, 2 half_y). Grid as of analyse.
extern "C" __global__ void __launch_bounds__(THREADS)
    synthesise(const float2* approximation, const float2* details, int half_x, int half_y, float2* target) {
    SYNTHESIS_MEMORY
    along_x(approximation, details, half_x, half_y, bands, halfway);
    for (int i = threadIdx.x; i < 2 * TILE_X * TILE_Y; i += THREADS) {
        int x = i / TILE_Y, y = i % TILE_Y, to_x = 2 * blockIdx.y * TILE_X + x, to_y = 2 * (blockIdx.x * TILE_Y + y);
        if (to_x >= 2 * half_x || to_y >= 2 * half_y) continue;
        float2 even, odd;
        along_y(halfway, x, y, even, odd);
        float2* to = target + (static_cast<long long>(blockIdx.z) * 2 * half_x + to_x) * 2 * half_y + to_y;
        to[0] = even;
        to[1] = odd;
    }
}

// The last level back, rolled back into images (slice, x, set, y) of sides n_x, n_y: the new iterate, which takes the place of
// `before`. On the way mean += share * new, and Re (z - new)* (new - x) with z = x + momentum (x - before) is added up, a number a
// block, into uphill (image, tiles along x, along y). Without a mean (null) the image is all.
extern "C" __global__ void __launch_bounds__(THREADS) synthesise_image(
    const float2* approximation, const float2* details, int half_x, int half_y, int n_x, int n_y, const int* shift,
    const float2* now, float2* before, const float* momentum, float2* mean, float share, float* uphill
) {
    SYNTHESIS_MEMORY
    __shared__ float slopes[THREADS];
    along_x(approximation, details, half_x, half_y, bands, halfway);
    int image = blockIdx.z, row_stride = SETS * n_y;
    long long start = image_start(image, n_x, n_y);
    float beta = mean == nullptr ? 0.f : momentum[image / SETS], slope = 0.f;
    for (int i = threadIdx.x; i < 2 * TILE_X * TILE_Y; i += THREADS) {
        int x = i / TILE_Y, y = i % TILE_Y, from_x = 2 * blockIdx.y * TILE_X + x, from_y = 2 * (blockIdx.x * TILE_Y + y);
        if (from_x >= 2 * half_x || from_y >= 2 * half_y) continue;
        float2 values[2];
        along_y(halfway, x, y, values[0], values[1]);
        int to_x = wrapped(from_x - shift[0], 2 * half_x);
        for (int k = 0; k < 2; ++k) {
            int to_y = wrapped(from_y + k - shift[1], 2 * half_y);
            if (to_x >= n_x || to_y >= n_y) continue;
            long long at = start + static_cast<long long>(to_x) * row_stride + to_y;
            float2 v = values[k];
            if (mean != nullptr) {
                float2 a = now[at], rest = a + beta * (a - before[at]) - v, change = v - a;
                slope += rest.x * change.x + rest.y * change.y;
                mean[at] = mean[at] + share * v;
            }
            before[at] = v;
        }
    }
    if (mean == nullptr) return;
    slopes[threadIdx.x] = slope;
    __syncthreads();
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if (static_cast<int>(threadIdx.x) < half) slopes[threadIdx.x] += slopes[threadIdx.x + half];
        __syncthreads();
    }
    if (threadIdx.x == 0) uphill[(static_cast<long long>(image) * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x] = slopes[0];
}
