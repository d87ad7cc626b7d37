"""Makes blocks.json: blocks of every quantized format of GGUF files that the engine reads, and the numbers that the
package `gguf` finds in them.

    python tests/golden/make_blocks.py        # needs gguf (made with 0.19.0)

The bytes are random, except for the f16 factors of a block, which are those of real files in size.
"""

import json
from pathlib import Path

import gguf
import numpy as np

# Where in a block the f16 factors are.
FACTORS = {
    "Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q2_K": [80, 82], "Q3_K": [108],
    "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0],
}  # fmt: skip
NUMBERS = 512


def main():
    draw = np.random.default_rng(1)
    golden = {}
    for name, factors in FACTORS.items():
        kind = gguf.GGMLQuantizationType[name]
        block, size = gguf.GGML_QUANT_SIZES[kind]
        blocks = draw.integers(0, 256, (NUMBERS // block, size), dtype=np.uint8)
        for at in factors:
            blocks[:, at : at + 2] = draw.normal(0, 0.01, (len(blocks), 1)).astype(np.float16).view(np.uint8)
        numbers = gguf.quants.dequantize(blocks, kind).flatten()
        golden[name] = {"bytes": blocks.tobytes().hex(), "numbers": [float(f"{x:.9g}") for x in numbers.tolist()]}
    (Path(__file__).parent / "blocks.json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
