"""The manifest of crops, as the toolbox writes it."""

import pytest

from scripts.workflows.submissions.manifest import WantedLabel, crop_folder, is_crop_folder, read_manifest

HEADER = "crop_name,dataset,class_label,voxel_size,translation,shape\n"
LINE = "557,jrc_ctl-id8-1,nuc,[1.74;2.0;2.0],[23837.0;7599.0;35999.0],[600;300;200]\n"


def write(tmp_path, content):
    (tmp_path / "manifest.csv").write_text(content)
    return tmp_path / "manifest.csv"


def test_a_line_is_a_grid(tmp_path):
    second = "crop7, jrc_x, er, [8;8;8], [-4;0;1e3], [10;10;10]\n"
    assert read_manifest(write(tmp_path, HEADER + LINE + second)) == [
        WantedLabel("crop557", "jrc_ctl-id8-1", "nuc", (1.74, 2, 2), (23837, 7599, 35999), (600, 300, 200)),
        WantedLabel("crop7", "jrc_x", "er", (8, 8, 8), (-4, 0, 1000), (10, 10, 10)),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (LINE, "expected the columns crop_name, dataset, .*; crop_name, .*shape not found"),
        (HEADER, "lists no crops"),
        (
            HEADER + LINE.replace("[1.74;2.0;2.0]", "[2;2]"),
            r"line 2: expected voxel_size, .* as \[z;y;x\]; got \[2;2\]",
        ),
        (HEADER + "557,a,nuc\n", "line 2: expected voxel_size, .*; got None, None, None"),
        (HEADER + LINE.replace("600", "0"), r"line 2: voxel_size must be positive and shape whole; got .* \(0.0, 300"),
        (HEADER + LINE.replace("1.74", "-1"), "line 2: voxel_size must be positive"),
    ],
)
def test_faults(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        read_manifest(write(tmp_path, content))


def test_names_of_folders():
    assert [crop_folder(name) for name in ("557", "crop557", "a1")] == ["crop557", "crop557", "a1"]
    assert [is_crop_folder(name) for name in ("crop557", "crop_a-1", "crop", "557", "a1", "crop/1")] == [
        True, True, False, False, False, False,
    ]  # fmt: skip
