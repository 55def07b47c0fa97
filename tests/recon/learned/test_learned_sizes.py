"""The packaged weights with few and many coils and with odd and even matrices: dl must not fall behind compressed sensing."""

import pytest

from knerve.recon.learned.weights import packaged_model
from knerve.recon.pipeline import reconstruct
from knerve.recon.settings import Settings

MOST = 1.02  # error of dl over that of compressed sensing

pytestmark = pytest.mark.skipif(packaged_model() is None, reason="this installation comes without trained weights")


@pytest.mark.parametrize(
    ("n_coils", "n_y", "n_x"),
    [(4, 160, 128), (4, 161, 127), (6, 129, 112), (8, 128, 113), (16, 161, 100), (32, 160, 127), (32, 127, 128)],
)
def test_any_size_is_no_worse_than_compressed_sensing(make_scan, random_lines, relative_error, n_coils, n_y, n_x):
    counts = random_lines(n_y, 3, 20)
    truth = make_scan(counts=counts, n_coils=n_coils, n_y=n_y, n_x=n_x, oversampling=2, snr=25.0, texture=0.4)
    learned, classical = (reconstruct(truth.scan, Settings(method=method, snr_map="none")) for method in ("dl", "cs"))
    assert any("learned reconstruction: at most" in note for note in learned.notes), learned.notes
    assert not any("replaced" in note for note in learned.notes), learned.notes
    assert learned.image.shape == (1, n_y, n_x)
    assert relative_error(learned.image, truth.image) < MOST * relative_error(classical.image, truth.image)
