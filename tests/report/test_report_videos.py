"""Videos decode to what was written, with even sides; the frame turns green when the goal is reached."""

import imageio.v3 as imageio
import imageio_ffmpeg
import numpy as np
import pytest
import report_fakes as fakes

from worldmodel.figures import videos


@pytest.mark.parametrize(("height", "width", "even"), [(48, 64, (48, 64)), (47, 63, (48, 64)), (20, 33, (20, 34))])
def test_video_decodes_to_as_many_frames_with_even_sides(tmp_path, height, width, even):
    frames = np.stack([np.full((height, width, 3), 20 * index, np.uint8) for index in range(9)])
    decoded = imageio.imread(videos.write_video(tmp_path / "a.mp4", frames, fps=7))
    assert decoded.shape == (9, *even, 3)
    assert np.abs(decoded.astype(int).mean((1, 2, 3)) - 20 * np.arange(9)).max() < 4


def test_video_is_h264_with_subsampled_colour_and_its_index_in_front(tmp_path):
    path = videos.write_video(tmp_path / "a.mp4", fakes.frames_of_a_ball(), fps=10)
    reader = imageio_ffmpeg.read_frames(str(path))
    meta = next(reader)
    reader.close()
    assert meta["codec"] == "h264" and meta["pix_fmt"].startswith("yuv420p") and meta["fps"] == 10
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")
    assert [file.name for file in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize(
    "frames", [np.zeros((0, 8, 8, 3), np.uint8), np.zeros((4, 8, 8, 3)), np.zeros((4, 3, 8, 8), np.uint8)]
)
def test_video_refuses_what_is_not_frames(tmp_path, frames):
    with pytest.raises(ValueError, match=r"frames must be uint8 of shape \(T, S, S, 3\)"):
        videos.write_video(tmp_path / "a.mp4", frames, fps=10)


def test_control_video_frames_the_view_in_green_once_reached(tmp_path):
    views = fakes.frames_of_a_ball(num_frames=6, side=31)
    reached = np.array([False, False, False, False, True, True])
    decoded = imageio.imread(videos.control_video(tmp_path / "c.mp4", views, views[-1], reached, fps=5, scale=3))
    assert len(decoded) == 6 and decoded.shape[2] > 2 * 31 * 3 and decoded.shape[1] % 2 == decoded.shape[2] % 2 == 0
    edge = decoded[:, 100, 12:15].astype(int).mean(1)  # inside the view's left border
    green = edge[:, 1] - edge[:, 0]
    assert (green[reached] > 60).all() and (green[~reached] < 30).all()


def test_control_video_shows_view_and_goal_side_by_side(tmp_path):
    view, goal = np.full((3, 20, 20, 3), 200, np.uint8), np.full((20, 20, 3), 90, np.uint8)
    decoded = imageio.imread(videos.control_video(tmp_path / "c.mp4", view, goal, np.zeros(3, bool), fps=5, scale=4))
    middle = decoded.shape[1] // 2 + 10
    quarter = decoded.shape[2] // 4
    assert decoded[1, middle, quarter].mean() == pytest.approx(200, abs=6)
    assert decoded[1, middle, 3 * quarter].mean() == pytest.approx(90, abs=6)


def test_control_video_refuses_a_goal_of_another_size(tmp_path):
    views = fakes.frames_of_a_ball(num_frames=4)
    with pytest.raises(ValueError, match="need a goal"):
        videos.control_video(tmp_path / "c.mp4", views, views[0, :-1], np.zeros(4, bool), fps=5)
