"""How an image was reconstructed, as programs read it from DICOM: deep learning or not, and the factor of compressed sensing.

DICOM has no public element for either. Both are written into a private block of our own, under the names of BIDS. dcm2niix
takes them from the vendors' private elements alone, and from GE's only for images of GE scanners: for these the same two are
written there too, so that its JSON says `DeepLearning`, `DeepLearningDetails` and `CompressedSensingFactor`. The other vendors'
marks name products of theirs, which did not make these images; they are not imitated. NIfTI that we write has the keys in a
JSON of its own.
"""

from __future__ import annotations

from pydicom.dataset import Dataset

from knerve.datasets.dicom_values import decimal, text
from knerve.datasets.provenance import method_keys
from knerve.recon.images import ImageSeries

GROUP, CREATOR = 0x4B4F, "KNERVE RECON 1"
IS_DEEP_LEARNING, DETAILS, FACTOR = 0x01, 0x02, 0x03
GE_GROUP, GE_CREATOR = 0x0043, "GEMS_PARM_01"
GE_FACTOR, GE_DETAILS = 0xB7, 0xCA


def describe_method(ds: Dataset, images: ImageSeries) -> None:
    """Write the private elements into the data set, whose manufacturer is known already."""
    keys = method_keys(images)
    if not keys:
        return
    factor = decimal(images.acceleration)
    details = text(str(keys.get("DeepLearningDetails", "")), "LO")
    own = ds.private_block(GROUP, CREATOR, create=True)
    own.add_new(IS_DEEP_LEARNING, "CS", "YES" if "DeepLearning" in keys else "NO")
    own.add_new(DETAILS, "LO", details)
    own.add_new(FACTOR, "DS", factor)
    if str(ds.Manufacturer).upper().startswith("GE"):
        vendor = ds.private_block(GE_GROUP, GE_CREATOR, create=True)
        vendor.add_new(GE_FACTOR, "LO", str(factor))
        if details:
            vendor.add_new(GE_DETAILS, "LO", details)
