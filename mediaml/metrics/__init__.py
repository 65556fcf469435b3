"""Full-reference metrics as functions: (N, 1, H, W) tensors in, (N,) tensors out; any device, differentiable where the
metric is. Each names the convention it follows. The analyzers in `mediaml.analyzers.quality_fr` are thin users of these.

Most functions bear the name of the module that holds them, so all are imported here: the name is then the function.
"""

from __future__ import annotations

from mediaml.metrics.adm import Adm, AdmOptions, adm
from mediaml.metrics.cambi import CambiOptions, cambi, cambi_full_reference
from mediaml.metrics.ciede2000 import ciede2000
from mediaml.metrics.motion import motion, motion2, motion3
from mediaml.metrics.ms_ssim import ms_ssim
from mediaml.metrics.perceptual import dists, lpips, read_dists, read_lpips
from mediaml.metrics.psnr import mse, pooled_psnr, psnr, psnr_611
from mediaml.metrics.psnr_hvs import psnr_hvs, psnr_hvs_planes
from mediaml.metrics.speed import SpeedOptions, speed_chroma
from mediaml.metrics.ssim import ssim
from mediaml.metrics.vif import vif
from mediaml.metrics.vmaf import vmaf, vmaf_bootstrap, vmaf_model
from mediaml.metrics.xpsnr import pooled_xpsnr, xpsnr

__all__ = [
    "Adm",
    "AdmOptions",
    "CambiOptions",
    "SpeedOptions",
    "adm",
    "cambi",
    "cambi_full_reference",
    "ciede2000",
    "dists",
    "lpips",
    "motion",
    "motion2",
    "motion3",
    "ms_ssim",
    "mse",
    "pooled_psnr",
    "pooled_xpsnr",
    "psnr",
    "psnr_611",
    "psnr_hvs",
    "psnr_hvs_planes",
    "read_dists",
    "read_lpips",
    "speed_chroma",
    "ssim",
    "vif",
    "vmaf",
    "vmaf_bootstrap",
    "vmaf_model",
    "xpsnr",
]
