"""A film of any length, made in a minute: a dozen scenes are encoded once, and their packets are repeated in a seeded order.

Scenes move, differ from each other and are cut off at random lengths of 2 to 12 seconds, so a film of three hours has some
1,500 cuts; sound is AAC, stereo, 48 kHz. No B-frames: any first part of a scene is a closed group of pictures.
"""

from __future__ import annotations

import random
import subprocess
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet

SCENE_SECONDS = 12
SOURCES = (
    "testsrc2=s={s}:r={r}:d={d}",
    "mandelbrot=s={s}:r={r}:end_scale=0.01:maxiter=200,trim=duration={d}",
    "life=s=480x270:r={r}:mold=20:ratio=0.1:death_color=#C83232:life_color=#00ff00:seed=7,trim=duration={d},scale={s}",
    "gradients=s={s}:r={r}:d={d}:n=5:seed=3:speed=0.02",
    "testsrc=s={s}:r={r}:d={d},rotate=t/5,noise=alls=12:allf=t",
    "cellauto=s=480x270:r={r}:rule=110:seed=5,trim=duration={d},scale={s},colorize=hue=30",
    "gradients=s={s}:r={r}:d={d}:n=3:seed=9:speed=0.05,noise=alls=20:allf=t",
    "testsrc2=s={s}:r={r}:d={d},hue=h=120:s=0.4,crop=iw/2:ih/2:x='iw/4+iw/5*sin(t)':y='ih/4',scale={s}",
    "mandelbrot=s={s}:r={r}:start_x=-0.2:start_y=-0.8:maxiter=150,trim=duration={d},hue=h=200",
    "sierpinski=s={s}:r={r}:seed=2,trim=duration={d}",
)


def _scenes(path: Path, fps: int) -> Path:
    """One H.264 stream with a key frame at the start of every scene only, and sound."""
    import imageio_ffmpeg

    inputs = [a.format(s="1920x1080", r=fps, d=SCENE_SECONDS) for a in SOURCES]
    graph = ";".join(f"{s},format=yuv420p,setsar=1,setpts=N/{fps}/TB[v{i}]" for i, s in enumerate(inputs))
    graph += ";" + "".join(f"[v{i}]" for i in range(len(inputs))) + f"concat=n={len(inputs)}:v=1:a=0[v]"
    seconds = SCENE_SECONDS * len(inputs)
    sound = f"anoisesrc=d={seconds}:r=48000:c=pink:a=0.3,tremolo=f=0.3:d=0.9,aformat=channel_layouts=stereo[a]"
    keys = f"expr:eq(mod(n,{SCENE_SECONDS * fps}),0)"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error", "-filter_complex", f"{graph};{sound}"]
    command += ["-map", "[v]", "-map", "[a]", "-c:v", "libx264", "-preset", "superfast", "-crf", "28", "-bf", "0"]
    command += ["-maxrate", "2M", "-bufsize", "4M"]
    command += ["-g", "100000", "-sc_threshold", "0", "-force_key_frames", keys, "-c:a", "aac", "-b:a", "96k"]
    subprocess.run([*command, str(path)], check=True)
    return path


def _packets(container: InputContainer) -> tuple[list[list[bytes]], list[bytes]]:
    """([scene][frame], [sound frame]) as coded."""
    scenes: list[list[bytes]] = []
    sound: list[bytes] = []
    for packet in container.demux():
        if packet.size == 0:
            continue
        if packet.stream.type == "audio":
            sound.append(bytes(packet))
            continue
        if packet.is_keyframe:
            scenes.append([])
        scenes[-1].append(bytes(packet))
    return scenes, sound


def make_film(path: Path, minutes: float, fps: int) -> Path:
    """1080p H.264 with AAC sound, `minutes` long at `fps` frames/s, as Matroska; kept if it exists."""
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished, source = path.with_suffix(".part.mkv"), path.with_suffix(".scenes.mp4")
    with av.open(str(_scenes(source, fps))) as scenes_file, av.open(str(unfinished), "w") as out:
        scenes, sound = _packets(scenes_file)
        video = out.add_stream_from_template(scenes_file.streams.video[0])
        audio = out.add_stream_from_template(scenes_file.streams.audio[0])
        out.start_encoding()
        choose, at, heard, last = random.Random(9), 0, 0, -1
        while at < round(minutes * 60 * fps):
            last = choose.choice([i for i in range(len(scenes)) if i != last])
            for position, body in enumerate(scenes[last][: choose.randint(2 * fps, SCENE_SECONDS * fps)]):
                _mux(out, video, body, at, 1, Fraction(1, fps), position == 0)
                at += 1
                while heard * 1024 * fps < at * 48000:
                    _mux(out, audio, sound[heard % len(sound)], heard * 1024, 1024, Fraction(1, 48000), True)
                    heard += 1
    source.unlink()
    return unfinished.rename(path)


def _mux(out, stream, body: bytes, pts: int, duration: int, base: Fraction, key: bool) -> None:
    packet = Packet(body)
    packet.stream, packet.time_base = stream, base
    packet.pts = packet.dts = pts
    packet.duration, packet.is_keyframe = duration, key
    out.mux_one(packet)
