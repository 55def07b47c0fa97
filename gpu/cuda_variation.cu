// One dual step of total variation on images (slice, x, set, y). Needs cuda_dft.cu before it, for its complex arithmetic.
//
//     u = v + w div p,      p_next = (p + grad u / 8 w) into the unit ball,      x_next = v + w div p_next
//
// Constants of the compilation: SETS images of a slice; THREADS of a block, a power of two; SPAN pixels along y that are a
// block's. Grid: (spans along y, x, images). The dual field p is (axis, slice, x, set, y); w = weight[slice] * strength[slice].

#define SMALLEST 1e-12f

INLINE long long pixel(int image, int x, int y, int n_x, int n_y) {
    return ((static_cast<long long>(image / SETS) * n_x + x) * SETS + image % SETS) * n_y + y;
}

// v + w div p at a pixel; differences are periodic.
INLINE float2 divided(const float2* v, const float2* p, long long field, float w, int image, int x, int y, int n_x, int n_y) {
    long long here = pixel(image, x, y, n_x, n_y);
    float2 across = p[here] - p[pixel(image, x > 0 ? x - 1 : n_x - 1, y, n_x, n_y)];
    float2 along = p[field + here] - p[field + pixel(image, x, y > 0 ? y - 1 : n_y - 1, n_x, n_y)];
    return v[here] + w * (across + along);
}

extern "C" __global__ void __launch_bounds__(THREADS) ascend(
    const float2* v, const float2* p, float2* p_next, const float* weight, const float* strength, int n_x, int n_y, int n_slices
) {
    int image = blockIdx.z, x = blockIdx.y, last = blockIdx.x * SPAN + SPAN;
    float w = weight[image / SETS] * strength[image / SETS], pace = 1.f / (8.f * (w > SMALLEST ? w : SMALLEST));
    long long field = static_cast<long long>(n_slices) * n_x * SETS * n_y;
    for (int y = blockIdx.x * SPAN + threadIdx.x; y < (last < n_y ? last : n_y); y += THREADS) {
        float2 u = divided(v, p, field, w, image, x, y, n_x, n_y);
        float2 below = divided(v, p, field, w, image, x + 1 < n_x ? x + 1 : 0, y, n_x, n_y);
        float2 right = divided(v, p, field, w, image, x, y + 1 < n_y ? y + 1 : 0, n_x, n_y);
        long long here = pixel(image, x, y, n_x, n_y);
        float2 across = p[here] + pace * (below - u), along = p[field + here] + pace * (right - u);
        float power = across.x * across.x + across.y * across.y + along.x * along.x + along.y * along.y;
        float scale = power > 1.f ? 1.f / sqrtf(power) : 1.f;
        p_next[here] = scale * across;
        p_next[field + here] = scale * along;
    }
}

// The new iterate takes the place of `before`; mean and uphill (image, x, spans) as of synthesise_image.
extern "C" __global__ void __launch_bounds__(THREADS) descend(
    const float2* v, const float2* p, const float* weight, const float* strength, int n_x, int n_y, int n_slices,
    const float2* now, float2* before, const float* momentum, float2* mean, float share, float* uphill
) {
    __shared__ float slopes[THREADS];
    int image = blockIdx.z, x = blockIdx.y, last = blockIdx.x * SPAN + SPAN;
    float w = weight[image / SETS] * strength[image / SETS], beta = momentum[image / SETS], slope = 0.f;
    long long field = static_cast<long long>(n_slices) * n_x * SETS * n_y;
    for (int y = blockIdx.x * SPAN + threadIdx.x; y < (last < n_y ? last : n_y); y += THREADS) {
        long long here = pixel(image, x, y, n_x, n_y);
        float2 new_value = divided(v, p, field, w, image, x, y, n_x, n_y), a = now[here];
        float2 rest = a + beta * (a - before[here]) - new_value, change = new_value - a;
        slope += rest.x * change.x + rest.y * change.y;
        mean[here] = mean[here] + share * new_value;
        before[here] = new_value;
    }
    slopes[threadIdx.x] = slope;
    __syncthreads();
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if (static_cast<int>(threadIdx.x) < half) slopes[threadIdx.x] += slopes[threadIdx.x + half];
        __syncthreads();
    }
    if (threadIdx.x == 0) uphill[(static_cast<long long>(image) * n_x + x) * gridDim.x + blockIdx.x] = slopes[0];
}
