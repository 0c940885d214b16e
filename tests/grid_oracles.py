"""What a scan on an isotropic grid must be, computed by others: SimpleITK's and MONAI's linear resampling to the
grid's fine points, and their means."""

import nibabel
import numpy as np


def fine_affine(size, spacing_mm, centre_mm, n_points) -> np.ndarray:
    """Of the fine points, indices to mm: `n_points` (3,) of them in each of the grid's voxels."""
    step = spacing_mm / np.asarray(n_points)
    first = np.asarray(centre_mm) - step * (np.asarray(size) * n_points - 1) / 2
    return nibabel.affines.from_matvec(np.diag(step), first)


def simpleitk_grid(volume, affine, size, spacing_mm, centre_mm, n_points) -> np.ndarray:
    """(X, Y, Z) and its affine → (x, y, z); the volume's minimum beyond the field of view."""
    import SimpleITK

    to_lps = np.diag([-1.0, -1.0, 1.0])
    # A point on the very edge of the field of view counts as within; ITK takes one end of each axis alone.
    middle = (np.array(volume.shape) - 1) / 2
    grow = nibabel.affines.from_matvec((1 + 1e-7) * np.eye(3), -1e-7 * middle)
    affine = affine @ grow
    zooms = nibabel.affines.voxel_sizes(affine)
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(volume.T, np.float64))
    image.SetSpacing(zooms.tolist())
    image.SetDirection((to_lps @ (affine[:3, :3] / zooms)).ravel().tolist())
    image.SetOrigin((to_lps @ affine[:3, 3]).tolist())
    fine = fine_affine(size, spacing_mm, centre_mm, n_points)
    resample = SimpleITK.ResampleImageFilter()
    resample.SetSize((np.asarray(size) * n_points).tolist())
    resample.SetOutputSpacing(np.diag(fine)[:3].tolist())
    resample.SetOutputDirection(to_lps.ravel().tolist())
    resample.SetOutputOrigin((to_lps @ fine[:3, 3]).tolist())
    resample.SetInterpolator(SimpleITK.sitkLinear)
    resample.SetDefaultPixelValue(float(volume.min()))
    shrunk = SimpleITK.BinShrink(resample.Execute(image), np.asarray(n_points).tolist())
    return SimpleITK.GetArrayFromImage(shrunk).T


def monai_grid(volume, affine, size, spacing_mm, centre_mm, n_points) -> np.ndarray:
    """The same by MONAI's resampling in float64; the outermost voxels' values beyond the field of view."""
    import torch
    from monai.data import MetaTensor
    from monai.transforms import SpatialResample

    image = MetaTensor(torch.from_numpy(volume.astype(np.float64))[None], affine=torch.from_numpy(affine))
    resample = SpatialResample(mode="bilinear", padding_mode="border", align_corners=False, dtype=torch.float64)
    fine = fine_affine(size, spacing_mm, centre_mm, n_points)
    sampled = resample(image, dst_affine=torch.from_numpy(fine), spatial_size=np.asarray(size) * n_points)
    return torch.nn.functional.avg_pool3d(sampled.as_tensor(), tuple(map(int, n_points)))[0].numpy()
