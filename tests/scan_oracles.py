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


def float64_volume(path) -> tuple[np.ndarray, np.ndarray]:
    """The scaled volume before any normalisation, (X, Y, Z) in RAS+, float64, and its spacing in mm.

    The unit in `xyzt_units` counts, as for SimpleITK; nibabel does not look at it.
    """
    image = nibabel.load(path)
    unit_mm = 1.0
    if isinstance(image, nibabel.Nifti1Pair):
        header = image.header
        unit_mm = {1: 1000, 3: 0.001}.get(int(header["xyzt_units"]) & 7, 1.0)
        affine = image.affine
        if not (header["sform_code"] > 0 or header["qform_code"] > 0):
            affine = np.diag([*np.abs(header["pixdim"][1:4]), 1])
        elif not header["sform_code"] > 0:  # nibabel has taken all but -1 for 1
            with nibabel.openers.ImageOpener(image.file_map.get("header", image.file_map["image"]).filename) as file:
                header["pixdim"][0] = -1 if type(header).from_fileobj(file, check=False)["pixdim"][0] < 0 else 1
            affine = header.get_qform()
        image = type(image)(image.dataobj, affine, header)
    image = nibabel.as_closest_canonical(image)
    values = image.get_fdata()
    values = np.where(np.isfinite(values), values, 0)
    with np.errstate(over="ignore", invalid="ignore"):
        values = values.reshape(*values.shape[:3], -1).mean(axis=-1)
    return values, nibabel.affines.voxel_sizes(image.affine) * unit_mm


def scale_by_two(values: np.ndarray) -> np.ndarray:
    """Divided by the power of two above the largest, so that squares neither overflow nor vanish; exact."""
    return np.ldexp(values, -int(np.frexp(np.abs(values).max())[1]))
