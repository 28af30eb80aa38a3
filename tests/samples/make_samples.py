"""Makes the sample assets in live/samples: the moving "camera" clip, its truth, and four portraits.

Needs numpy, scipy, opencv-python, av (with libx264) and ai-edge-litert, an unpacked `openpeople` 0.1.2 wheel
(synthetic people, MIT) and the unpacked `mediapipe` wheel (or any folder holding its two face tflite files):

    python tests/samples/make_samples.py --openpeople DIR --mediapipe DIR --out live/samples

How the clip is made: the portrait is cut from its grey studio background and carries the net's 468-point
mesh. Each picture of the expression sheet gives an offset of that mesh (how this face smiles, opens its
mouth, shuts its eyes). A script of curves mixes the offsets, turns the mesh in 3D and projects it; hair,
neck and shoulders follow through extra points. Pixels come from the portrait, mouth and lids from the
sheet, blended only after all have been warped to the same mesh. The truth is the projected mesh itself. The
parts: face_nets.py runs the nets, puppet.py is the person.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import av
import cv2
import numpy as np
from face_nets import Array, FaceNets
from puppet import HEIGHT, WIDTH, Puppet
from scipy.interpolate import PchipInterpolator

FPS, FRAMES = 30, 300
TOPOLOGY = Path(__file__).parents[2] / "live/models/face_mesh/topology.npz"
PORTRAITS = {"joel": "P008", "nia": "P009", "lena": "P002", "amara": "P001"}


def room(rng: np.random.Generator) -> Array:
    """A calm room, far out of focus: wall, shelf with books, picture, lamp, plant."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    wall = 158 + 34 * np.exp(-(((x - 1010) / 430) ** 2 + ((y - 190) / 330) ** 2)) - 30 * (x < 0) - y * 0.035
    image = np.clip(wall[..., None] * [0.90, 0.97, 1.03], 0, 255).astype(np.uint8)
    cv2.rectangle(image, (0, 70), (330, HEIGHT), (70, 96, 122), -1)  # shelf, BGR
    for row in range(4):
        top = 92 + row * 165
        cv2.rectangle(image, (0, top), (312, top + 140), (46, 62, 78), -1)
        at = -10
        while at < 290 and not (row == 1 and at > 150):
            wide, tall = int(rng.integers(16, 34)), int(rng.integers(88, 128))
            shade = np.array([(92, 108, 150), (128, 112, 84), (150, 168, 178), (84, 120, 108), (70, 78, 112)])[
                rng.integers(5)
            ] + rng.normal(0, 9, 3)
            cv2.rectangle(image, (at, top + 140 - tall), (at + wide - 3, top + 140), shade.tolist(), -1)
            at += wide
    cv2.rectangle(image, (900, 90), (1110, 330), (66, 84, 100), -1)  # picture on the wall
    cv2.rectangle(image, (912, 102), (1098, 318), (196, 202, 206), -1)
    cv2.ellipse(image, (1005, 225), (52, 66), 20, 0, 360, (150, 164, 128), -1)
    for i in range(16):  # plant
        a = -np.pi * (0.12 + 0.76 * i / 15)
        tip = (int(1205 + 140 * np.cos(a)), int(560 + 210 * np.sin(a) * rng.uniform(0.7, 1)))
        cv2.line(image, (1205, 600), tip, (62 + 3 * i, 108 + 3 * i, 74 + 2 * i), 18)
    cv2.rectangle(image, (1160, 590), (1250, HEIGHT), (120, 140, 168), -1)
    soft = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 11)
    glow = 58 * np.exp(-(((x - 262) / 75) ** 2 + ((y - 330) / 62) ** 2))  # small lamp on the shelf
    soft += glow[..., None] * np.array([0.62, 0.88, 1.0], np.float32)
    return cv2.GaussianBlur(soft, (0, 0), 4)


def curve(keys: str) -> Array:
    """Values per frame of a smooth curve through "second:value" keys, flat before and after them."""
    t, v = np.array([key.split(":") for key in keys.split()], float).T
    now = np.clip(np.arange(FRAMES) / FPS, t[0], t[-1])
    return PchipInterpolator(t, v)(now)


def script(rng: np.random.Generator) -> dict[str, Array]:
    """Everything that moves, one value per frame."""
    now = np.arange(FRAMES) / FPS

    def sway(size: float, period: float, phase: float) -> Array:
        return size * (
            np.sin(2 * np.pi * now / period + phase) + 0.5 * np.sin(2 * np.pi * now / (period * 0.43) + phase)
        )

    c = {
        "yaw": sway(1.6, 3.1, 0.4)
        + curve("0:0 1.1:4 2.0:-5 2.9:2 3.5:0 4.05:24 4.3:24 4.9:-23 5.2:-24 5.7:-6 6.5:0 7.6:6 8.4:-7 9.2:6 10:1"),
        "pitch": sway(0.9, 2.3, 1.0)
        + curve("0:0 0.9:3 1.5:-3 2.4:2 3.3:-2 4.2:1 5.1:-2 6.5:0 7.9:0 8.3:9 8.75:-9 9.2:3 10:0"),
        "roll": sway(0.8, 2.7, 2.0)
        + curve("0:0 0.8:-2 1.45:7 2.15:-6 2.9:4 3.6:0 4.2:4 5.1:-4 5.7:-5 6.5:0 7.5:6 8.2:0 9.3:-6 10:-1"),
        "x": sway(7, 4.3, 0.0),
        "y": sway(3, 3.7, 1.3),
        "body_x": sway(5, 4.9, -0.6),
        "body_y": sway(2, 3.3, 0.2),
        "zoom": 1 + curve("0:0 1.5:0.025 3.2:-0.015 4.4:0 6.6:0.01 8.4:0.035 10:0"),
        "slide": curve("5.75:0 6.0:-130 6.38:-940 6.7:-1100 6.95:-1080 7.28:-720 7.62:-70 7.85:0"),
        "happy": curve("2.3:0 2.75:0.95 3.3:0.85 3.7:0.1 4.1:0 9.1:0 9.5:0.9 10:0.85"),
        "smug": curve("0:0.15 0.5:0 3.6:0 4.2:0.4 4.6:0 7.5:0.3 7.9:0"),
        "flirty": curve(
            "0.9:0 1.1:0.7 1.35:0 2.5:0 2.8:0.3 3.2:0 4.5:0 4.7:0.95 5.1:0.9 5.4:0 8.5:0 8.7:1 8.95:0.8 9.2:0"
        ),
    }
    blink = np.zeros(FRAMES)
    for start in (18, 66, 131, 233, 274):
        blink[start : start + 5] = (0.45, 0.95, 1.0, 0.7, 0.25)
    c["exhausted"] = blink
    for name in ("shocked", "confused", "playful", "pucker"):
        c[name] = np.zeros(FRAMES)
    for begin, end in ((0.45, 2.25), (3.75, 5.65), (7.75, 9.15)):
        at = begin
        while at < end:
            name = ("shocked", "confused", "playful", "shocked", "pucker")[rng.integers(5)]
            size = {"shocked": rng.uniform(0.4, 0.95), "playful": rng.uniform(0.35, 0.7)}.get(name, rng.uniform(0.6, 1))
            c[name] += size * np.exp(-(((now - at) / rng.uniform(0.06, 0.085)) ** 2))
            if name == "pucker":
                c["shocked"] += 0.25 * np.exp(-(((now - at) / 0.07) ** 2))
            at += rng.uniform(0.15, 0.24)
    calm = 1 - 0.7 * np.clip(c["happy"], 0, 1)
    for name in ("shocked", "confused", "playful", "pucker"):
        c[name] = np.minimum(c[name], 1) * calm
    return c


def make_frames(puppet: Puppet, only: range) -> tuple[list[Array], Array, dict[str, Array]]:
    """Frames (BGR), true points (frames, 468, 2) and the script."""
    motion = script(np.random.default_rng(11))
    background = room(np.random.default_rng(4))
    speed = np.gradient(motion["slide"])
    frames, truth = [], np.full((FRAMES, 468, 2), np.nan, np.float32)
    for i in only:
        person, truth[i] = puppet.render({k: float(v[i]) for k, v in motion.items()})
        blur = int(abs(speed[i]) * 0.16) // 2 * 2 + 1  # what moves fast smears, as in a camera
        if blur > 1:
            person = cv2.blur(person, (blur, 1))
        picture = person[..., :3] * [0.97, 0.985, 1.0] + background * (1 - person[..., 3:] / 255)
        rng = np.random.default_rng(1000 + i)
        grain = rng.normal(0, 2.2, (HEIGHT, WIDTH, 1)) + cv2.resize(
            rng.normal(0, 1.4, (HEIGHT // 2, WIDTH // 2, 3)), (WIDTH, HEIGHT)
        )
        grain = cv2.GaussianBlur(grain, (0, 0), 0.7)
        frames.append(np.clip(picture + grain + 0.5, 0, 255).astype(np.uint8))
    return frames, truth, motion


def write_clip(path: Path, frames: list[Array]) -> None:
    """H.264, no B-frames, a key frame each second."""
    with av.open(str(path), "w", options={"movflags": "faststart"}) as out:
        options = {
            "crf": "21",
            "preset": "slow",
            "bf": "0",
            "x264-params": "keyint=30:min-keyint=30:scenecut=0:open-gop=0",
        }
        stream = out.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for frame in frames:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "bgr24")))
        out.mux(stream.encode(None))


def write_truth(path: Path, points: Array, motion: dict[str, Array]) -> None:
    """Pose and points per frame; NaN where no point of the face is in the picture."""
    inside = ((points >= 0) & (points <= [WIDTH - 1, HEIGHT - 1])).all(2)
    points[~inside.any(1)] = np.nan
    pose = np.stack([motion[k] for k in ("yaw", "pitch", "roll")], 1).astype(np.float32)
    pose[~inside.any(1)] = np.nan
    np.savez_compressed(
        path,
        pose=pose,
        points=points.astype(np.float16),
        present=inside.all(1),
        partly=inside.any(1) & ~inside.all(1),
    )


def write_portrait(nets: FaceNets, source: Path, target: Path) -> None:
    """A square crop of head and shoulders, 768 pixels wide."""
    image = cv2.imread(str(source))
    points, _ = nets.mesh(image)
    lo, hi = points[:, :2].min(0), points[:, :2].max(0)
    side = int(min((hi - lo)[1] * 2.05, *image.shape[:2]))
    corner = np.array([(lo + hi)[0] / 2 - side / 2, (lo + hi)[1] / 2 - side * 0.5])
    x, y = np.clip(corner, 0, np.array(image.shape[1::-1]) - side).astype(int)
    crop = cv2.resize(image[y : y + side, x : x + side], (768, 768), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(target), crop, [cv2.IMWRITE_JPEG_QUALITY, 88])


def main() -> None:
    """Makes everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--openpeople", type=Path, required=True, help="unpacked openpeople wheel")
    parser.add_argument("--mediapipe", type=Path, required=True, help="folder with the two face tflite files")
    parser.add_argument("--out", type=Path, default=Path("live/samples"))
    parser.add_argument("--topology", type=Path, default=TOPOLOGY, help="triangles of the 468-point mesh (npz)")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    nets = FaceNets(args.mediapipe)
    people = next(args.openpeople.rglob("curated"))
    (args.out / "portraits").mkdir(parents=True, exist_ok=True)
    for name, person in PORTRAITS.items():
        source = people / person / "assets" / "studio_portrait.jpg"
        write_portrait(nets, source, args.out / "portraits" / f"{name}.jpg")
    wearer = people / "P007" / "assets"
    portrait, sheet = (cv2.imread(str(wearer / f"{n}.jpg")) for n in ("studio_portrait", "emotions_sheet"))
    triangles = np.load(args.topology)["triangles"].astype(int)
    frames, points, motion = make_frames(Puppet(nets, triangles, portrait, sheet), range(FRAMES))
    write_clip(args.out / "camera.mp4", frames)
    write_truth(args.out / "camera_truth.npz", points, motion)
    for path in sorted(p for p in args.out.rglob("*") if p.suffix in (".mp4", ".npz", ".jpg")):
        print(hashlib.sha256(path.read_bytes()).hexdigest(), path.relative_to(args.out))  # noqa: T201


if __name__ == "__main__":
    main()
