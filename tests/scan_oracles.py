"""What a scan's normalised volume must be, computed by others: nibabel and numpy in float64, SimpleITK, MONAI."""

import nibabel
import numpy as np


def normalise(values: np.ndarray, normalize: bool = True, standardize: bool = True) -> np.ndarray:
    """Clip, min-max and z-score as numpy does them in float64."""
    values = np.nan_to_num(values.astype(np.float64), nan=0, posinf=0, neginf=0)
    if values.ndim == 4:
        values = values.mean(axis=-1)
    if normalize:
        low, high = np.percentile(values, [1, 99])
        values = (values.clip(low, high) - low) / (high - low)
    return (values - values.mean()) / values.std() if standardize else values


def nibabel_volume(path, **options) -> tuple[np.ndarray, np.ndarray]:
    """The volume and its spacing by nibabel's canonical orientation and scaling."""
    image = nibabel.as_closest_canonical(nibabel.load(path))
    return normalise(image.get_fdata(), **options), nibabel.affines.voxel_sizes(image.affine)


def simpleitk_volume(path, is_series: bool) -> tuple[np.ndarray, np.ndarray]:
    """The same by ITK's reader and reorientation."""
    import SimpleITK

    image = SimpleITK.ReadImage(str(path), SimpleITK.sitkFloat64)
    volumes = [image[..., t] for t in range(image.GetSize()[3])] if is_series else [image]
    volumes = [SimpleITK.DICOMOrient(volume, "RAS") for volume in volumes]
    values = np.mean([SimpleITK.GetArrayFromImage(volume).T for volume in volumes], axis=0)
    return normalise(values), np.array(volumes[0].GetSpacing())


def monai_volume(path) -> np.ndarray:
    """The same by MONAI's transforms."""
    from monai import transforms

    chain = transforms.Compose(
        [
            transforms.LoadImage(image_only=True, ensure_channel_first=True),
            transforms.Orientation("RAS", labels=None),
            transforms.ScaleIntensityRangePercentiles(1, 99, 0, 1, clip=True),
            transforms.NormalizeIntensity(),
        ]
    )
    return chain(str(path)).numpy()[0]
