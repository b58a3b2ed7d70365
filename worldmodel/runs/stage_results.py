"""Results of single stages of training, which `results.TrainResult` holds."""

from dataclasses import dataclass, field

from worldmodel.measures.statistics import mean_known


@dataclass(frozen=True)
class PictureQuality:
    """How close pictures are to held-out frames, and how well the state is read from them."""

    psnr_db: float | None
    """Peak signal-to-noise ratio, in decibels; None where the pictures are equal."""
    ssim: float
    """Structural similarity, 1 where they are equal."""
    state_r2: dict[str, float | None] | None
    """State variable -> R2 with which it is read from the pictures: the encoder again, and the linear map that is
    fitted on training frames. None where the data hold no state."""

    @property
    def mean_r2(self) -> float | None:
        """Mean R2 over the variables that vary."""
        return mean_known(self.state_r2.values()) if self.state_r2 else None


@dataclass(frozen=True)
class DecodingResult:
    """How well the decoder reconstructs held-out frames from their latents."""

    image_size: int
    """Pixels on a side of a decoded frame."""
    num_frames: int
    """Held-out frames."""
    decoded: PictureQuality
    """Quality of decoded frames."""
    nearest: PictureQuality
    """Quality of the training frames with the nearest latents, which would take the place of a decoder."""
    camera_r2: dict[str, float | None] | None
    """`state_r2` of the held-out frames themselves, the most to be expected."""
    videos: list[str] = field(default_factory=list)
    """Films of what the model imagines, relative to the run directory; none of a world without actions."""

    @property
    def share_kept(self) -> float | None:
        """Mean R2 from decoded frames over that from the camera's, of the variables that vary."""
        kept, most = self.decoded.mean_r2, mean_known(self.camera_r2.values()) if self.camera_r2 else None
        return None if kept is None or most is None or most <= 0 else kept / most


@dataclass(frozen=True)
class RobustEncoderResult:
    """The robust encoder beside the encoder that it learned from, on validation frames."""

    encoder: str
    """Its kind and input, such as `strided 64x64`."""
    error: float
    """Mean squared difference of their latents of frames as they are, over the latents' variance."""
    error_under_looks: float
    """That error where the robust encoder sees the frames under the looks that it was trained on."""
    r2: float | None
    """R2 of the true positions, mean over them, from its latents, by the map that was fitted on the encoder's; None
    where the data hold no state."""
    r2_encoder: float | None
    """That R2 from the encoder's own latents."""
    moving_share: float
    """Share of pixels that differ from the background."""
    used: bool
    """Whether it embeds the frames on which the encoders disagree: it is nearly as good on frames as they are."""
    agreement: float | None = None
    """Mean squared difference of the two latents that 99 % of frames as they are stay below, and from which on the
    encoder is not believed; None in runs of earlier versions, which saw by the robust encoder alone."""


@dataclass(frozen=True)
class StepsOff:
    """How far off predictions are in time: distance from the predicted step to that with the nearest true latent."""

    mean: float
    """Control steps between the predicted step and the one whose true latent is nearest, mean over windows."""
    steps_ahead: int
    """Control steps ahead of the predictions; twice as many are searched."""

    @property
    def chance(self) -> float:
        """Mean steps off by chance, where every moment is equally likely to be found."""
        return mean_known(abs(step - self.steps_ahead) for step in range(1, 2 * self.steps_ahead + 1)) or 0.0


@dataclass(frozen=True)
class RewardResult:
    """The rewards of the test episodes, and how well the reward head reads them."""

    lowest: float
    """Lowest reward of a control step."""
    highest: float
    """Highest one."""
    mean: float
    """Mean reward of a control step."""
    num_steps: int
    """Number of these control steps."""
    horizon: int
    """Control steps that the predictor looks ahead."""
    r2: float | None
    """R2 of rewards, read from the frames that are seen; None where the test episodes hold one
    reward only, or rewards that differ by less than a ten-thousandth of those trained on."""
    r2_ahead: float | None
    """R2 of rewards at the end of the horizon, read from the latents that the predictor imagines there."""


@dataclass(frozen=True)
class TrainingRound:
    """The data that a round added; round 0 is the recording before the first."""

    number: int
    """Number of the round."""
    policy: str
    """The policy that acted: an excitation policy, or `controller`, the run's own."""
    episodes: int
    """Episodes that it added."""
    steps: int
    """Control steps of them."""
    mean_return: float
    """Sum of the rewards of an episode, mean over them."""
