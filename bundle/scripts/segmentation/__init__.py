"""From predictions to objects: components, watershed, agglomeration, filters; for one block or a whole volume."""

from ..geometry.affinities import direct_offsets
from .affinities import affinities_to_boundary, boundary_to_affinities, labels_to_affinities
from .agglomeration import Agglomeration, absorb_small, agglomerate
from .block_agglomeration import Agglomerated
from .block_components import BlockFunction, Components
from .block_segmentation import BlockSegmentation
from .block_watershed import Watershed
from .filters import keep_objects, select_objects
from .fragments import watershed_fragments
from .holes import contacts, fill_holes, holes_to_fill
from .labelling import label_components
from .mesh import Mesh, surface_mesh, write_obj, write_ply
from .mutex import mutex_watershed
from .objects import ObjectTable, merge_tables, object_table
from .region_graph import RegionGraph, build_region_graph, contract_region_graph, merge_region_graphs
from .relabelling import dense_ids, relabel, relabel_sequential, smallest_dtype
from .seeds import candidate_peaks, depth, distance_peaks, marker_seeds, place_seeds, thin_out_peaks
from .segmenter import Segmenter
from .skeleton import Skeleton, skeletonize, write_swc
from .thresholds import hysteresis, hysteresis_components, threshold
from .union import face_pairs, join, join_flags
from .watershed import seeded_watershed

__all__ = [
    "Agglomerated",
    "Agglomeration",
    "BlockFunction",
    "BlockSegmentation",
    "Components",
    "Mesh",
    "ObjectTable",
    "RegionGraph",
    "Segmenter",
    "Skeleton",
    "Watershed",
    "absorb_small",
    "affinities_to_boundary",
    "agglomerate",
    "boundary_to_affinities",
    "build_region_graph",
    "candidate_peaks",
    "contacts",
    "contract_region_graph",
    "dense_ids",
    "depth",
    "direct_offsets",
    "distance_peaks",
    "face_pairs",
    "fill_holes",
    "holes_to_fill",
    "hysteresis",
    "hysteresis_components",
    "join",
    "join_flags",
    "keep_objects",
    "label_components",
    "labels_to_affinities",
    "marker_seeds",
    "merge_region_graphs",
    "merge_tables",
    "mutex_watershed",
    "object_table",
    "place_seeds",
    "relabel",
    "relabel_sequential",
    "seeded_watershed",
    "select_objects",
    "skeletonize",
    "smallest_dtype",
    "surface_mesh",
    "thin_out_peaks",
    "threshold",
    "watershed_fragments",
    "write_obj",
    "write_ply",
    "write_swc",
]
