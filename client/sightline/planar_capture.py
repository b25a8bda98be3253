"""A video's frames at the size that a model takes, resized before they are made RGB."""

from __future__ import annotations

import os
from ctypes import POINTER, byref, c_int, c_uint8, c_void_p
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline import ffmpeg
from sightline.detections import ImageSize
from sightline.geometry import Fit, Stretch
from sightline.images import to_rgb

_FAILURES: Final = 100  # of reading in a row, after which a damaged file is at its end
_MOST_THREADS: Final = 16
_PROTOCOLS: Final = b"file"  # no file may name another host
_TURNS: Final = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


class PlanarCapture:
    """A file that is open for decoding.

    OpenCV's capture makes every frame BGR in full before anybody can ask for less of it, which costs about
    as much as decoding it; a model wants a tenth of the pixels (docs/decisions/0068).

    Args:
        library: FFmpeg.
        path: absolute, of a file in which OpenCV has found a video.
        resize: how its frames are wanted.
        turned: degrees clockwise by which they become upright; a multiple of 90.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, library: ffmpeg.Ffmpeg, path: str, resize: Stretch | Fit, turned: int = 0) -> None:
        self._ffmpeg = library
        self._turn = _TURNS.get(turned % 360)
        self._sideways = turned % 180 != 0
        self._resize = resize.sideways if self._sideways else resize
        self._container: Any = POINTER(ffmpeg.Container)()
        self._decoder, self._converter = c_void_p(), c_void_p()
        self._packet, self._frame = library.av_packet_alloc(), library.av_frame_alloc()
        self._whole: NDArray[np.uint8] | None = (
            None  # the last frame made BGR in full, written over by the next
        )
        self._ended = False
        try:
            self._open(path)
        except BaseException:
            self.release()
            raise

    def grab(self) -> bool:
        """Decode the next frame; False at the end. What does not decode is passed over."""
        failures = 0
        while self._decoder.value and failures < _FAILURES:
            code = self._ffmpeg.avcodec_receive_frame(self._decoder, self._frame)
            if code == 0:
                return True
            if code == ffmpeg.END:
                break
            if self._ended:
                failures += 1
            else:
                self._feed()
        return False

    @property
    def time(self) -> float:
        """Seconds from the video's begin, of the frame that was decoded last; 0 where it has no time."""
        stamp = self._frame.contents.best_effort_timestamp
        return 0.0 if stamp == ffmpeg.NO_TIME else (stamp - self._start) * self._tick

    def read(self) -> tuple[NDArray[np.uint8], ImageSize]:
        """The frame that was decoded last: RGB uint8 [h, w, 3], upright and resized, and its size before."""
        sides = (self._frame.contents.width, self._frame.contents.height)
        small = self._small()
        upright = small if self._turn is None else np.asarray(cv2.rotate(small, self._turn), np.uint8)
        return upright, ImageSize(*sides[::-1] if self._sideways else sides)

    def _small(self) -> NDArray[np.uint8]:
        frame = self._frame.contents
        height, width = self._resize.size_of(frame.height, frame.width)
        planar = frame.format == ffmpeg.YUV420P and min(frame.linesize[:3]) > 0
        if not planar or height % 2 or width % 2:  # its chroma has no half of an odd side
            whole = self._converted()
            small = self._resize.apply(whole)
            self._whole = None if small is whole else whole
            return to_rgb(small)
        planes = np.empty((height * 3 // 2, width), np.uint8)
        chroma = planes[height:].reshape(2, height // 2, width // 2)
        for number, plane in enumerate((planes[:height], *chroma)):
            cv2.resize(self._plane(number), plane.shape[::-1], dst=plane, interpolation=cv2.INTER_LINEAR)
        return np.asarray(cv2.cvtColor(planes, cv2.COLOR_YUV2RGB_I420), np.uint8)

    def seek(self, seconds: float) -> None:
        """Go on with the last frame before a time at which decoding can begin."""
        stamp = self._start + round(seconds / self._tick)
        self._ffmpeg.av_seek_frame(self._container, self._index, stamp, ffmpeg.SEEK_BACKWARD)
        self._ffmpeg.avcodec_flush_buffers(self._decoder)
        self._ended = False

    def release(self) -> None:
        """Let go of the file and all memory."""
        self._ffmpeg.av_frame_free(byref(self._frame))
        self._ffmpeg.av_packet_free(byref(self._packet))
        self._ffmpeg.avcodec_free_context(byref(self._decoder))
        self._ffmpeg.avformat_close_input(byref(self._container))
        self._ffmpeg.sws_freeContext(self._converter)
        self._converter = c_void_p()

    def _open(self, path: str) -> None:
        library, codec = self._ffmpeg, c_void_p()
        with _Options(library, protocol_whitelist=_PROTOCOLS) as options:
            _check(library.avformat_open_input(byref(self._container), path.encode(), None, options))
        _check(library.avformat_find_stream_info(self._container, None))
        self._index = _check(
            library.av_find_best_stream(self._container, ffmpeg.VIDEO, -1, -1, byref(codec), 0)
        )
        stream = self._container.contents.streams[self._index].contents
        # Else the structures are not those that are described here.
        if stream.index != self._index or stream.codecpar.contents.codec_type != ffmpeg.VIDEO:
            raise OSError("FFmpeg's structures are others")
        self._tick = stream.time_base.num / stream.time_base.den  # seconds
        self._start = 0 if stream.start_time == ffmpeg.NO_TIME else stream.start_time  # ticks
        self._decoder = c_void_p(library.avcodec_alloc_context3(codec))
        _check(library.avcodec_parameters_to_context(self._decoder, stream.codecpar))
        with _Options(library, threads=str(_threads()).encode()) as options:
            _check(library.avcodec_open2(self._decoder, codec, options))

    def _feed(self) -> None:
        """Give the decoder the next packet of the video, or tell it that there is none."""
        library, failures = self._ffmpeg, 0
        while failures < _FAILURES:
            code = library.av_read_frame(self._container, self._packet)
            if code == ffmpeg.END:
                break
            if code < 0:
                failures += 1
                continue
            ours = self._packet.contents.stream_index == self._index
            if ours:
                library.avcodec_send_packet(self._decoder, self._packet)
            library.av_packet_unref(self._packet)
            if ours:
                return
        self._ended = True
        library.avcodec_send_packet(self._decoder, None)

    def _plane(self, number: int) -> NDArray[np.uint8]:
        """FFmpeg's own memory, until the next frame is decoded."""
        frame = self._frame.contents
        height, width = frame.height, frame.width
        if number:
            height, width = -(-height // 2), -(-width // 2)
        step = frame.linesize[number]
        memory = (c_uint8 * (step * height)).from_address(frame.data[number])
        return np.frombuffer(memory, np.uint8).reshape(height, step)[:, :width]

    def _converted(self) -> NDArray[np.uint8]:
        """The whole frame as OpenCV makes it: BGR uint8 [h, w, 3]."""
        frame = self._frame.contents
        height, width = frame.height, frame.width
        if self._whole is None or self._whole.shape[:2] != (height, width):
            self._whole = np.empty((height, width, 3), np.uint8)
        both = (width, height, frame.format, width, height, ffmpeg.BGR24, ffmpeg.BICUBIC)
        self._converter = c_void_p(
            self._ffmpeg.sws_getCachedContext(self._converter, *both, None, None, None)
        )
        to = (c_void_p * 4)(self._whole.ctypes.data)
        steps = (c_int * 4)(self._whole.strides[0])
        self._ffmpeg.sws_scale(self._converter, frame.data, frame.linesize, 0, height, to, steps)
        return self._whole


class _Options:
    """Names and values for FFmpeg, for as long as they are wanted."""

    def __init__(self, library: ffmpeg.Ffmpeg, **values: bytes) -> None:
        self._ffmpeg, self._options = library, c_void_p()
        for name, value in values.items():
            library.av_dict_set(byref(self._options), name.encode(), value, 0)

    def __enter__(self) -> Any:
        return byref(self._options)

    def __exit__(self, *fault: object) -> None:
        self._ffmpeg.av_dict_free(byref(self._options))


def _threads() -> int:
    """One for each core that this process may use, as OpenCV has it; FFmpeg advises against more than 16."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, _MOST_THREADS)


def _check(code: int) -> int:
    """What FFmpeg has returned.

    Raises:
        OSError: it is a fault.
    """
    if code < 0:
        raise OSError(f"FFmpeg fails with {code}")
    return code
