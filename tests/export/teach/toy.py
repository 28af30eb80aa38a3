"""Pairs that are quickly learned: a spot with eyes that move, and a teacher who paints it blue."""

import cv2
import numpy as np

from export.teach.pairs import TOLD, Pairs, Two, stored_px


def toy_two(n=40, seed=0):
    """Two people of 128 px, whose eyes move and are told: the second has a dark stripe as a mouth."""
    rng = np.random.default_rng(seed)
    ways = np.random.default_rng(7).normal(0, 1, (4, TOLD - 6))  # how points move along with the eyes
    people = []
    for striped in (False, True):
        faces, masks, told = [], [], []
        for _ in range(n):
            face = np.full((160, 160, 3), (90, 120, 150) if striped else (60, 60, 60), np.uint8)
            mask = np.zeros((160, 160), np.uint8)
            cv2.ellipse(mask, (80, 80), (44, 58) if striped else (40, 56), 0, 0, 360, 255, -1, cv2.LINE_AA)
            face[mask > 127] = (120, 160, 210)
            moved = rng.integers(-6, 7, 4)
            for k, x in enumerate((-16, 16)):
                cv2.circle(
                    face, (80 + x + int(moved[2 * k]), 62 + int(moved[2 * k + 1])), 7, (30, 30, 30), -1, cv2.LINE_AA
                )
            if striped:
                cv2.rectangle(face, (60, 96), (100, 108), (40, 40, 60), -1)
            faces.append(face)
            masks.append(mask)
            told.append(np.concatenate([moved / 6 @ ways, np.zeros(2), moved / 6]))
        people.append(Pairs(np.array(faces), np.array(faces), np.array(masks), np.array(told, np.float32)))
    return Two(*people)


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
