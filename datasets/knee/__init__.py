"""The digital knee: procedural anatomy with nerves of known course, and the scenes of procedures at them."""

from knerve.datasets.knee.courses import NerveCourse
from knerve.datasets.knee.digital_knee import digital_knee
from knerve.datasets.knee.knee import Knee
from knerve.datasets.knee.scenes import Cryoprobe, Depot, Lesion, Needle, Scene

__all__ = ["Cryoprobe", "Depot", "Knee", "Lesion", "Needle", "NerveCourse", "Scene", "digital_knee"]
