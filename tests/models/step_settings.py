"""What steps of networks are compared with: CowClip, L2, no warm-up."""

from ctrfast.optim.step_settings import StepSettings

STEP = StepSettings(
    lr_dense=1e-2,
    lr_embed=1e-2,
    l2=1e-3,
    clip="adaptive_column",
    clip_ratio=0.003,
    bound=1e-2,
    warmup_steps=0,
    total_steps=3,
)
