"""The density of points in a plane: where a model's samples lie."""

import numpy as np


class GaussianDensity:
    """Kernel density estimate of points, with a Gaussian kernel.

    The kernel's covariance is that of the points times `n ** (-1 / 3)`, Scott's
    rule in two dimensions.

    Args:
        points: array `[n, 2]`, finite, at least three, not all on one line.

    Raises:
        ValueError: if the points are not as described.
    """

    def __init__(self, points):
        points = np.asarray(points, np.float64)
        if (
            points.ndim != 2
            or points.shape[1] != 2
            or len(points) < 3
            or not np.isfinite(points).all()
        ):
            raise ValueError(
                "`points` must be finite, of shape (n, 2) with n at least 3. "
                f"Received: points of shape {points.shape}"
            )
        covariance = np.cov(points.T) * len(points) ** (-1 / 3)
        try:
            factor = np.linalg.cholesky(covariance)
        except np.linalg.LinAlgError as error:
            raise ValueError(
                "`points` must not all lie on one line. "
                f"Received: covariance {covariance.tolist()}"
            ) from error
        self.points = points
        # With this the kernel becomes the standard normal density.
        self._whitening = np.linalg.inv(factor)
        self._white_points = points @ self._whitening.T
        self._peak = np.linalg.det(self._whitening) / (2.0 * np.pi)

    def __call__(self, places):
        """Density at places.

        Args:
            places: array `[..., 2]`.

        Returns:
            float64 array `[...]`; over the plane it integrates to 1.
        """
        return self._kernels(places).mean(axis=-1)

    def threshold(self, share):
        """Density that a share of fresh points of the kind exceeds.

        Every point is looked at with the density of the others: its own kernel
        would make it seem a likelier place than a fresh point would find.

        Args:
            share: float between 0 and 1.

        Returns:
            float.
        """
        count = len(self.points)
        others = self._kernels(self.points).sum(axis=-1) - self._peak
        return float(np.quantile(others / (count - 1), 1.0 - share))

    def covers(self, places, share=0.95):
        """Whether places lie in the smallest region that holds a share.

        Args:
            places: array `[..., 2]`.
            share: float between 0 and 1, the share of fresh points that lie
                in the region.

        Returns:
            bool array `[...]`.
        """
        return self(places) >= self.threshold(share)

    def _kernels(self, places):
        """Every point's kernel at every place, `[..., n]`."""
        white = np.asarray(places, np.float64) @ self._whitening.T
        offsets = white[..., None, :] - self._white_points
        return self._peak * np.exp(-0.5 * (offsets**2).sum(axis=-1))
