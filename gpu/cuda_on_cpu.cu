// What CUDA C needs to be compiled as plain C++: blocks run one after the other, the threads of a block are real ones.
#include <barrier>
#include <cmath>
#include <cstddef>
#include <thread>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __forceinline__ inline
#define __shared__ static
#define __launch_bounds__(n)

struct float2 {
    float x, y;
};
static inline float2 make_float2(float x, float y) { return {x, y}; }

struct Index {
    unsigned x, y, z;
};
static thread_local Index threadIdx, blockIdx;
static Index gridDim;
static std::barrier<>* meeting_point = nullptr;

static inline void __syncthreads() {
    if (meeting_point) meeting_point->arrive_and_wait();
}

template <class... A, std::size_t... I>
static void call(void (*kernel)(A...), void** arguments, std::index_sequence<I...>) {
    kernel(*static_cast<A*>(arguments[I])...);
}

template <class... A> static void run(void (*kernel)(A...), const int* grid, int n_threads, void** arguments) {
    gridDim = {static_cast<unsigned>(grid[0]), static_cast<unsigned>(grid[1]), static_cast<unsigned>(grid[2])};
    std::barrier<> barrier(n_threads);
    meeting_point = n_threads > 1 ? &barrier : nullptr;
    auto all_blocks = [&](unsigned thread) {
        threadIdx = {thread, 0, 0};
        for (unsigned z = 0; z < gridDim.z; ++z)
            for (unsigned y = 0; y < gridDim.y; ++y)
                for (unsigned x = 0; x < gridDim.x; ++x) {
                    blockIdx = {x, y, z};
                    call(kernel, arguments, std::index_sequence_for<A...>{});
                    __syncthreads();
                }
    };
    std::vector<std::thread> others;
    for (int thread = 1; thread < n_threads; ++thread) others.emplace_back(all_blocks, thread);
    all_blocks(0);
    for (auto& other : others) other.join();
    meeting_point = nullptr;
}
