"""The patch search done the plain way: every candidate's box is looked at, voxel by voxel."""

import itertools

import numpy as np
import zarr


def find(label, chunks, patch, stride, min_bbox, min_ratio, low=None, high=None):
    """Kept patches of a D H W array, `start -> (share of the patch, share of the box)`, from the definitions alone."""
    low = np.zeros(3, int) if low is None else np.array(low)
    high = np.array(label.shape) if high is None else np.array(high)
    found = {}
    for group in groups(parts(label, chunks, low, high), low, high, patch):
        for start in itertools.product(
            *(axis_starts(*axis) for axis in zip(*group, low, high, patch, stride, strict=True))
        ):
            shares = recount(label, start, patch, high)
            if shares is not None and shares[0] >= min_bbox and shares[1] >= min_ratio:
                found[start] = shares
    return found


def recount(label, start, patch, high):
    """The two shares of one patch from the raw label; `None` where nothing is labelled."""
    box = label[tuple(slice(s, min(s + n, h)) for s, n, h in zip(start, patch, high, strict=True))] != 0
    if not box.any():
        return None
    where = np.argwhere(box)
    bbox = np.prod(where.max(axis=0) - where.min(axis=0) + 1)
    return bbox / box.size, box.sum() / bbox


def axis_starts(label_low, label_high, low, high, patch, stride):
    """Candidates over labels: every stride from their first voxel, one ending with their last; or one around them."""
    if label_high - label_low <= patch:
        centred = label_low - (patch - (label_high - label_low)) // 2
        return [min(max(centred, low), max(high - patch, low))]
    return sorted({*range(label_low, label_high - patch + 1, stride), label_high - patch})


def parts(label, chunks, low, high):
    """Boxes around labels: of each block of stored chunks that is read at once, cut wherever a whole plane is empty."""
    boxes = []
    for corner in itertools.product(*(range(0, n, c) for n, c in zip(label.shape, chunks, strict=True))):
        if label[tuple(slice(at, at + c) for at, c in zip(corner, chunks, strict=True))].any():
            first, last = np.maximum(corner, low), np.minimum(np.add(corner, chunks), high)
            if (first < last).all():
                boxes.append((tuple(first), tuple(last)))
    for axis in (2, 1, 0):
        boxes = joined(boxes, axis)
    return [part for first, last in boxes for part in cut(label, np.array(first), np.array(last))]


def joined(boxes, axis):
    """Boxes of which one begins along an axis where another ends, with equal sides, become one."""
    rows = {}
    for first, last in boxes:
        sides = first[:axis] + first[axis + 1 :], last[:axis] + last[axis + 1 :]
        rows.setdefault(sides, []).append((first, last))
    found = []
    for row in rows.values():
        row.sort(key=lambda box: box[0][axis])
        kept = [row[0]]
        for first, last in row[1:]:
            if kept[-1][1][axis] == first[axis]:
                kept[-1] = (kept[-1][0], last)
            else:
                kept.append((first, last))
        found += kept
    return sorted(found)


def cut(label, low, high):
    box = label[tuple(map(slice, low, high))] != 0
    if not box.any():
        return []
    pieces = [[]] * 3
    for axis in range(3):
        planes = box.any(axis=tuple({0, 1, 2} - {axis}))
        starts = [i for i in range(len(planes)) if planes[i] and (i == 0 or not planes[i - 1])]
        ends = [i + 1 for i in range(len(planes)) if planes[i] and (i + 1 == len(planes) or not planes[i + 1])]
        pieces[axis] = list(zip(starts, ends, strict=True))
    boxes = [np.array(piece).T + low for piece in itertools.product(*pieces)]
    if len(boxes) == 1:
        return boxes
    return [part for first, last in boxes for part in cut(label, first, last)]


def groups(boxes, low, high, patch):
    """Unite boxes, round by round, while any two touch or their candidates share a voxel."""
    boxes = [tuple(tuple(map(int, corner)) for corner in box) for box in boxes]
    while True:
        rounds = []
        left = list(boxes)
        while left:
            group = [left.pop()]
            for box in group:  # grows while it is walked
                near = [other for other in left if related(box, other, low, high, patch)]
                left = [other for other in left if other not in near]
                group += near
            rounds.append((tuple(np.min([g[0] for g in group], 0)), tuple(np.max([g[1] for g in group], 0))))
        if len(rounds) == len(boxes):
            return boxes
        boxes = rounds


def related(a, b, low, high, patch):
    return touch(a, b) or share_a_voxel(covered(a, low, high, patch), covered(b, low, high, patch))


def covered(box, low, high, patch):
    starts = [axis_starts(*axis, 1) for axis in zip(*box, low, high, patch, strict=True)]
    return [s[0] for s in starts], [min(s[-1] + n, h) for s, n, h in zip(starts, patch, high, strict=True)]


def touch(a, b):
    return all(a[0][i] <= b[1][i] and b[0][i] <= a[1][i] for i in range(3))


def share_a_voxel(a, b):
    return all(a[0][i] < b[1][i] and b[0][i] < a[1][i] for i in range(3))


def write_label(path, label, chunks):
    array = zarr.create_array(str(path), shape=label.shape, chunks=chunks, dtype=label.dtype, overwrite=True)
    array[...] = label
    return str(path)


def starts(patches):
    return sorted(tuple(patch["start"]) for patch in patches)
