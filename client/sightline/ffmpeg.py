"""The FFmpeg that OpenCV's wheels bring along, called by its public interface.

Only of the major versions in `_MAJORS`, within which the begin of its structures stays as it is. Where
OpenCV comes with another FFmpeg, or without files of its own (other systems, a distribution's package), there
is none here, and OpenCV's capture does the work.
"""

from __future__ import annotations

import ctypes
import logging
from ctypes import POINTER, c_char_p, c_int, c_int64, c_uint, c_void_p
from functools import cache
from pathlib import Path
from typing import Any, Final

import cv2

log = logging.getLogger(__name__)
_MAJORS: Final = {"avutil": 60, "avcodec": 62, "avformat": 62, "swscale": 9}  # FFmpeg 8
VIDEO: Final = 0  # AVMEDIA_TYPE_VIDEO
YUV420P: Final = 0  # AV_PIX_FMT_YUV420P: planes of luma and of chroma at half of both sides, limited range
BGR24: Final = 3  # AV_PIX_FMT_BGR24
SEEK_BACKWARD: Final = 1  # AVSEEK_FLAG_BACKWARD
BICUBIC: Final = 4  # SWS_BICUBIC
NO_TIME: Final = -(2**63)  # AV_NOPTS_VALUE
END: Final = -int.from_bytes(b"EOF ", "little")  # AVERROR_EOF
# The calls that take long, and let other threads run meanwhile. The others are shorter than that.
_LONG: Final = frozenset(
    (
        "avformat_open_input",
        "avformat_find_stream_info",
        "av_read_frame",
        "av_seek_frame",
        "avcodec_open2",
        "avcodec_send_packet",
        "avcodec_receive_frame",
        "avcodec_flush_buffers",
        "avcodec_free_context",
        "sws_scale",
    )
)


class Rational(ctypes.Structure):
    """AVRational."""

    num: int
    den: int
    _fields_ = (("num", c_int), ("den", c_int))


class Parameters(ctypes.Structure):
    """AVCodecParameters, its begin."""

    codec_type: int
    _fields_ = (("codec_type", c_int), ("codec_id", c_int))


class Stream(ctypes.Structure):
    """AVStream, its begin."""

    index: int
    codecpar: Any
    time_base: Rational
    start_time: int
    _fields_ = (
        ("av_class", c_void_p),
        ("index", c_int),
        ("id", c_int),
        ("codecpar", POINTER(Parameters)),
        ("priv_data", c_void_p),
        ("time_base", Rational),
        ("start_time", c_int64),
    )


class Container(ctypes.Structure):
    """AVFormatContext, its begin."""

    nb_streams: int
    streams: Any
    _fields_ = (
        ("av_class", c_void_p),
        ("iformat", c_void_p),
        ("oformat", c_void_p),
        ("priv_data", c_void_p),
        ("pb", c_void_p),
        ("ctx_flags", c_int),
        ("nb_streams", c_uint),
        ("streams", POINTER(POINTER(Stream))),
    )


class Packet(ctypes.Structure):
    """AVPacket, its begin."""

    stream_index: int
    _fields_ = (
        ("buf", c_void_p),
        ("pts", c_int64),
        ("dts", c_int64),
        ("data", c_void_p),
        ("size", c_int),
        ("stream_index", c_int),
    )


class DecodedFrame(ctypes.Structure):
    """AVFrame, its begin."""

    data: Any
    linesize: Any
    width: int
    height: int
    format: int
    best_effort_timestamp: int
    _fields_ = (
        ("data", c_void_p * 8),
        ("linesize", c_int * 8),
        ("extended_data", c_void_p),
        ("width", c_int),
        ("height", c_int),
        ("nb_samples", c_int),
        ("format", c_int),
        ("pict_type", c_int),
        ("sample_aspect_ratio", Rational),
        ("pts", c_int64),
        ("pkt_dts", c_int64),
        ("time_base", Rational),
        ("quality", c_int),
        ("opaque", c_void_p),
        ("repeat_pict", c_int),
        ("sample_rate", c_int),
        ("buf", c_void_p * 8),
        ("extended_buf", c_void_p),
        ("nb_extended_buf", c_int),
        ("side_data", c_void_p),
        ("nb_side_data", c_int),
        ("flags", c_int),
        ("color", c_int * 5),
        ("best_effort_timestamp", c_int64),
    )


_ANY, _OPTIONS = c_void_p, POINTER(c_void_p)
_PACKET, _FRAME = POINTER(Packet), POINTER(DecodedFrame)
# library -> function -> result and arguments
_FUNCTIONS: Final[dict[str, dict[str, tuple[Any, ...]]]] = {
    "avutil": {
        "av_frame_alloc": (_FRAME,),
        "av_frame_free": (None, POINTER(_FRAME)),
        "av_dict_set": (c_int, _OPTIONS, c_char_p, c_char_p, c_int),
        "av_dict_free": (None, _OPTIONS),
    },
    "avcodec": {
        "avcodec_alloc_context3": (_ANY, _ANY),
        "avcodec_parameters_to_context": (c_int, _ANY, POINTER(Parameters)),
        "avcodec_open2": (c_int, _ANY, _ANY, _OPTIONS),
        "avcodec_send_packet": (c_int, _ANY, _PACKET),
        "avcodec_receive_frame": (c_int, _ANY, _FRAME),
        "avcodec_flush_buffers": (None, _ANY),
        "avcodec_free_context": (None, POINTER(_ANY)),
        "av_packet_alloc": (_PACKET,),
        "av_packet_unref": (None, _PACKET),
        "av_packet_free": (None, POINTER(_PACKET)),
    },
    "avformat": {
        "avformat_open_input": (c_int, POINTER(POINTER(Container)), c_char_p, _ANY, _OPTIONS),
        "avformat_find_stream_info": (c_int, POINTER(Container), _OPTIONS),
        "av_find_best_stream": (c_int, POINTER(Container), c_int, c_int, c_int, POINTER(_ANY), c_int),
        "av_read_frame": (c_int, POINTER(Container), _PACKET),
        "av_seek_frame": (c_int, POINTER(Container), c_int, c_int64, c_int),
        "avformat_close_input": (None, POINTER(POINTER(Container))),
    },
    "swscale": {
        "sws_getCachedContext": (_ANY, _ANY, *(c_int,) * 7, _ANY, _ANY, _ANY),
        "sws_scale": (c_int, _ANY, _ANY, _ANY, c_int, c_int, POINTER(c_void_p), POINTER(c_int)),
        "sws_freeContext": (None, _ANY),
    },
}


class Ffmpeg:
    """FFmpeg's functions, by their own names.

    Args:
        folder: of its libraries.

    Raises:
        OSError, AttributeError: a library or a function is not there, or is of another major version.
    """

    def __init__(self, folder: Path) -> None:
        for name, functions in _FUNCTIONS.items():
            path = next(folder.glob(f"lib{name}-*.so.{_MAJORS[name]}.*"), None)
            if path is None:
                raise OSError(f"{folder} holds no {name} of version {_MAJORS[name]}")
            long, short = ctypes.CDLL(str(path)), ctypes.PyDLL(str(path))
            if getattr(long, f"{name}_version")() >> 16 != _MAJORS[name]:
                raise OSError(f"{path} is of another version than its name says")
            for function, (result, *arguments) in functions.items():
                found = getattr(long if function in _LONG else short, function)
                found.restype, found.argtypes = result, arguments
                setattr(self, function, found)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


@cache
def bundled() -> Ffmpeg | None:
    """OpenCV's own FFmpeg; None where there is none that is known here."""
    for folder in Path(cv2.__file__).parent.parent.glob("opencv*.libs"):
        try:
            return Ffmpeg(folder)
        except (OSError, AttributeError) as fault:
            log.debug("OpenCV's FFmpeg is not called directly: %s", fault)
    return None
