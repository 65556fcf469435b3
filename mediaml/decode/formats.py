"""Which containers mediaml opens, which of them hold one still picture, and which file names look like media.

The list of containers is closed on purpose: a demuxer that is not named here (playlists, concatenation scripts, session
descriptions, image patterns, capture devices, text art, game formats) is never run, whatever a file's content pretends.
"""

from __future__ import annotations


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


MOV = "mov,mp4,m4a,3gp,3g2,mj2"
MATROSKA = "matroska,webm"

VIDEO_CONTAINERS = _names(
    "apng apv asf asf_o av1 avi avs2 avs3 bink cavsvideo dhav dirac dnxhd dv evc flic flv gif gxf h261 h263 h264 hevc "
    "ingenient ivf kux live_flv lvf lxf m4v matroska,webm mjpeg mjpeg_2000 mlv mov,mp4,m4a,3gp,3g2,mj2 mpeg mpegts "
    "mpegvideo mpjpeg mtv mxf nsv nut nuv obu ogg pva r3d rm roq ser swf ty vc1 vc1test vivo vvc webp_anim wtv "
    "yuv4mpegpipe"
)
AUDIO_CONTAINERS = _names(
    "aa aac ac3 ac4 act aiff amr amrnb amrwb ape aptx apac au bonk caf dsf dss dts dtshd eac3 flac gsm iamf ilbc iff ircam "
    "laf lc3 loas mlp mp3 mpc mpc8 oma osq paf qcp qoa rka rso s337m sbc shn sox spdif tak tta truehd voc vqf w64 wav wavarc "
    "wsd wv xwma"
)
STILL_CONTAINERS = _names(
    "bmp_pipe cri_pipe dds_pipe dpx_pipe exr_pipe fits gem_pipe hdr_pipe ico j2k_pipe jpeg_pipe jpegls_pipe jpegxl_pipe "
    "jpegxl_anim jpegxs_pipe pam_pipe pbm_pipe pcx_pipe pfm_pipe pgm_pipe pgmyuv_pipe pgx_pipe phm_pipe photocd_pipe "
    "pictor_pipe png_pipe ppm_pipe psd_pipe qdraw_pipe qoi_pipe sgi_pipe sunrast_pipe tiff_pipe vbn_pipe webp_pipe "
    "xbm_pipe xpm_pipe xwd_pipe"
)
ANIMATED_CONTAINERS = frozenset({"gif", "apng", "webp_anim", "jpegxl_anim"})
"""Formats of moving pictures that hold a still image where there is just one frame."""

ALLOWED = ",".join(sorted(VIDEO_CONTAINERS | AUDIO_CONTAINERS | STILL_CONTAINERS))
"""The value of FFmpeg's `format_whitelist`."""

VIDEO_EXTENSIONS = _names(
    ".3g2 .3gp .asf .av1 .avi .divx .dv .f4v .flv .gif .gxf .h261 .h263 .h264 .264 .265 .h265 .hevc .266 .vvc .ivf .lvf .lxf "
    ".m1v .m2t .m2ts .m2v .m4s .m4v .mj2 .mjpeg .mjpg .mk3d .mkv .mod .mov .mp4 .mpe .mpeg .mpg .mpv .mts .mxf .nsv .nut "
    ".obu .ogm .ogv .qt .r3d .rm .rmvb .tod .ts .vob .webm .wmv .wtv .y4m"
)
AUDIO_EXTENSIONS = _names(
    ".aac .ac3 .ac4 .aif .aifc .aiff .alac .amr .ape .au .caf .dff .dsf .dts .dtshd .eac3 .ec3 .flac .m4a .m4b .mka .mlp "
    ".mp2 .mp3 .mpa .mpc .oga .ogg .opus .qoa .ra .shn .spx .tak .thd .tta .w64 .wav .weba .wma .wv"
)
IMAGE_EXTENSIONS = _names(
    ".apng .avif .bmp .dds .dpx .exr .hdr .heic .heif .j2k .jfif .jp2 .jpe .jpeg .jpg .jxl .pam .pbm .pcx .pgm .png .pnm "
    ".ppm .psd .qoi .tif .tiff .webp"
)
MEDIA_EXTENSIONS = VIDEO_EXTENSIONS | AUDIO_EXTENSIONS | IMAGE_EXTENSIONS
