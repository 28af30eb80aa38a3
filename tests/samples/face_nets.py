"""MediaPipe's two face nets, run on single pictures: used by make_samples.py to place the mesh.

Needs numpy, opencv-python and ai-edge-litert.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter

Array = np.ndarray


class FaceNets:
    """MediaPipe's short-range face detector and 468-point face mesh."""

    def __init__(self, mediapipe: Path) -> None:
        self.detector, self.mesher = (
            Interpreter(str(next(mediapipe.rglob(name))), num_threads=1)
            for name in ("face_detection_short_range.tflite", "face_landmark.tflite")
        )
        self.detector.allocate_tensors()
        self.mesher.allocate_tensors()
        grid = ((16, 2), (8, 6))
        self.anchors = np.array(
            [((x + 0.5) / g, (y + 0.5) / g) for g, n in grid for y in range(g) for x in range(g) for _ in range(n)]
        )

    @staticmethod
    def _run(net: Interpreter, x: Array) -> list[Array]:
        """Runs a net on one picture; outputs, largest first."""
        net.set_tensor(net.get_input_details()[0]["index"], x[None].astype(np.float32))
        net.invoke()
        return sorted((net.get_tensor(o["index"]) for o in net.get_output_details()), key=lambda a: -a.size)

    def detect(self, image: Array) -> tuple[float, Array, float, float]:
        """Best face: score, centre, box size, angle of the eye line."""
        h, w = image.shape[:2]
        side = max(h, w)
        oy, ox = (side - h) // 2, (side - w) // 2
        square = np.zeros((side, side, 3), np.uint8)
        square[oy : oy + h, ox : ox + w] = image
        small = cv2.resize(square, (128, 128), interpolation=cv2.INTER_AREA)[..., ::-1]
        boxes, scores = self._run(self.detector, small / 127.5 - 1.0)
        i = int(scores[0, :, 0].argmax())
        at = (boxes[0, i].reshape(-1, 2) / 128 + self.anchors[i]) * side - [ox, oy]
        eyes = at[3] - at[2]
        score = 1 / (1 + np.exp(-float(scores[0, i, 0])))
        return score, at[0], float(boxes[0, i, 2]) / 128 * side * 1.6, float(np.arctan2(eyes[1], eyes[0]))

    def mesh(self, image: Array, start: Array | None = None, rounds: int = 3) -> tuple[Array, float]:
        """The mesh (468, 3) in picture pixels and its presence logit, refined from its own crop."""
        if start is None:
            _, centre, size, angle = self.detect(image)
            start, _ = self._crop(image, centre, size, angle)
        points, flag = start, 0.0
        for _ in range(rounds):
            lo, hi = points[:, :2].min(0), points[:, :2].max(0)
            d = points[263] - points[33]
            points, flag = self._crop(image, (lo + hi) / 2, (hi - lo).max() * 1.5, np.arctan2(d[1], d[0]))
        return points, flag

    def _crop(self, image: Array, centre: Array, size: float, angle: float) -> tuple[Array, float]:
        k = 192 / size
        c, s = np.cos(angle) * k, np.sin(angle) * k
        m = np.array([[c, s, 0], [-s, c, 0]])
        m[:, 2] = 95.5 - m[:, :2] @ centre
        if k < 0.5:  # a large picture: make it smaller first, so that the crop does not alias
            half = cv2.resize(image, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
            m4 = np.c_[m[:, :2] * 4, m[:, 2] + m[:, :2] @ [1.5, 1.5]]
            x = cv2.warpAffine(half, m4, (192, 192), borderMode=cv2.BORDER_REPLICATE)
        else:
            x = cv2.warpAffine(image, m, (192, 192), borderMode=cv2.BORDER_REPLICATE)
        raw, flag = self._run(self.mesher, x[..., ::-1] / 255.0)
        raw = raw.reshape(468, 3)
        back = cv2.invertAffineTransform(m)
        return np.c_[raw[:, :2] @ back[:, :2].T + back[:, 2], raw[:, 2] / k], float(flag.ravel()[0])
