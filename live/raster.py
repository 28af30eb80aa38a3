"""Draws a triangle mesh with a z-buffer: for each pixel, where in the texture its colour lies, and how much it counts.

Compiled by numba without the GIL; compiled code is cached on disk after the first run.
"""

from __future__ import annotations

import numpy as np

from live.compiled import compiled

_FARTHEST = np.float32(1e6)  # pixels; a vertex beyond is nonsense, and its triangles are left out
_INSIDE, _OUTER = np.float32(-1e-5), np.float32(1 + 1e-5)  # pixels on an edge belong to both its triangles


_F = np.float32  # whole numbers beside float32 would make numba compute in float64, which is slower


@compiled(fastmath={"contract", "arcp", "nsz"})
def draw_mesh(points, triangles, source, weight, map_x, map_y, alpha, depth):  # type: ignore[no-untyped-def]
    """Fill `map_x`, `map_y` (f32 [h, w], portrait pixels) and `alpha` (u8 [h, w]); all are overwritten.

    points f32 [n, 3]: vertices in patch pixels, smaller z is nearer; triangles i32 [t, 3]; source f32 [n, 2]: the
    same vertices in the portrait; weight f32 [n]: 0..1 opacity at each vertex; depth f32 [h, w]: scratch.
    Pixels that no triangle covers get alpha 0 and a place far outside the portrait.
    """
    rows, columns = alpha.shape
    alpha[:] = 0
    depth[:] = _F(1e9)
    map_x[:] = _F(-1e4)
    map_y[:] = _F(-1e4)
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay = points[a, 0], points[a, 1]
        bx, by = points[b, 0], points[b, 1]
        cx, cy = points[c, 0], points[c, 1]
        abx, aby, acx, acy = bx - ax, by - ay, cx - ax, cy - ay
        area = abx * acy - aby * acx
        if abs(area) < _F(1e-3):
            continue
        # Bounded before they become whole numbers: a number too large for one could become any place.
        if not (max(abs(ax), abs(bx), abs(cx), abs(ay), abs(by), abs(cy)) < _FARTHEST):
            continue
        x0 = max(0, int(np.ceil(min(ax, bx, cx))))
        x1 = min(columns - 1, int(np.floor(max(ax, bx, cx))))
        y0 = max(0, int(np.ceil(min(ay, by, cy))))
        y1 = min(rows - 1, int(np.floor(max(ay, by, cy))))
        inv = _F(1) / area
        # Barycentric coordinates are linear in x: v and w grow by a constant from pixel to pixel.
        dv, dw = acy * inv, -aby * inv
        az, abz, acz = points[a, 2], points[b, 2] - points[a, 2], points[c, 2] - points[a, 2]
        sx, abs_, acs = source[a, 0], source[b, 0] - source[a, 0], source[c, 0] - source[a, 0]
        sy, abq, acq = source[a, 1], source[b, 1] - source[a, 1], source[c, 1] - source[a, 1]
        k0, abk, ack = weight[a], weight[b] - weight[a], weight[c] - weight[a]
        for y in range(y0, y1 + 1):
            v = ((_F(x0) - ax) * acy - (_F(y) - ay) * acx) * inv
            w = (abx * (_F(y) - ay) - aby * (_F(x0) - ax)) * inv
            for x in range(x0, x1 + 1):
                if v >= _INSIDE and w >= _INSIDE and v + w <= _OUTER:
                    z = az + v * abz + w * acz
                    if z < depth[y, x]:
                        depth[y, x] = z
                        map_x[y, x] = sx + v * abs_ + w * acs
                        map_y[y, x] = sy + v * abq + w * acq
                        k = k0 + v * abk + w * ack
                        alpha[y, x] = np.uint8(min(max(k, _F(0)), _F(1)) * _F(255) + _F(0.5))
                v += dv
                w += dw


@compiled()
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
            for k in range(3):  # not a row at once: that takes numba two seconds to compile
                normals[p, k] /= length
