// Causal attention of many rows of a sequence (prefill), prefix blocks included: a tile is up to 64
// / group consecutive tokens, and its keys are all at or before its last token's position, wherever
// they come from. rotate.cu has stored the tile's own keys before.
//
// The 64 query rows of a block are (token, head of the group) pairs, which share all keys and
// values; a warp has 16 of them. Chunks of 64 keys (attention.h) come to shared memory by
// asynchronous copies, the next one while this one is worked on. The arithmetic of a row is that of
// decode_attention.cu, bit by bit.
//
// Launch: [tiles, n_kv] blocks of four warps. Shared memory: 64 KB for d = 128. Not captured in
// graphs: the number of tiles and their lengths are the launch's own.

#include "attention.h"

namespace maspo {

constexpr unsigned PREFILL_WARPS = 4, PREFILL_ROWS = PREFILL_WARPS * 16;

template <unsigned D>
struct PrefillShared {
  uint16_t keys[2][CHUNK * D], values[2][CHUNK * D];
};

template <unsigned D>
__device__ __forceinline__ void copy_chunk(PrefillShared<D>& shared, unsigned slot, const Paged& paged, unsigned chunk,
                                           unsigned end) {
#pragma unroll 2
  for (unsigned i = 0; i < CHUNK * D / 8 / (PREFILL_WARPS * WARP); i++) {
    unsigned at = i * PREFILL_WARPS * WARP + threadIdx.x, key = at / (D / 8), eight = at % (D / 8),
             position = chunk * CHUNK + key;
    bool there = position < end;
    size_t from = there ? paged.tile<D>(position / KEY_TILE * KEY_TILE) + key % KEY_TILE * D + eight * 8 : 0;
    copy16_later(shared.keys[slot] + swizzled<D>(key, eight), paged.keys + from, there ? 16 : 0);
    copy16_later(shared.values[slot] + swizzled<D>(key, eight), paged.values + from, there ? 16 : 0);
  }
}

template <unsigned D>
static __global__ void __launch_bounds__(PREFILL_WARPS* WARP, 2)
    prefill_attention_kernel(const MaspoPrefillAttention a) {
  auto& shared = *shared_memory<PrefillShared<D>>();
  MaspoTile tile = a.tiles[blockIdx.x];
  unsigned lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, g = lane / 4, t = lane % 4;
  unsigned kv_head = blockIdx.y, group = a.n_q / a.n_kv;
  unsigned end = tile.position + tile.tokens, chunks = ceil_div(end, CHUNK);
  Paged paged{a.keys, a.values, a.tables + tile.table_start, a.n_kv, kv_head, a.block_tokens};
  unsigned rows = tile.tokens * group;
  // Offsets of the lane's two query rows, and how many keys they see.
  size_t place[2];
  unsigned sees[2];
#pragma unroll
  for (unsigned half = 0; half < 2; half++) {
    unsigned row = warp * 16 + g + half * 8, token = row / group, head = kv_head * group + row % group;
    place[half] = (size_t(tile.first_row + token) * a.n_q + head) * D;
    sees[half] = row < rows ? tile.position + token + 1 : 0;
  }
  unsigned last = min(warp * 16 + 15, rows - 1) / group;
  // How many keys the warp's rows see at most; none if it has no rows.
  unsigned seen_by_warp = warp * 16 < rows ? tile.position + last + 1 : 0;

  copy_chunk<D>(shared, 0, paged, 0, end);
  end_copy_group();
  unsigned q[D / 16][4];
  load_queries<D>(q, sees[0] ? a.q + place[0] : nullptr, sees[1] ? a.q + place[1] : nullptr);
  Softmax all[2] = {{-MASPO_INFINITY, 0}, {-MASPO_INFINITY, 0}};
  float sum[D / 8][4] = {};
  for (unsigned chunk = 0; chunk < chunks; chunk++) {
    unsigned slot = chunk % 2, from = chunk * CHUNK;
    if (chunk + 1 < chunks) copy_chunk<D>(shared, 1 - slot, paged, chunk + 1, end);
    end_copy_group();
    wait_for_copies<1>();
    __syncthreads();
    if (from < seen_by_warp) {
      float s[2 * CHUNK_TILES][4];
#pragma unroll
      for (unsigned j = 0; j < CHUNK_TILES; j++) {
        score_tile<D>(shared.keys[slot] + j * KEY_TILE * D, q, s[2 * j], s[2 * j + 1]);
      }
      Softmax of_chunk[2];
      unsigned upper = sees[0] > from ? min(sees[0] - from, CHUNK) : 0,
               lower = sees[1] > from ? min(sees[1] - from, CHUNK) : 0;
      weigh_chunk(s, score_scale<D>(), upper, lower, of_chunk);
      float out[D / 8][4] = {};
#pragma unroll
      for (unsigned j = 0; j < CHUNK_TILES; j++) {
        add_values<D>(shared.values[slot] + j * KEY_TILE * D, s[2 * j], s[2 * j + 1], out);
      }
      Merge factors[2] = {merge(all[0], of_chunk[0]), merge(all[1], of_chunk[1])};
#pragma unroll
      for (unsigned n = 0; n < D / 8; n++) {
#pragma unroll
        for (unsigned i = 0; i < 4; i++) sum[n][i] = merged(sum[n][i], out[n][i], factors[i / 2]);
      }
    }
    // The next copies go where this chunk was.
    __syncthreads();
  }
#pragma unroll
  for (unsigned half = 0; half < 2; half++) {
    if (sees[half] == 0) continue;
#pragma unroll
    for (unsigned n = 0; n < D / 8; n++) {
      *reinterpret_cast<unsigned*>(a.out + place[half] + n * 8 + 2 * t) =
          pack_bf16(normalized(sum[n][half * 2], all[half]), normalized(sum[n][half * 2 + 1], all[half]));
    }
  }
}

}  // namespace maspo

using namespace maspo;

extern "C" int maspo_cuda_prefill_attention(const MaspoPrefillAttention* a, void* stream) {
  if (a->n_kv == 0 || a->n_q % a->n_kv != 0 || a->n_q / a->n_kv > 16 || a->n_q == 0) return MASPO_BAD_SHAPE;
  if (a->block_tokens == 0 || a->block_tokens % 16 != 0) return MASPO_BAD_SHAPE;
  if (a->tile_count == 0) return MASPO_OK;
  dim3 blocks(a->tile_count, a->n_kv), threads(PREFILL_WARPS * WARP);
  if (a->d == 128)
    return launch(prefill_attention_kernel<128>, blocks, threads, sizeof(PrefillShared<128>), stream, *a);
  if (a->d == 64) return launch(prefill_attention_kernel<64>, blocks, threads, sizeof(PrefillShared<64>), stream, *a);
  return MASPO_BAD_SHAPE;
}

extern "C" uint32_t maspo_cuda_tile_tokens(uint32_t n_q, uint32_t n_kv) {
  return n_kv == 0 || n_q < n_kv ? 0 : PREFILL_ROWS / (n_q / n_kv);
}
