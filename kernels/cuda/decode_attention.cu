// Attention of single rows over paged keys and values: a row of decoding, or of a draft. The query
// heads of a group share every read.
//
// Memory decides the time, so keys and values go through shared memory once, in tiles of 16 keys: a
// warp has four tiles under way and works on chunks of 64 keys (attention.h), the four key tiles
// and then the four value tiles, each of which takes the place that one before it leaves. Partial
// results of a chunk go to the workspace ([row][head][chunk], f32; it stays in the second-level
// cache), and the block of a row and key head that ends last merges them in the order of chunks.
// Warps are independent of each other until then.
//
// Of the 16 query rows of the tensor core, n_q / n_kv are used: what is not used costs nothing that
// matters beside the memory.
//
// Launch: [rows, n_kv, spread] blocks of four warps; chunk c belongs to warp c % (4 spread). The
// result does not depend on `spread`. Shared memory: 64 KB for d = 128. A row of length 0 gets
// zeros and reads nothing.

#include "attention.h"

namespace maspo {

constexpr unsigned DECODE_WARPS = 4;

template <unsigned D>
struct DecodeShared {
  uint16_t tiles[DECODE_WARPS][CHUNK_TILES][KEY_TILE * D];
  unsigned flag;
};

// Starts the copies of 16 keys or values; what lies at `length` or behind becomes zero, so that no
// memory that was never written is multiplied.
template <unsigned D>
__device__ __forceinline__ void copy_tile(uint16_t* to, const uint16_t* pool, const Paged& paged, unsigned position,
                                          unsigned length) {
  unsigned lane = threadIdx.x % WARP;
  const uint16_t* from = position < length ? pool + paged.tile<D>(position) : pool;
#pragma unroll 2
  for (unsigned i = 0; i < KEY_TILE * D / 8 / WARP; i++) {
    unsigned at = i * WARP + lane, row = at / (D / 8), eight = at % (D / 8);
    bool there = position + row < length;
    copy16_later(to + swizzled<D>(row, eight), there ? from + row * D + eight * 8 : pool, there ? 16 : 0);
  }
}

template <unsigned D>
static __global__ void __launch_bounds__(DECODE_WARPS* WARP, 2) decode_attention_kernel(const MaspoDecodeAttention a) {
  auto& shared = *shared_memory<DecodeShared<D>>();
  unsigned lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, g = lane / 4, t = lane % 4;
  unsigned row = blockIdx.x, kv_head = blockIdx.y, group = a.n_q / a.n_kv;
  // A length above the bucket's would write outside of the workspace.
  unsigned length = min(a.lengths[row], a.max_length), chunks = ceil_div(length, CHUNK),
           most = ceil_div(a.max_length, CHUNK);
  Paged paged{a.keys, a.values, a.tables + a.table_starts[row], a.n_kv, kv_head, a.block_tokens};
  size_t first_head = size_t(row) * a.n_q + kv_head * group;
  // Workspace: maxima and sums [t, n_q, most], then values [t, n_q, most, D].
  auto* maxima = static_cast<Softmax*>(a.workspace) + first_head * most;
  size_t before = ceil_div(size_t(a.rows) * a.n_q * most * sizeof(Softmax), size_t(16)) * 16;
  auto* sums = reinterpret_cast<float*>(static_cast<unsigned char*>(a.workspace) + before) + first_head * most * D;

  unsigned warps = gridDim.z * DECODE_WARPS, chunk = blockIdx.z * DECODE_WARPS + warp;
  if (chunk < chunks) {
    auto& tiles = shared.tiles[warp];
#pragma unroll
    for (unsigned j = 0; j < CHUNK_TILES; j++) {
      copy_tile<D>(tiles[j], a.keys, paged, chunk * CHUNK + j * KEY_TILE, length);
      end_copy_group();
    }
    unsigned q[D / 16][4];
    const uint16_t* queries = a.q + first_head * D;
    load_queries<D>(q, g < group ? queries + g * D : nullptr, g + 8 < group ? queries + (g + 8) * D : nullptr);
    for (; chunk < chunks; chunk += warps) {
      float s[2 * CHUNK_TILES][4];
#pragma unroll
      for (unsigned j = 0; j < CHUNK_TILES; j++) {
        wait_for_copies<CHUNK_TILES - 1>();
        __syncwarp();
        score_tile<D>(tiles[j], q, s[2 * j], s[2 * j + 1]);
        __syncwarp();
        copy_tile<D>(tiles[j], a.values, paged, chunk * CHUNK + j * KEY_TILE, length);
        end_copy_group();
      }
      Softmax rows[2];
      unsigned seen = min(length - chunk * CHUNK, CHUNK);
      weigh_chunk(s, score_scale<D>(), seen, seen, rows);
      float out[D / 8][4] = {};
#pragma unroll
      for (unsigned j = 0; j < CHUNK_TILES; j++) {
        wait_for_copies<CHUNK_TILES - 1>();
        __syncwarp();
        add_values<D>(tiles[j], s[2 * j], s[2 * j + 1], out);
        __syncwarp();
        if (chunk + warps < chunks)
          copy_tile<D>(tiles[j], a.keys, paged, (chunk + warps) * CHUNK + j * KEY_TILE, length);
        end_copy_group();
      }
#pragma unroll
      for (unsigned half = 0; half < 2; half++) {
        unsigned head = g + half * 8;
        if (head >= group) continue;
        size_t place = size_t(head) * most + chunk;
        if (t == 0) maxima[place] = rows[half];
#pragma unroll
        for (unsigned n = 0; n < D / 8; n++) {
          *reinterpret_cast<float2*>(sums + place * D + n * 8 + 2 * t) =
              make_float2(out[n][half * 2], out[n][half * 2 + 1]);
        }
      }
    }
  }
  if (!last_of(a.counters + row * a.n_kv + kv_head, gridDim.z, &shared.flag)) return;

  for (unsigned i = threadIdx.x; i < group * (D / 4); i += DECODE_WARPS * WARP) {
    unsigned head = i / (D / 4), at = i % (D / 4) * 4;
    const Softmax* of_chunks = maxima + size_t(head) * most;
    const float* values = sums + size_t(head) * most * D + at;
    Softmax all = {-MASPO_INFINITY, 0};
    float4 sum = make_float4(0, 0, 0, 0);
#pragma unroll 4
    for (unsigned c = 0; c < chunks; c++) {
      float2 known = load8_written(reinterpret_cast<const float2*>(of_chunks + c));
      float4 more = load16_written(reinterpret_cast<const float4*>(values + size_t(c) * D));
      Merge factors = merge(all, {known.x, known.y});
      sum = make_float4(merged(sum.x, more.x, factors), merged(sum.y, more.y, factors), merged(sum.z, more.z, factors),
                        merged(sum.w, more.w, factors));
    }
    *reinterpret_cast<uint2*>(a.out + (first_head + head) * D + at) =
        make_uint2(pack_bf16(normalized(sum.x, all), normalized(sum.y, all)),
                   pack_bf16(normalized(sum.z, all), normalized(sum.w, all)));
  }
}

}  // namespace maspo

using namespace maspo;

extern "C" int maspo_cuda_decode_attention(const MaspoDecodeAttention* a, void* stream) {
  if (a->n_kv == 0 || a->n_q % a->n_kv != 0 || a->n_q / a->n_kv > 16 || a->n_q == 0) return MASPO_BAD_SHAPE;
  if (a->block_tokens == 0 || a->block_tokens % 16 != 0 || a->spread == 0 || a->max_length == 0) return MASPO_BAD_SHAPE;
  if (a->rows == 0) return MASPO_OK;
  dim3 blocks(a->rows, a->n_kv, a->spread), threads(DECODE_WARPS * WARP);
  if (a->d == 128) return launch(decode_attention_kernel<128>, blocks, threads, sizeof(DecodeShared<128>), stream, *a);
  if (a->d == 64) return launch(decode_attention_kernel<64>, blocks, threads, sizeof(DecodeShared<64>), stream, *a);
  return MASPO_BAD_SHAPE;
}

extern "C" size_t maspo_cuda_decode_attention_workspace_bytes(uint32_t rows, uint32_t n_q, uint32_t d,
                                                              uint32_t max_length) {
  size_t places = size_t(rows) * n_q * ceil_div(max_length, CHUNK);
  return ceil_div(places * sizeof(Softmax), size_t(16)) * 16 + places * d * sizeof(float);
}

extern "C" uint32_t maspo_cuda_decode_attention_spread(uint32_t rows, uint32_t n_kv, uint32_t max_length,
                                                       uint32_t multiprocessors) {
  // Two blocks of 64 KB and 8 K registers a warp fit into a multiprocessor; more than one chunk for
  // every warp is of no use.
  unsigned most = ceil_div(ceil_div(max_length, CHUNK), DECODE_WARPS),
           wanted = ceil_div(2 * multiprocessors, rows * n_kv + 1);
  unsigned spread = wanted < most ? wanted : most;
  return spread ? spread : 1;
}
