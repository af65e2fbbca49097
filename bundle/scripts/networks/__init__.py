"""Networks: the plan of their topology, blocks, and the multi-task U-Net. Tensors in, logits out."""

from .embedding_network import EMBEDDING, PROJECTION, EmbeddingNetwork
from .feature_maps import count_feature_map_values
from .head_network import HeadNetwork
from .memory_rule import MemoryBudget, memory_budget
from .multi_target import MultiTargetNetwork
from .multi_task_unet import MultiTaskUNet
from .nnunet_plans import plans_axes, plans_options
from .nnunet_weights import permute_resenc_axes, rename_resenc, resenc_topology, resenc_weights
from .packed_output import PackedOutput
from .partial_weights import WeightMatch, differences, match_weights
from .plan_overrides import resolve_plan
from .planner import plan_unet
from .point_heads import SimpleSegHead, SparseSegHead
from .topology import smallest_patch
from .training_memory import TrainingMemory, batch_size_for, estimate_training_memory
from .unet_plan import UNetPlan, check_patch_size

__all__ = [
    "EMBEDDING",
    "PROJECTION",
    "EmbeddingNetwork",
    "HeadNetwork",
    "MemoryBudget",
    "MultiTargetNetwork",
    "MultiTaskUNet",
    "PackedOutput",
    "SimpleSegHead",
    "SparseSegHead",
    "TrainingMemory",
    "UNetPlan",
    "WeightMatch",
    "batch_size_for",
    "check_patch_size",
    "count_feature_map_values",
    "differences",
    "estimate_training_memory",
    "match_weights",
    "memory_budget",
    "permute_resenc_axes",
    "plan_unet",
    "plans_axes",
    "plans_options",
    "rename_resenc",
    "resenc_topology",
    "resenc_weights",
    "resolve_plan",
    "smallest_patch",
]
