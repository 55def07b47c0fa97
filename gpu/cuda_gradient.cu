// A gradient step of a 2-D SENSE problem in hybrid space: a block takes COLUMNS columns through all coils, and coil images live in
// shared memory and registers only. Needs cuda_dft.cu before it.
//
//     z = x + beta (x - before),     target = keep z - step (S^H F^-1 w F S z + mu i Im z - right)
//
// Constants of the compilation: N lines = product of RADICES (two or more), ROWS of the image (N or fewer: beyond them nothing is
// seen), COILS, SETS, COLUMNS, and LANES threads that share a column. The forward transform leaves frequencies in the order of its passes, the inverse one takes them so: `power`
// comes in that order, and each thread writes only where it has read.

INLINE float2 row(const float2* column, int y) { return y < ROWS ? column[y] : make_float2(0.f, 0.f); }

// Passes over blocks of LENGTH samples that lie next to each other.
template <int LENGTH, int RADIX, int... REST> struct Passes {
    static constexpr int M = LENGTH / RADIX;  // distance of the samples of a butterfly

    // Forward, times power, and back, from the second pass on.
    static INLINE void there_and_back(float2* data, const float* power, const float2* roots, int lane) {
        if constexpr (sizeof...(REST) == 0) {
            for (int i = lane; i < N / RADIX; i += LANES) {
                float2 x[RADIX];
#pragma unroll
                for (int q = 0; q < RADIX; ++q) x[q] = data[i * RADIX + q];
                Dft<RADIX>::run(x);
#pragma unroll
                for (int q = 0; q < RADIX; ++q) x[q] = power[i * RADIX + q] * x[q];
                inverse_dft<RADIX>(x);
#pragma unroll
                for (int q = 0; q < RADIX; ++q) data[i * RADIX + q] = x[q];
            }
            __syncthreads();
        } else {
            for (int i = lane; i < N / RADIX; i += LANES) {
                int j = i % M;
                float2* at = data + (i / M) * LENGTH + j;
                float2 x[RADIX];
#pragma unroll
                for (int q = 0; q < RADIX; ++q) x[q] = at[q * M];
                forward(x, roots[j * (N / LENGTH)]);
#pragma unroll
                for (int q = 0; q < RADIX; ++q) at[q * M] = x[q];
            }
            __syncthreads();
            Passes<M, REST...>::there_and_back(data, power, roots, lane);
            for (int i = lane; i < N / RADIX; i += LANES) {
                int j = i % M;
                float2* at = data + (i / M) * LENGTH + j;
                float2 x[RADIX];
#pragma unroll
                for (int q = 0; q < RADIX; ++q) x[q] = at[q * M];
                backward(x, roots[j * (N / LENGTH)]);
#pragma unroll
                for (int q = 0; q < RADIX; ++q) at[q * M] = x[q];
            }
            __syncthreads();
        }
    }

    // A butterfly and its twiddle factors, powers of `root`.
    static INLINE void forward(float2 (&x)[RADIX], float2 root) {
        Dft<RADIX>::run(x);
        turn(x, root);
    }

    static INLINE void backward(float2 (&x)[RADIX], float2 root) {
        turn(x, conj(root));
        inverse_dft<RADIX>(x);
    }

    static INLINE void turn(float2 (&x)[RADIX], float2 root) {
        float2 factor = root;
#pragma unroll
        for (int q = 1; q < RADIX; ++q) {
            x[q] = x[q] * factor;
            factor = factor * root;
        }
    }
};

template <int FIRST, int... REST> struct Column {
    static constexpr int M = N / FIRST;
    static constexpr int SHARE = (M + LANES - 1) / LANES;  // butterflies of the first pass that are one thread's: 1 on a GPU
    using First = Passes<N, FIRST, REST...>;
    using Others = Passes<M, REST...>;

    // Sum of conj(map) F^-1 w F (map z) over the coils, of the samples that are this thread's.
    static INLINE void normal(
        const float2* maps, const float* power, const float2* roots, const float2 (&z)[SHARE][SETS][FIRST],
        float2 (&sum)[SHARE][SETS][FIRST], float2* data, int lane
    ) {
        for (int coil = 0; coil < COILS; ++coil) {
            const float2* map = maps + coil * ROWS;
            for (int i = 0; i < SHARE; ++i) {
                int j = lane + i * LANES;
                if (j >= M) continue;
                float2 x[FIRST];
#pragma unroll
                for (int q = 0; q < FIRST; ++q) {
                    x[q] = row(map, j + q * M) * z[i][0][q];
#pragma unroll
                    for (int s = 1; s < SETS; ++s) x[q] = x[q] + row(map + s * COILS * ROWS, j + q * M) * z[i][s][q];
                }
                First::forward(x, roots[j]);
#pragma unroll
                for (int q = 0; q < FIRST; ++q) data[j + q * M] = x[q];
            }
            __syncthreads();
            Others::there_and_back(data, power, roots, lane);
            for (int i = 0; i < SHARE; ++i) {
                int j = lane + i * LANES;
                if (j >= M) continue;
                float2 x[FIRST];
#pragma unroll
                for (int q = 0; q < FIRST; ++q) x[q] = data[j + q * M];
                First::backward(x, roots[j]);
#pragma unroll
                for (int s = 0; s < SETS; ++s)
#pragma unroll
                    for (int q = 0; q < FIRST; ++q)
                        sum[i][s][q] = sum[i][s][q] + conj(row(map + s * COILS * ROWS, j + q * M)) * x[q];
            }
        }
    }

    // Arguments as of gradient_step; `data` has N samples a column.
    static INLINE void step(
        const float2* __restrict__ maps, const float* __restrict__ power, const float2* __restrict__ roots,
        const float2* __restrict__ x, const float2* __restrict__ before, const float2* __restrict__ right, float momentum,
        float length, float keep, float penalty, float2* __restrict__ target, float2* data, int lane, bool writes
    ) {
        float2 z[SHARE][SETS][FIRST], sum[SHARE][SETS][FIRST];
        for (int i = 0; i < SHARE; ++i) {
            int j = lane + i * LANES;
            if (j >= M) continue;
#pragma unroll
            for (int s = 0; s < SETS; ++s)
#pragma unroll
                for (int q = 0; q < FIRST; ++q) {
                    float2 now = row(x + s * ROWS, j + q * M);
                    z[i][s][q] = now + momentum * (now - row(before + s * ROWS, j + q * M));
                    sum[i][s][q] = make_float2(0.f, 0.f);
                }
        }
        normal(maps, power, roots, z, sum, data, lane);
        for (int i = 0; i < SHARE; ++i) {
            int j = lane + i * LANES;
            if (j >= M || !writes) continue;
#pragma unroll
            for (int s = 0; s < SETS; ++s)
#pragma unroll
                for (int q = 0; q < FIRST; ++q) {
                    if (j + q * M >= ROWS) continue;
                    float2 v = z[i][s][q], g = sum[i][s][q];
                    g.y += penalty * v.y;
                    if (right != nullptr) g = g - right[s * ROWS + j + q * M];
                    target[s * ROWS + j + q * M] = keep * v - length * g;
                }
        }
    }
};

// maps (slice, x, set, coil, y), power (slice, ky), roots (N): exp(-2 pi i k / N), images (slice, x, set, y), `right` may be null;
// momentum and step (slice). Grid: (columns / COLUMNS rounded up, slices), LANES * COLUMNS threads.
extern "C" __global__ void __launch_bounds__(LANES * COLUMNS) gradient_step(
    const float2* maps, const float* power, const float2* roots, const float2* x, const float2* before, const float2* right,
    const float* momentum, const float* step, float keep, float penalty, int n_columns, float2* target
) {
    __shared__ float2 data[COLUMNS][N];
    int lane = threadIdx.x % LANES, place = threadIdx.x / LANES, slice = blockIdx.y;
    int wanted = blockIdx.x * COLUMNS + place;
    long long column = static_cast<long long>(slice) * n_columns + (wanted < n_columns ? wanted : n_columns - 1);
    long long image = column * SETS * ROWS;
    Column<RADICES>::step(
        maps + image * COILS, power + static_cast<long long>(slice) * N, roots, x + image, before + image,
        right == nullptr ? right : right + image, momentum[slice], step[slice], keep, penalty, target + image, data[place], lane,
        wanted < n_columns
    );
}
