"""Labels are next to their points and overlap nothing else."""

import numpy as np

from effconvert.report.pictures.labels import boxes_around, place_labels

FRAME = (0.0, 0.0, 400.0, 200.0)
NONE = np.zeros((0, 4))


def test_a_label_stands_above_a_lonely_point() -> None:
    (label,) = place_labels(np.array([[200.0, 100.0]]), [40], NONE, FRAME)
    assert label.x == 200
    assert 80 < label.y < 100
    assert not label.far


def test_a_label_at_the_border_stays_inside() -> None:
    points = np.array([[200.0, 1.0], [399.0, 100.0], [1.0, 199.0]])
    for label in place_labels(points, [40] * 3, boxes_around(points, 4), FRAME):
        assert 20 <= label.x <= 380
        assert 6 <= label.y <= 194


def test_labels_of_points_side_by_side_do_not_overlap() -> None:
    points = np.array([[200.0 + 6 * number, 100.0] for number in range(12)])
    labels = place_labels(points, [40] * 12, boxes_around(points, 3), FRAME)
    for number, label in enumerate(labels):
        for other in labels[:number]:
            assert abs(label.x - other.x) >= 40 or abs(label.y - other.y) >= 12
    assert any(label.far for label in labels)


def test_a_label_keeps_clear_of_lines() -> None:
    line = np.array([[float(x), 85.0] for x in range(0, 400, 4)])
    (label,) = place_labels(np.array([[200.0, 100.0]]), [40], boxes_around(line, 2), FRAME)
    assert label.y > 100
