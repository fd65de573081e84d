"""All kinds of input, and which cases are tried."""

from collections.abc import Iterator
from random import Random

from fuzz_kind import Kind
from kind_archive import Archive
from kind_attributions import Attributions
from kind_batches import Batches
from kind_corrections import Corrections
from kind_dicom import DicomSeries
from kind_exports import Exports, Stages
from kind_given_masks import GivenMasks
from kind_masks import Masks
from kind_model import ModelFile
from kind_networks import MonaiBundles, NetworkFiles, NNUNetFolders
from kind_nifti import NiftiScan
from kind_pictures import Pictures
from kind_predictions import Predictions
from kind_protocols import SplitsAndProtocols
from kind_recipe import Recipe
from kind_references import References
from kind_reproductions import Reproductions
from kind_results import Results
from kind_segments import GivenSegments
from kind_states import States
from kind_stores import Stores
from kind_tables import Tables
from kind_weights import Weights

KINDS: tuple[Kind, ...] = (
    *(NiftiScan(), DicomSeries(), Archive(), Weights(), ModelFile(), Recipe(), Tables(), SplitsAndProtocols()),
    *(Stores(), States(), Results(), Masks(), Pictures()),
    *(References(), Exports(), Stages(), Predictions(), Batches(), Reproductions()),
    *(GivenMasks(), GivenSegments(), Attributions(), Corrections(), NetworkFiles(), NNUNetFolders(), MonaiBundles()),
)
BY_NAME = {kind.name: kind for kind in KINDS}


def cases(count: int) -> Iterator[tuple[str, int]]:
    """Kind and number of each case; of more cases each kind gets its share, and the first ones are the same."""
    taken = [kind for kind in KINDS if count >= kind.least_count]
    total = sum(kind.share for kind in taken)
    for kind in taken:
        yield from ((kind.name, number) for number in range(round(count * kind.share / total)))


def random_of(seed: int, kind: str, number: int) -> Random:
    """Draws of one case, that no other case changes."""
    return Random(f"{seed} {kind} {number}")
