"""Families that draw: diffusers pipelines from folders and single files, and the views that jobs draw with."""

from __future__ import annotations

import copy
import inspect
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from studio.errors import StudioError
from studio.models.catalog import Catalog
from studio.models.families import TASKS, Family
from studio.models.loaded import Loaded
from studio.models.scheduling import build_scheduler
from studio.models.spec import PipelineSpec, Progress
from studio.models.weights import component_weights, disk_bytes, visible

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

_BOM = b"\xef\xbb\xbf"


class Painter(Loaded):
    """A diffusers pipeline whose components every task of its family shares."""

    reliefs = (
        "",
        "Other models were put away to free memory.",
        "Memory is short, so the picture was decoded in tiles.",
        "Memory is short, so parts of the model wait in main memory; this is slower.",
    )
    field = "width"
    remedy = "make the picture smaller or choose a smaller model"

    def __init__(self, family: Family, pipe: DiffusionPipeline) -> None:
        super().__init__(family, dict(pipe.components))
        self._pipe = pipe
        self._schedule: dict[str, Any] = dict(pipe.scheduler.config)  # type: ignore[attr-defined]
        if family.prediction:
            self._schedule["prediction_type"] = family.prediction
        if family.zero_snr:
            self._schedule |= {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}

    def view(self, spec: PipelineSpec) -> Any:
        import diffusers

        if spec.task == "inpaint":
            view = _inpainting(self._pipe)
        elif not TASKS[spec.task]:
            own = type(self._pipe)
            view = own(**{**self._pipe.components, **_without_checker(own), **_settings(self._pipe)})
        else:
            # AutoPipeline, because the class's own from_pipe casts the shared weights in place.
            view = getattr(diffusers, TASKS[spec.task]).from_pipe(self._pipe)
        # It shares the scheduler, which keeps the state of a run: two users of one break each other.
        view.scheduler = build_scheduler(spec.sampler or self.family.sampler, self._schedule)
        view.set_progress_bar_config(disable=True)
        if getattr(view, "watermark", None) is not None:
            # SDXL's own mark survives no JPEG; `studio.trust` puts in one that does.
            view.watermark = None
        return view

    def relieve(self, view: Any, rung: int, device: str) -> None:
        view.vae.enable_tiling()
        view.vae.enable_slicing()
        if rung >= 3:
            view.enable_model_cpu_offload(device=device)


def _inpainting(pipe: DiffusionPipeline) -> Any:
    """The pipeline that draws into a mask with the components of ``pipe``."""
    import diffusers

    if isinstance(pipe, diffusers.Flux2KleinPipeline):  # not known to AutoPipeline
        return diffusers.Flux2KleinInpaintPipeline(**pipe.components, **_settings(pipe))
    if not isinstance(pipe, diffusers.StableDiffusionPipeline | diffusers.LatentConsistencyModelPipeline):
        return diffusers.AutoPipelineForInpainting.from_pipe(pipe)
    unet = pipe.unet
    if unet.config.in_channels == pipe.vae.config.latent_channels != 4:
        # Blending latents at every step asks for no number of channels, but the pipeline insists on 4: the weights are
        # shared, only this view's config says so.
        unet = copy.copy(unet)
        unet._internal_dict = copy.copy(unet._internal_dict)
        unet.register_to_config(in_channels=4)
    return diffusers.StableDiffusionInpaintPipeline(**{**pipe.components, "unet": unet}, requires_safety_checker=False)


def _settings(pipe: DiffusionPipeline) -> dict[str, Any]:
    """What a pipeline of this class was built with beside its components."""
    names = set(inspect.signature(type(pipe).__init__).parameters) - set(pipe.components) - {"self"}
    return {name: value for name, value in pipe.config.items() if name in names}


def load(
    family: Family, place: Path, dtype: torch.dtype, catalog: Catalog, progress: Progress | None = None
) -> Painter:
    """The family's pipeline on the CPU: safetensors only, no code, no network."""
    needy = bool(family.borrowed) or place.is_file()
    lender = catalog.lender(family.base, but=family.id) if needy else None
    if lender is None and needy:
        lacks = " and ".join(family.borrowed) or "tokenizer"
        raise StudioError(
            f"{family.name} has no {lacks} of its own; to use it, {catalog.how_to_lend(family.base)}.",
            field="model",
            status=409,
        )
    donor = catalog.location(lender.id) if lender is not None else None
    with _tidied(place, family, donor) as ready:
        if ready.is_dir():
            return Painter(family, _from_folder(family, ready, dtype, progress))
        assert donor is not None
        return Painter(family, _from_file(family, ready, dtype, donor, progress))


def weight_files(place: Path, dtype: str) -> list[Path]:
    """The safetensors files that loading ``place`` will read."""
    if place.is_file():
        return [place]
    index = json.loads((place / "model_index.json").read_text("utf-8-sig"))
    return [file for name in _components(place, index) for file in component_weights(place / name, dtype)[1]]


@contextmanager
def _tidied(place: Path, family: Family, donor: Path | None) -> Iterator[Path]:
    """``place`` as the libraries want it: configs without byte order marks, the suffix in lower case, borrowed
    components in their places. A folder of links where that is not so already."""
    single = place.is_file()
    marked = [] if single or not family.local else [file for file in visible(place) if _has_mark(file)]
    if not marked and (not family.borrowed if not single else place.suffix == ".safetensors"):
        yield place
        return
    with tempfile.TemporaryDirectory(prefix="studio-model-") as folder:
        root = Path(folder)
        if single:
            _link(place, root / "model.safetensors")
            yield root / "model.safetensors"
            return
        for file in visible(place):
            target = root / file.relative_to(place)
            target.parent.mkdir(parents=True, exist_ok=True)
            if file in marked:
                target.write_bytes(file.read_bytes().removeprefix(_BOM))
            else:
                _link(file, target)
        if donor is not None:
            index, lender = (json.loads((each / "model_index.json").read_text("utf-8-sig")) for each in (place, donor))
            for name in family.borrowed:
                shutil.rmtree(root / name, ignore_errors=True)
                shutil.copytree(donor / name, root / name, copy_function=_link)
                index[name] = lender[name]
            (root / "model_index.json").unlink()
            (root / "model_index.json").write_text(json.dumps(index), "utf-8")
        yield root


def _has_mark(file: Path) -> bool:
    if file.suffix.lower() != ".json":
        return False
    with file.open("rb") as stream:
        return stream.read(3) == _BOM


def _link(source: str | Path, target: str | Path) -> None:
    try:
        Path(target).symlink_to(Path(source).absolute())
    except OSError:  # a system that lets only administrators link
        shutil.copyfile(source, target)


def _components(place: Path, index: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Name -> (library, class) of the components that have weights."""
    found = {}
    for name, source in index.items():
        if name.startswith("_") or name == "safety_checker" or not isinstance(source, list) or source[0] is None:
            continue
        if component_weights(place / name)[1]:
            found[name] = (source[0], source[1])
    return found


def _from_folder(family: Family, place: Path, dtype: torch.dtype, progress: Progress | None) -> DiffusionPipeline:
    import diffusers
    import transformers

    index = json.loads((place / "model_index.json").read_text("utf-8"))
    sources = _components(place, index)
    chosen = {name: component_weights(place / name, str(dtype).removeprefix("torch.")) for name in sources}
    sizes = {name: disk_bytes(files) for name, (_, files) in chosen.items()}
    total, done = sum(sizes.values()), 0
    components: dict[str, Any] = {}
    for name, (library, cls) in sources.items():
        if progress:
            progress(done, total, f"Loading {family.name}: {name.replace('_', ' ')}")
        if library not in ("diffusers", "transformers"):
            raise StudioError(
                f"Component '{name}' of {family.name} comes from '{library}'; it is refused.", field="model"
            )
        owner = getattr(diffusers if library == "diffusers" else transformers, cls)
        components[name] = owner.from_pretrained(
            str(place),
            subfolder=name,
            dtype=dtype,
            use_safetensors=True,
            local_files_only=True,
            variant=chosen[name][0],
        ).eval()
        done += sizes[name]
    if progress:
        progress(done, total, f"Loading {family.name}")
    pipeline = getattr(diffusers, family.pipeline)
    return pipeline.from_pretrained(
        str(place),
        **components,
        **_without_checker(pipeline),
        dtype=dtype,
        use_safetensors=True,
        local_files_only=True,
        trust_remote_code=False,
    )


def _from_file(
    family: Family, file: Path, dtype: torch.dtype, donor: Path, progress: Progress | None
) -> DiffusionPipeline:
    """A checkpoint in the original layout; configs, tokenizers and what it lacks come from the folder ``donor``."""
    import diffusers
    import transformers

    size = file.stat().st_size
    if progress:
        progress(0, size, f"Loading {family.name}")
    index = json.loads((donor / "model_index.json").read_text("utf-8"))
    lent = {}
    for name in family.borrowed:
        library, cls = index[name]
        owner = getattr(diffusers if library == "diffusers" else transformers, cls)
        variant = component_weights(donor / name, str(dtype).removeprefix("torch."))[0]
        lent[name] = owner.from_pretrained(
            str(donor), subfolder=name, dtype=dtype, use_safetensors=True, local_files_only=True, variant=variant
        ).eval()
    pipeline = getattr(diffusers, family.pipeline)
    pipe = pipeline.from_single_file(
        str(file), config=str(donor), dtype=dtype, local_files_only=True, **lent, **_without_checker(pipeline)
    )
    if progress:
        progress(size, size, f"Loading {family.name}")
    return pipe


def _without_checker(pipeline: type) -> dict[str, Any]:
    """Arguments that leave out SD 1.x's own checker: it paints pictures black; `studio.trust` checks every picture."""
    names = inspect.signature(pipeline.__init__).parameters
    wanted = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    return {name: value for name, value in wanted.items() if name in names}
