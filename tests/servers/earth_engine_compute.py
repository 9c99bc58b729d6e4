"""What a stand-in for Earth Engine computes: serialized expressions of images, evaluated on a grid of pixels.

An expression is the JSON that the real client writes: numbered values that call functions of the service by name. The
functions here are those few that the project's expressions use; any other is an error, as is an argument that the
function does not have. Every image is brought to the grid that is asked for as soon as it is loaded, by nearest
neighbour, as the service does unless told otherwise.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyproj
from affine import Affine

# What the service sends at once: bytes, a byte of mask per pixel and band included, pixels a side, bands.
LARGEST_BYTES = 48 * 2**20
LONGEST_SIDE = 32_768
MOST_BANDS = 1_024


class RefusedError(ValueError):
    """What the service answers with status 400."""


@dataclass(frozen=True)
class PixelGrid:
    """A grid of pixels: CRS such as ``EPSG:32631``, affine of the upper-left corner, rows and columns."""

    crs: str
    transform: Affine
    height: int
    width: int

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> PixelGrid:
        """The ``grid`` of a request; what is 0 may be left out, nothing else."""
        try:
            size, affine = content["dimensions"], content["affineTransform"]
            parts = [affine.get(key, 0) for key in ("shearX", "translateX", "shearY", "translateY")]
            transform = Affine(affine["scaleX"], parts[0], parts[1], parts[2], affine["scaleY"], parts[3])
            return cls(content["crsCode"], transform, size["height"], size["width"])
        except KeyError as error:
            raise RefusedError(f"grid without {error}") from None

    def centres(self, crs: str) -> tuple[np.ndarray, np.ndarray]:
        """Centres of the pixels in a CRS, x and y, ``(y, x)``."""
        columns, rows = np.meshgrid(np.arange(self.width) + 0.5, np.arange(self.height) + 0.5)
        x, y = self.transform @ (columns, rows)
        if crs == self.crs:
            return x, y
        return pyproj.Transformer.from_crs(self.crs, crs, always_xy=True).transform(x, y)


@dataclass(frozen=True)
class StoredBand:
    """A band of an asset on its own grid: values ``(y, x)``, True where they are not masked, and where they lie."""

    values: np.ndarray
    seen: np.ndarray
    crs: str
    transform: Affine

    def on(self, grid: PixelGrid) -> tuple[np.ndarray, np.ndarray]:
        """Values and mask on another grid: those of the pixel that holds each centre; masked beyond the edge."""
        columns, rows = ~self.transform @ grid.centres(self.crs)
        # A centre on an edge, but for the rounding of the reprojection, belongs to the pixel right of or below it.
        row, column = (np.floor(part + 1e-9).astype(np.int64) for part in (rows, columns))
        inside = (row >= 0) & (column >= 0) & (row < self.values.shape[0]) & (column < self.values.shape[1])
        row, column = np.where(inside, row, 0), np.where(inside, column, 0)
        return self.values[row, column], self.seen[row, column] & inside


# Id of an asset -> its bands, in order; KeyError where there is none.
LoadImage = Callable[[str], Mapping[str, StoredBand]]
Band = tuple[np.ndarray, np.ndarray]
Image = dict[str, Band]


def evaluate(expression: Mapping[str, Any], grid: PixelGrid, load_image: LoadImage) -> dict[str, np.ma.MaskedArray]:
    """Evaluate an expression whose result is an image.

    Raises:
        RefusedError: For an unknown function or argument, bands that do not fit, or a result that is no image.
        KeyError: For an asset that does not exist.
    """
    result = _Evaluation(expression, grid, load_image).value(expression["result"], {})
    if not isinstance(result, dict):
        raise RefusedError(f"the result is a {type(result).__name__}; expected an image")
    return {name: np.ma.MaskedArray(values, ~seen) for name, (values, seen) in result.items()}


def check_limits(image: Mapping[str, np.ma.MaskedArray], grid: PixelGrid) -> None:
    """Refuse more bands, pixels a side or bytes than the service sends.

    Raises:
        RefusedError: In the words of the service.
    """
    size = sum(band.dtype.itemsize + 1 for band in image.values()) * grid.height * grid.width
    if len(image) > MOST_BANDS:
        raise RefusedError(f"Too many bands: {len(image)}. The limit is {MOST_BANDS}.")
    if max(grid.height, grid.width) > LONGEST_SIDE:
        raise RefusedError(f"Pixel grid dimensions ({grid.width}x{grid.height}) must be at most {LONGEST_SIDE}.")
    if size > LARGEST_BYTES:
        raise RefusedError(f"Total request size ({size} bytes) must be less than or equal to {LARGEST_BYTES} bytes.")


def answer(body: Mapping[str, Any], load_image: LoadImage) -> bytes:
    """The content that the service answers to the body of a request of ``computePixels``, an NPY file.

    Raises:
        RefusedError: See :func:`evaluate` and :func:`check_limits`, and for another format.
        KeyError: For an asset that does not exist.
    """
    if body.get("fileFormat") != "NPY":
        raise RefusedError(f"fileFormat is {body.get('fileFormat')!r}; expected NPY")
    grid = PixelGrid.of(body["grid"])
    image = evaluate(body["expression"], grid, load_image)
    check_limits(image, grid)
    content = io.BytesIO()
    np.save(content, sent(image))
    return content.getvalue()


def sent(image: Mapping[str, np.ma.MaskedArray]) -> np.ndarray:
    """The pixels as the service sends them: one field per band, 0 where masked."""
    shape = next(iter(image.values())).shape
    pixels = np.zeros(shape, dtype=[(name, band.dtype) for name, band in image.items()])
    for name, band in image.items():
        pixels[name] = band.filled(0)
    return pixels


@dataclass(frozen=True)
class _Reducer:
    name: str


@dataclass(frozen=True)
class _Projection:
    crs: str


class _Evaluation:
    """One request: values outside functions are computed once, however often they are referred to."""

    def __init__(self, expression: Mapping[str, Any], grid: PixelGrid, load_image: LoadImage) -> None:
        self.nodes = expression["values"]
        self.grid = grid
        self.load_image = load_image
        self.known: dict[str, Any] = {}

    def value(self, reference: str, bound: Mapping[str, Any]) -> Any:
        """The value of a numbered node, where ``bound`` are the arguments of the function that it stands in."""
        if bound:
            return self.node(self.nodes[reference], bound)
        if reference not in self.known:
            self.known[reference] = self.node(self.nodes[reference], bound)
        return self.known[reference]

    def node(self, node: Mapping[str, Any], bound: Mapping[str, Any]) -> Any:
        """The value of a node."""
        ((kind, content),) = node.items()
        if kind == "constantValue":
            return content
        if kind == "integerValue":
            return int(content)
        if kind == "valueReference":
            return self.value(content, bound)
        if kind == "argumentReference":
            return bound[content]
        if kind == "arrayValue":
            return [self.node(one, bound) for one in content["values"]]
        if kind == "functionDefinitionValue":
            names = content["argumentNames"]
            return lambda *given: self.value(content["body"], {**bound, **dict(zip(names, given, strict=True))})
        if kind != "functionInvocationValue":
            raise RefusedError(f"values of the kind {kind} are unknown here")
        name = content["functionName"]
        if name not in FUNCTIONS:
            raise RefusedError(f"function {name} is unknown here")
        function, *allowed = FUNCTIONS[name]
        arguments = {key: self.node(one, bound) for key, one in content.get("arguments", {}).items()}
        strange = sorted(set(arguments) - set(allowed))
        if strange:
            raise RefusedError(f"function {name} has no argument {strange[0]} here")
        return function(self, **arguments)


def _load(run: _Evaluation, id: str) -> Image:
    return {name: band.on(run.grid) for name, band in run.load_image(id).items()}


def _constant(run: _Evaluation, value: int | float) -> Image:
    shape = (run.grid.height, run.grid.width)
    dtype = np.min_scalar_type(value) if isinstance(value, int) else np.dtype(np.float64)
    return {"constant": (np.full(shape, value, dtype=dtype), np.ones(shape, dtype=bool))}


def _select(run: _Evaluation, input: Image, bandSelectors: Sequence[str], newNames: Sequence[str] = ()) -> Image:
    missing = [name for name in bandSelectors if name not in input]
    if missing:
        raise RefusedError(f"Image.select: Band pattern '{missing[0]}' did not match any bands")
    return dict(zip(newNames or bandSelectors, (input[name] for name in bandSelectors), strict=True))


def _rename(run: _Evaluation, input: Image, names: Sequence[str]) -> Image:
    if len(names) != len(input):
        raise RefusedError(f"Image.rename: {len(names)} names for {len(input)} bands")
    return dict(zip(names, input.values(), strict=True))


def _add_bands(run: _Evaluation, dstImg: Image, srcImg: Image) -> Image:
    twice = set(dstImg) & set(srcImg)
    if twice:
        raise RefusedError(f"Image.addBands: band {sorted(twice)[0]} is there twice")
    return dstImg | srcImg


def _projection(run: _Evaluation, crs: str) -> _Projection:
    return _Projection(crs)


def _reproject(run: _Evaluation, image: Image, crs: _Projection, crsTransform: Sequence[float]) -> Image:
    """Nothing moves: a grid that has the pixels of the one asked for, and no other."""
    pinned, asked = Affine(*crsTransform), run.grid.transform
    shift = ~pinned @ (asked.c, asked.f)
    same = crs.crs == run.grid.crs and (pinned.a, pinned.b, pinned.d, pinned.e) == (asked.a, asked.b, asked.d, asked.e)
    if not same or any(abs(part - round(part)) > 1e-9 for part in shift):
        raise RefusedError("Image.reproject: another grid than that of the request is unknown here")
    return image


def _pairs(left: Image, right: Image) -> list[tuple[str, Band, Band]]:
    """Bands by position; one band goes with each of the other image's."""
    names, other = list(left.items()), list(right.values())
    if len(other) == 1:
        other = other * len(names)
    if len(names) != len(other):
        raise RefusedError(f"images of {len(names)} and {len(other)} bands do not go together")
    return [(name, band, second) for (name, band), second in zip(names, other, strict=True)]


def _binary(operation: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Callable[..., Image]:
    def apply(run: _Evaluation, image1: Image, image2: Image) -> Image:
        return {name: (operation(one[0], two[0]), one[1] & two[1]) for name, one, two in _pairs(image1, image2)}

    return apply


def _unary(operation: Callable[[np.ndarray], np.ndarray]) -> Callable[..., Image]:
    def apply(run: _Evaluation, value: Image) -> Image:
        return {name: (operation(values), seen) for name, (values, seen) in value.items()}

    return apply


def _cast(dtype: type[np.unsignedinteger]) -> Callable[[np.ndarray], np.ndarray]:
    limits = np.iinfo(dtype)
    return lambda values: np.clip(values, limits.min, limits.max).astype(dtype)


def _update_mask(run: _Evaluation, image: Image, mask: Image) -> Image:
    return {name: (band[0], band[1] & (second[0] != 0) & second[1]) for name, band, second in _pairs(image, mask)}


def _unmask(run: _Evaluation, input: Image, value: Image, sameFootprint: bool = True) -> Image:
    if sameFootprint:
        raise RefusedError("Image.unmask: footprints are unknown here")
    return {
        name: (np.where(band[1], band[0], second[0].astype(band[0].dtype)), band[1] | second[1])
        for name, band, second in _pairs(input, value)
    }


def _remap(
    run: _Evaluation,
    image: Image,
    to: Sequence[int],
    defaultValue: int | None = None,
    **rest: Sequence[int],
) -> Image:
    """The first band; what is not in ``from`` gets the default, and is masked where there is none."""
    values, seen = next(iter(image.values()))
    mapped = np.full(values.shape, 0 if defaultValue is None else defaultValue, dtype=np.int32)
    found = np.zeros(values.shape, dtype=bool)
    for old, new in zip(rest["from"], to, strict=True):
        mapped[values == old] = new
        found |= values == old
    return {"remapped": (mapped, seen if defaultValue is not None else seen & found)}


def _reducer(name: str) -> Callable[..., _Reducer]:
    return lambda run, **settings: _Reducer(name)


def _reduce_stack(reducer: _Reducer, stack: Sequence[Band]) -> Band:
    """A reducer over values that are not masked; masked where all are."""
    values = np.ma.MaskedArray(
        np.stack([values for values, _ in stack]).astype(np.float64), ~np.stack([seen for _, seen in stack])
    )
    reduced = {"min": np.ma.min, "sum": np.ma.sum, "mean": np.ma.mean, "median": _middle}[reducer.name](values, axis=0)
    return np.ma.getdata(reduced), ~np.ma.getmaskarray(reduced)


def _middle(values: np.ma.MaskedArray, axis: int) -> np.ma.MaskedArray:
    """The middle value, or the mean of the two in the middle; those that are masked sort last."""
    ordered = np.sort(values.filled(np.inf), axis=axis)
    count = values.count(axis=axis)
    lower, upper = (
        np.take_along_axis(ordered, np.maximum(place, 0)[np.newaxis], axis=axis)[0]
        for place in ((count - 1) // 2, np.minimum(count // 2, len(values) - 1))
    )
    return np.ma.MaskedArray(np.where(count > 0, (lower + upper) / 2, 0), count == 0)


def _reduce_bands(run: _Evaluation, image: Image, reducer: _Reducer) -> Image:
    return {reducer.name: _reduce_stack(reducer, list(image.values()))}


def _same_bands(images: Sequence[Image]) -> list[str]:
    types = {tuple((name, values.dtype) for name, (values, _) in image.items()) for image in images}
    if len(types) != 1:
        raise RefusedError("Expected a homogeneous image collection, but an image with incompatible bands was found")
    return list(images[0])


def _from_images(run: _Evaluation, images: Sequence[Image]) -> list[Image]:
    return list(images)


def _map(run: _Evaluation, collection: Sequence[Image], baseAlgorithm: Callable[[Image], Image]) -> list[Image]:
    return [baseAlgorithm(image) for image in collection]


def _mosaic(run: _Evaluation, collection: Sequence[Image]) -> Image:
    """The last image that is not masked, band by band."""
    out: Image = {}
    for name in _same_bands(collection):
        values, seen = (part.copy() for part in collection[0][name])
        for image in collection[1:]:
            above, there = image[name]
            values[there] = above[there]
            seen |= there
        out[name] = values, seen
    return out


def _reduce_images(run: _Evaluation, collection: Sequence[Image], reducer: _Reducer) -> Image:
    return {
        f"{name}_{reducer.name}": _reduce_stack(reducer, [image[name] for image in collection])
        for name in _same_bands(collection)
    }


# Name of a function -> what it does, and the arguments that it has here.
FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "Collection.map": (_map, "collection", "baseAlgorithm"),
    "Image.add": (_binary(lambda one, two: one + two), "image1", "image2"),
    "Image.addBands": (_add_bands, "dstImg", "srcImg"),
    "Image.and": (_binary(lambda one, two: ((one != 0) & (two != 0)).astype(np.uint8)), "image1", "image2"),
    "Image.constant": (_constant, "value"),
    "Image.floor": (_unary(np.floor), "value"),
    "Image.gt": (_binary(lambda one, two: (one > two).astype(np.uint8)), "image1", "image2"),
    "Image.load": (_load, "id"),
    "Image.max": (_binary(np.maximum), "image1", "image2"),
    "Image.min": (_binary(np.minimum), "image1", "image2"),
    "Image.reduce": (_reduce_bands, "image", "reducer"),
    "Image.remap": (_remap, "image", "from", "to", "defaultValue"),
    "Image.rename": (_rename, "input", "names"),
    "Image.reproject": (_reproject, "image", "crs", "crsTransform"),
    "Image.select": (_select, "input", "bandSelectors", "newNames"),
    "Image.toUint16": (_unary(_cast(np.uint16)), "value"),
    "Image.toUint8": (_unary(_cast(np.uint8)), "value"),
    "Image.unmask": (_unmask, "input", "value", "sameFootprint"),
    "Image.updateMask": (_update_mask, "image", "mask"),
    "ImageCollection.fromImages": (_from_images, "images"),
    "ImageCollection.mosaic": (_mosaic, "collection"),
    "ImageCollection.reduce": (_reduce_images, "collection", "reducer"),
    "Projection": (_projection, "crs"),
    "Reducer.mean": (_reducer("mean"),),
    "Reducer.median": (_reducer("median"), "maxRaw"),
    "Reducer.min": (_reducer("min"),),
    "Reducer.sum": (_reducer("sum"),),
}
