"""Networks: the plan of their topology, blocks, and the multi-task U-Net. Tensors in, logits out."""

from .multi_task_unet import MultiTaskUNet
from .packed_output import PackedOutput
from .plan_overrides import resolve_plan
from .unet_plan import UNetPlan, check_patch_size, plan_unet, smallest_patch

__all__ = [
    "MultiTaskUNet",
    "PackedOutput",
    "UNetPlan",
    "check_patch_size",
    "plan_unet",
    "resolve_plan",
    "smallest_patch",
]
