"""Pairs that are quickly learned: a spot with eyes that move, and a teacher who paints it blue."""

import cv2
import numpy as np

from export.teach.pairs import Pairs, stored_px


def toy_pairs(n=40, size=128, seed=0):
    rng = np.random.default_rng(seed)
    side = stored_px(size)
    faces, targets, masks = [], [], []
    for _ in range(n):
        face = np.full((side, side, 3), (90, 120, 150), np.uint8)
        mask = np.zeros((side, side), np.uint8)
        cv2.ellipse(mask, (side // 2, side // 2), (side // 4, side // 3), 0, 0, 360, 255, -1, cv2.LINE_AA)
        face[mask > 127] = (120, 160, 210)
        for x in (-1, 1):
            at = side // 2 + x * side // 10 + int(rng.integers(-4, 5)), side // 2 - side // 10
            cv2.circle(face, at, side // 24, (30, 30, 30), -1, cv2.LINE_AA)
        face = np.clip(face * rng.uniform(0.85, 1.1), 0, 255).astype(np.uint8)
        share = mask[..., None] / 255
        targets.append(np.rint(face * (1 - share) + face[..., ::-1] * share).astype(np.uint8))
        faces.append(face)
        masks.append(mask)
    return Pairs(np.array(faces), np.array(targets), np.array(masks))


class Steps:
    """A clock on which a step takes a tenth of a second."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 0.1
        return self.now
