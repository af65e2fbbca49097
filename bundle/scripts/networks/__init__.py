"""Networks: the plan of their topology, blocks, and the multi-task U-Net. Tensors in, logits out."""

from .coarse_output import CoarseOutput, coarse_size
from .discriminant import discriminant_weights
from .embedding_network import EMBEDDING, PROJECTION, EmbeddingNetwork
from .exported import EXPORT_SUFFIXES, ExportedNetwork
from .feature_maps import count_feature_map_values
from .halving import halving_stages
from .head_network import HeadNetwork
from .memory_rule import MemoryBudget, memory_budget
from .multi_target import MultiTargetNetwork
from .multi_task_unet import MultiTaskUNet
from .nnunet_plans import plans_axes, plans_options
from .nnunet_weights import permute_resenc_axes, rename_resenc, resenc_topology, resenc_weights
from .packed_output import PackedOutput
from .partial_weights import WeightMatch, differences, match_weights
from .phdnet import BRANCH_SCHEMES, PHDNet, voxels_per_patch
from .plan_overrides import resolve_plan
from .planner import plan_unet
from .point_heads import SimpleSegHead, SparseSegHead
from .topology import smallest_patch
from .training_memory import TrainingMemory, batch_size_for, estimate_training_memory
from .unet_plan import UNetPlan, check_patch_size

__all__ = [
    "BRANCH_SCHEMES",
    "EMBEDDING",
    "EXPORT_SUFFIXES",
    "PROJECTION",
    "CoarseOutput",
    "EmbeddingNetwork",
    "ExportedNetwork",
    "HeadNetwork",
    "MemoryBudget",
    "MultiTargetNetwork",
    "MultiTaskUNet",
    "PHDNet",
    "PackedOutput",
    "SimpleSegHead",
    "SparseSegHead",
    "TrainingMemory",
    "UNetPlan",
    "WeightMatch",
    "batch_size_for",
    "check_patch_size",
    "coarse_size",
    "count_feature_map_values",
    "differences",
    "discriminant_weights",
    "estimate_training_memory",
    "halving_stages",
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
    "voxels_per_patch",
]
