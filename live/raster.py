"""Draws a triangle mesh with a z-buffer: for each pixel, where in the texture its colour lies, and how much it counts.

Compiled by numba without the GIL; compiled code is cached on disk after the first run.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_FARTHEST = 1e6  # pixels; a vertex beyond is nonsense, and its triangles are left out


@njit(nogil=True, cache=True, fastmath={"contract", "arcp", "nsz"}, boundscheck=False)
def draw_mesh(points, triangles, source, weight, map_x, map_y, alpha, depth):  # type: ignore[no-untyped-def]
    """Fill `map_x`, `map_y` (f32 [h, w], portrait pixels) and `alpha` (u8 [h, w]); all are overwritten.

    points f32 [n, 3]: vertices in patch pixels, smaller z is nearer; triangles i32 [t, 3]; source f32 [n, 2]: the
    same vertices in the portrait; weight f32 [n]: 0..1 opacity at each vertex; depth f32 [h, w]: scratch.
    Pixels that no triangle covers get alpha 0 and a place far outside the portrait.
    """
    rows, columns = alpha.shape
    for y in range(rows):
        for x in range(columns):
            alpha[y, x] = 0
            depth[y, x] = np.float32(1e9)
            map_x[y, x] = np.float32(-1e4)
            map_y[y, x] = np.float32(-1e4)
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay = points[a, 0], points[a, 1]
        bx, by = points[b, 0], points[b, 1]
        cx, cy = points[c, 0], points[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if abs(area) < 1e-3:
            continue
        # Bounded before they become whole numbers: a number too large for one could become any place.
        if not (max(abs(ax), abs(bx), abs(cx), abs(ay), abs(by), abs(cy)) < _FARTHEST):
            continue
        x0 = max(0, int(np.ceil(min(ax, bx, cx))))
        x1 = min(columns - 1, int(np.floor(max(ax, bx, cx))))
        y0 = max(0, int(np.ceil(min(ay, by, cy))))
        y1 = min(rows - 1, int(np.floor(max(ay, by, cy))))
        inv = np.float32(1.0) / area
        # Barycentric coordinates are linear in x: v and w grow by a constant from pixel to pixel.
        dv, dw = (cy - ay) * inv, -(by - ay) * inv
        for y in range(y0, y1 + 1):
            v = ((x0 - ax) * (cy - ay) - (y - ay) * (cx - ax)) * inv
            w = ((bx - ax) * (y - ay) - (by - ay) * (x0 - ax)) * inv
            for x in range(x0, x1 + 1):
                u = np.float32(1.0) - v - w
                if u >= -1e-5 and v >= -1e-5 and w >= -1e-5:
                    z = u * points[a, 2] + v * points[b, 2] + w * points[c, 2]
                    if z < depth[y, x]:
                        depth[y, x] = z
                        map_x[y, x] = u * source[a, 0] + v * source[b, 0] + w * source[c, 0]
                        map_y[y, x] = u * source[a, 1] + v * source[b, 1] + w * source[c, 1]
                        k = u * weight[a] + v * weight[b] + w * weight[c]
                        alpha[y, x] = np.uint8(min(max(k, 0.0), 1.0) * 255.0 + 0.5)
                v += dv
                w += dw


@njit(nogil=True, cache=True)
def point_normals(points, triangles, normals):  # type: ignore[no-untyped-def]
    """Fill `normals` (f32 [n, 3], length 1, or 0 where a point has no surface) from the triangles around each point.

    points f32 [n, 3]; triangles i32 [t, 3], counter-clockwise as seen from outside with y up.
    """
    normals[:] = 0
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ux, uy, uz = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1], points[b, 2] - points[a, 2]
        vx, vy, vz = points[c, 0] - points[a, 0], points[c, 1] - points[a, 1], points[c, 2] - points[a, 2]
        x, y, z = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for k in range(3):
            p = triangles[t, k]
            normals[p, 0] += x
            normals[p, 1] += y
            normals[p, 2] += z
    for p in range(points.shape[0]):
        length = np.sqrt(normals[p, 0] ** 2 + normals[p, 1] ** 2 + normals[p, 2] ** 2)
        if length > 0:
            normals[p] /= length
