"""Precisions that a device computes fast."""

import torch


def has_fast_bfloat16(device: torch.device) -> bool:
    """Return whether the device computes bfloat16 natively (AVX-512 BF16 on a CPU)."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)  # absent from some builds
    return bool(supported is not None and supported())
