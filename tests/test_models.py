from __future__ import annotations

import gc
import hashlib
import inspect
import json
import shutil
import subprocess
import sys
import threading
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor
from peft import LoraConfig
from PIL import Image
from safetensors.torch import load_file, save_file

from studio.errors import Cancelled, StudioError
from studio.models.manager import ModelManager, OutOfMemory
from studio.models.rows import ROWS
from studio.models.spec import PipelineSpec
from tests import tiny

T2I = PipelineSpec("sd15", "text-to-image", "euler")


def manager(root: Path, *ids: str, **more: Any) -> ModelManager:
    catalog = tiny.catalog(root, *ids, **more)
    return ModelManager(catalog.settings, catalog)


def paint(pipe: Any, seed: int = 3, **more: Any) -> str:
    """SHA-256 of a picture's pixels."""
    generator = torch.Generator("cpu").manual_seed(seed)
    arguments = {"width": 256, "height": 256, "num_inference_steps": 2, **more}
    image = pipe(prompt="a red ball", generator=generator, output_type="np", **arguments).images[0]
    return hashlib.sha256(image.tobytes()).hexdigest()


def draw(models: ModelManager, spec: PipelineSpec, **more: Any) -> str:
    with models.use(spec) as pipe:
        return paint(pipe, **more)


def test_loading_is_lazy_reports_bytes_and_happens_once(tmp_path: Path) -> None:
    models = manager(tmp_path, "sd15")
    assert models.residents() == []
    seen: list[tuple[int, int, str]] = []
    with models.use(T2I, lambda done, total, message: seen.append((done, total, message))):
        pass
    assert seen[0][0] == 0 and seen[-1][0] == seen[-1][1] > 0
    assert "Stable Diffusion 1.5" in seen[0][2]
    assert [done for done, _, _ in seen] == sorted(done for done, _, _ in seen)
    [resident] = models.residents()
    assert resident.family == "sd15" and resident.tasks == ("text-to-image",) and resident.device == "cpu"
    with models.use(T2I, lambda *_: pytest.fail("loaded twice")):
        pass


def test_bytes_are_measured_on_the_tensors(tmp_path: Path) -> None:
    models = manager(tmp_path, "sd15")
    models.load("sd15")
    with models.use(T2I) as pipe:
        modules = [value for value in pipe.components.values() if isinstance(value, torch.nn.Module)]
        wanted = sum(tensor.nbytes for module in modules for tensor in (*module.parameters(), *module.buffers()))
    assert models.residents()[0].bytes == pytest.approx(wanted, rel=0.01)


def test_all_tasks_share_one_set_of_weights_in_the_devices_dtype(tmp_path: Path) -> None:
    models = manager(tmp_path, "starter")
    with models.use(PipelineSpec("starter")) as first:
        unet = first.unet
        assert {tensor.dtype for tensor in unet.parameters()} == {torch.float32}  # stored as float16
    with models.use(PipelineSpec("starter", "image-to-image")) as second:
        assert type(second).__name__ == "StableDiffusionImg2ImgPipeline"
        assert second.unet is unet and second is not first
        assert {tensor.dtype for tensor in unet.parameters()} == {torch.float32}
    assert len(models.residents()) == 1
    assert models.residents()[0].tasks == ("image-to-image", "text-to-image")


@pytest.mark.parametrize("id", [row.id for row in ROWS])
def test_every_family_makes_pictures_from_pictures_as_its_row_says(id: str, tmp_path: Path) -> None:
    models = manager(tmp_path, id)
    family = models._catalog.get(id)
    size = 256 // family.pixel_scale
    source = Image.radial_gradient("L").convert("RGB").resize((size, size))
    draws = family.does("text-to-image")
    reference = draw(models, PipelineSpec(id), width=size, height=size) if draws else ""
    tasks = [task for task in ("image-to-image", "inpaint", "instruct") if family.does(task)]
    assert tasks
    for task in tasks:
        with models.use(PipelineSpec(id, task)) as pipe:
            taken = inspect.signature(pipe.__call__).parameters
            if task == "image-to-image":
                assert family.supports("strength") == ("strength" in taken)
            given = {"strength": 0.5, "width": size, "height": size}
            more = {"mask_image": Image.new("L", source.size, 255)} if task == "inpaint" else {}
            picture = pipe(
                prompt="a red ball",
                image=source,
                num_inference_steps=4,
                generator=torch.Generator("cpu").manual_seed(1),
                **{name: value for name, value in given.items() if name in taken},
                **more,
            ).images[0]
            assert picture.size == source.size and np.asarray(picture).std() > 0
    if draws:
        assert draw(models, PipelineSpec(id), width=size, height=size) == reference, "and leaves no trace"


def test_a_set_of_rows_is_loaded_counted_and_undone_together(tmp_path: Path) -> None:
    models = manager(tmp_path, "sd15", "clip-vit-l14", "blip-vqa")
    spec = replace(T2I, extras=("clip-vit-l14",))
    reference = draw(models, T2I)
    with models.use(spec) as pipe:
        reader = pipe.extras["clip-vit-l14"]
        vectors = reader.texts(["a red ball"])
        reader.model.text_projection.register_forward_hook(lambda module, args, output: -output)
        hooks(pipe)
        assert paint(pipe) != reference
    with models.use(spec) as pipe:
        assert paint(pipe) == reference and np.array_equal(pipe.extras["clip-vit-l14"].texts(["a red ball"]), vectors)
    sizes = {row.family: row.bytes for row in models.residents()}
    assert set(sizes) == {"sd15", "clip-vit-l14"}

    small = manager(tmp_path / "small", "sd15", "clip-vit-l14", "blip-vqa", device_memory_gb=1.05 * sizes["sd15"] / 1e9)
    small.load("blip-vqa")
    with small.use(spec) as pipe:
        assert {row.family for row in small.residents()} == set(sizes), "the set stays, whatever the budget"
        small.load("blip-vqa")
        assert {row.family for row in small.residents()} == {*sizes, "blip-vqa"}
    small.load("blip-vqa")
    small.unload("blip-vqa")
    small.load("blip-vqa")
    assert "sd15" not in {row.family for row in small.residents()}, "afterwards it makes room again"


def test_short_of_memory_all_but_the_set_is_put_away(tmp_path: Path) -> None:
    models = manager(tmp_path, "sd15", "clip-vit-l14", "blip-vqa")
    models.load("blip-vqa")
    spec = replace(T2I, extras=("clip-vit-l14",))
    work = exhausted_at(step=1, times=2)
    models.run(spec, work)
    assert work.tries == [(False, False), (False, False), (True, True)]
    assert {row.family for row in models.residents()} == {"sd15", "clip-vit-l14"}
    assert "tiles" in models.note("sd15") and "one at a time" in models.note("clip-vit-l14")


def test_weights_changed_in_one_row_of_a_set_cost_only_that_row(tmp_path: Path) -> None:
    models = manager(tmp_path, "sd15", "clip-vit-l14")
    with models.use(replace(T2I, extras=("clip-vit-l14",))) as pipe, torch.no_grad():
        pipe.extras["clip-vit-l14"].model.text_projection.weight.neg_()
    assert [row.family for row in models.residents()] == ["sd15"]


def test_a_task_the_family_cannot_do_is_refused(tmp_path: Path) -> None:
    models = manager(tmp_path, "starter")
    with pytest.raises(StudioError, match="cannot do instruct"), models.use(PipelineSpec("starter", "instruct")):
        pass


def test_every_use_has_a_scheduler_of_its_own(tmp_path: Path) -> None:
    models = manager(tmp_path, "sd15")
    with models.use(T2I) as first:
        pass
    with models.use(T2I) as second:
        assert second.scheduler is not first.scheduler
        with models.use(replace(T2I, sampler="ddim")) as inner:
            assert type(inner.scheduler).__name__ == "DDIMScheduler"
            assert type(second.scheduler).__name__ == "EulerDiscreteScheduler"
            assert inner.unet is second.unet


def test_threads_never_share_a_scheduler_and_draw_what_one_alone_draws(tmp_path: Path) -> None:
    models = manager(tmp_path, "sd15")
    alone = {seed: draw(models, T2I, seed=seed) for seed in (1, 2)}
    schedulers: list[int] = []
    kept: list[Any] = []
    drawn: dict[int, str] = {}
    errors: list[BaseException] = []

    def work(seed: int) -> None:
        try:
            with models.use(T2I) as pipe:
                kept.append(pipe.scheduler)
                schedulers.append(id(pipe.scheduler))
                drawn[seed] = paint(pipe, seed)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in alone]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(set(schedulers)) == 2
    assert drawn == alone


def test_looking_at_residents_never_waits_for_a_job(tmp_path: Path) -> None:
    models = manager(tmp_path, "sd15")
    seen: list[Any] = []
    with models.use(T2I):
        thread = threading.Thread(target=lambda: seen.extend((models.residents(), models.hardware())))
        thread.start()
        thread.join(timeout=30)
        assert not thread.is_alive()
    assert seen[0][0].family == "sd15"
    assert seen[1].device == "cpu" and seen[1].memory_gb > 0 and seen[1].free_disk_gb > 0


def hooks(pipe: Any) -> None:
    pipe.unet.mid_block.register_forward_hook(lambda module, args, output: output * 0)
    pipe.unet.register_forward_pre_hook(lambda module, args: None)


def processors(pipe: Any) -> None:
    class Zero(AttnProcessor):
        def __call__(self, *args: Any, **kwargs: Any) -> torch.Tensor:
            return super().__call__(*args, **kwargs) * 0

    pipe.unet.set_attn_processor(Zero())


def lora(pipe: Any) -> None:
    torch.manual_seed(0)
    pipe.unet.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_k"], init_lora_weights=False), "style")


def settings_and_forward(pipe: Any) -> None:
    pipe.vae.enable_tiling()
    pipe.vae.enable_slicing()
    pipe.unet.train()
    pipe.unet.forward = lambda *args, **kwargs: (args[0] * 0,)
    pipe.unet.conv_in = torch.nn.Conv2d(4, 16, 3, padding=1)
    pipe.unet.to(torch.float64)
    pipe.set_progress_bar_config(desc="mine")


def weights_in_place(pipe: Any) -> None:
    with torch.no_grad():
        pipe.unet.conv_out.weight.add_(0.5)


def fused_lora(pipe: Any) -> None:
    lora(pipe)
    pipe.unet.fuse_lora()


PATCHES = [hooks, processors, lora, settings_and_forward, weights_in_place, fused_lora]


@pytest.mark.parametrize("patch", PATCHES)
@pytest.mark.parametrize("fails", [False, True], ids=["returns", "raises"])
def test_whatever_a_job_does_is_undone(patch: Any, fails: bool, tmp_path: Path) -> None:
    models = manager(tmp_path, "sd15")
    reference = draw(models, T2I)
    try:
        with models.use(T2I) as pipe:
            patch(pipe)
            if patch is not settings_and_forward:
                assert paint(pipe) != reference, "the patch must change the picture, or this test proves nothing"
            if fails:
                raise Cancelled
    except Cancelled:
        assert fails
    assert draw(models, T2I) == reference
    with models.use(T2I) as pipe:
        assert not pipe.vae.use_tiling and not pipe.unet.training
        assert "forward" not in pipe.unet.__dict__ and not hasattr(pipe.unet, "peft_config")
        assert all("lora" not in name for name, _ in pipe.unet.named_parameters())


def test_cancelling_inside_a_run_leaves_the_pipe_clean(tmp_path: Path) -> None:
    models = manager(tmp_path, "sdxl")
    spec = PipelineSpec("sdxl", "text-to-image", "dpmpp-2m")
    reference = draw(models, spec)

    def stop(*_: Any) -> Any:
        raise Cancelled

    with pytest.raises(Cancelled), models.use(spec) as pipe:
        paint(pipe, callback_on_step_end=stop)
    assert draw(models, spec) == reference


WALK = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.test_models import draw, PipelineSpec
from studio.models.catalog import Catalog
from studio.models.manager import ModelManager
from tests import tiny
import json
catalog = Catalog(tiny.settings(Path({where!r})))
models = ModelManager(catalog.settings, catalog)
print(json.dumps({{id: draw(models, PipelineSpec(id)) for id in {ids!r}}}))
"""


def test_a_walk_over_families_and_tasks_leaves_pictures_as_in_a_fresh_process(tmp_path: Path) -> None:
    ids = ["sd15", "sdxl", "lcm-dreamshaper", "z-image-turbo"]
    models = manager(tmp_path, *ids)
    source = Image.radial_gradient("L").convert("RGB")
    for id in ids:
        draw(models, PipelineSpec(id))
        with models.use(PipelineSpec(id, "image-to-image")) as pipe:
            pipe(prompt="a", image=source, num_inference_steps=4, strength=0.5, height=256, width=256) if id in (
                "z-image-turbo",
            ) else pipe(prompt="a", image=source, num_inference_steps=4, strength=0.5)
        if id in ("sd15", "sdxl"):
            with models.use(PipelineSpec(id, "inpaint")) as pipe:
                mask = Image.new("L", source.size, 255)
                pipe(prompt="a", image=source, mask_image=mask, num_inference_steps=2, height=256, width=256)
    here = {id: draw(models, PipelineSpec(id)) for id in ids}
    root = str(Path(__file__).parent.parent)
    code = WALK.format(root=root, where=str(tmp_path), ids=ids)
    out = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, cwd=root)
    assert out.returncode == 0, out.stderr
    assert json.loads(out.stdout.splitlines()[-1]) == here


def test_the_least_recently_used_family_makes_room_and_its_memory_is_freed(tmp_path: Path) -> None:
    sizing = manager(tmp_path, "sd15", "sd21", "lcm-dreamshaper")
    sizing.load("sd15")
    one = sizing.residents()[0].bytes
    sizing.unload("sd15")
    assert sizing.residents() == []

    models = manager(tmp_path, device_memory_gb=2.8 * one / 1e9)
    with models.use(T2I) as pipe:
        gone = weakref.ref(pipe.unet)
    del pipe
    models.load("sd21")
    assert {row.family for row in models.residents()} == {"sd15", "sd21"}
    with models.use(T2I):
        pass
    models.load("lcm-dreamshaper")  # sd21 is now the one unused for longest
    assert {row.family for row in models.residents()} == {"sd15", "lcm-dreamshaper"}
    assert gone() is not None
    models.load("sd21")
    gc.collect()
    assert {row.family for row in models.residents()} == {"lcm-dreamshaper", "sd21"}
    assert gone() is None
    assert sum(row.bytes for row in models.residents()) <= 2.8 * one


def test_a_model_larger_than_the_machine_is_refused_before_it_is_read(tmp_path: Path) -> None:
    models = manager(tmp_path, "sd15")
    weights = models._catalog.location("sd15") / "unet" / "diffusion_pytorch_model.safetensors"
    weights.unlink()
    count = psutil.virtual_memory().total // 2
    size = count * 2
    header = json.dumps({"huge": {"dtype": "F16", "shape": [count], "data_offsets": [0, size]}}).encode()
    with weights.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + size)  # sparse: takes no disk
    with pytest.raises(StudioError, match=r"GB of memory.*choose a smaller model"):
        models.load("sd15")


def test_swapping_families_does_not_grow_memory(tmp_path: Path) -> None:
    models = manager(tmp_path, "sd15", "sdxl", device_memory_gb=0.002)
    process = psutil.Process()

    def swap() -> None:
        for id in ("sd15", "sdxl"):
            models.load(id)
            assert [row.family for row in models.residents()] == [id]

    for _ in range(3):
        swap()
    gc.collect()
    before = process.memory_info().rss
    for _ in range(12):
        swap()
    gc.collect()
    # Each swap loads about 2.4 MB; a leak of every model would be 29 MB.
    assert process.memory_info().rss - before < 10e6


def exhausted_at(step: int, times: int) -> Any:
    """Work that runs out of memory in the UNet's ``step``-th call, the first ``times`` times it is tried."""
    tries: list[Any] = []

    def work(pipe: Any) -> str:
        calls = 0

        def count(module: Any, args: Any, output: Any) -> None:
            nonlocal calls
            calls += 1
            if calls == step and len(tries) <= times:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

        tries.append((pipe.vae.use_tiling, pipe.vae.use_slicing))
        pipe.unet.register_forward_hook(count)
        return paint(pipe)

    work.tries = tries  # type: ignore[attr-defined]
    return work


def test_running_out_of_memory_climbs_the_ladder_and_draws_the_same_picture(tmp_path: Path) -> None:
    models = manager(tmp_path, "sd15", "sdxl")
    models.load("sdxl")
    reference = draw(models, T2I)
    work = exhausted_at(step=2, times=1)
    assert models.run(T2I, work) == reference
    assert work.tries == [(False, False), (False, False)]
    assert [row.family for row in models.residents()] == ["sd15"], "the other model was put away"
    assert "put away" in models.note("sd15")

    work = exhausted_at(step=1, times=1)
    models.run(T2I, work)
    assert work.tries == [(False, False), (True, True)], "it starts where it ended, and goes on to tiles"
    assert "tiles" in models.note("sd15")

    work = exhausted_at(step=1, times=99)
    with pytest.raises(OutOfMemory, match="make the picture smaller"):
        models.run(T2I, work)
    models.unload("sd15")
    assert models.note("sd15") == ""
    assert draw(models, T2I) == reference


def test_other_errors_do_not_climb_the_ladder(tmp_path: Path) -> None:
    models = manager(tmp_path, "sd15")
    tries: list[int] = []

    def work(pipe: Any) -> None:
        tries.append(1)
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        models.run(T2I, work)
    assert len(tries) == 1


def test_sdxls_own_watermark_is_off(tmp_path: Path) -> None:
    with manager(tmp_path, "sdxl").use(PipelineSpec("sdxl")) as pipe:
        assert pipe.watermark is None


def test_weights_that_are_not_numbers_are_refused_for_models_from_disk(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny.folder("sd15"), tmp_path / "mine"))
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    tensors["conv_in.weight"][0, 0, 0, 0] = float("nan")
    save_file(tensors, weights)
    models = manager(tmp_path)
    row = models._catalog.add_local(str(folder), name="mine")
    with pytest.raises(StudioError, match=r"broken \('conv_in.weight' is not a number\)"):
        models.load(row.id)
    assert models.residents() == []


def test_a_model_from_disk_is_checked_again_when_it_is_loaded(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny.folder("sd15"), tmp_path / "mine"))
    models = manager(tmp_path)
    row = models._catalog.add_local(str(folder), name="mine")
    models.load(row.id)
    models.unload(row.id)
    (folder / "unet" / "late.py").write_text("open('/tmp/ran', 'w')")
    with pytest.raises(StudioError, match="program code"):
        models.load(row.id)


def test_pickled_weights_in_a_downloaded_folder_are_never_read(tmp_path: Path) -> None:
    models = manager(tmp_path, "sd15")
    unet = models._catalog.location("sd15") / "unet"
    state = load_file(unet / "diffusion_pytorch_model.safetensors")
    (unet / "diffusion_pytorch_model.safetensors").unlink()
    torch.save(state, unet / "diffusion_pytorch_model.bin")
    with pytest.raises(StudioError, match=r"cannot be loaded.*download it again"):
        models.load("sd15")


def test_the_hash_names_the_weights_and_is_remembered(tmp_path: Path) -> None:
    models = manager(tmp_path, "sd15")
    weights = models._catalog.location("sd15") / "unet" / "diffusion_pytorch_model.safetensors"
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert models.weights_hash("sd15") == digest
    assert digest in (models._settings.data_dir / "weights-sha256.json").read_text()
    body = bytearray(weights.read_bytes())
    body[-1] ^= 1
    weights.unlink()
    weights.write_bytes(body)
    assert models.weights_hash("sd15") == hashlib.sha256(body).hexdigest() != digest


def test_a_device_that_is_not_there_is_named(tmp_path: Path) -> None:
    if torch.backends.mps.is_available():
        pytest.skip("this is a Mac")
    with pytest.raises(StudioError, match="STUDIO_DEVICE asks for 'mps'"):
        manager(tmp_path, device="mps")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU with memory of its own")
def test_on_a_gpu_families_are_parked_in_main_memory_and_come_back(tmp_path: Path) -> None:
    models = manager(tmp_path, "sd15", "sdxl", device="cuda", device_memory_gb=0.002)
    spec = replace(T2I, sampler="ddim")
    reference = draw(models, spec)
    models.load("sdxl")
    assert {row.family: row.device for row in models.residents()} == {"sd15": "cpu", "sdxl": "cuda"}
    assert draw(models, spec) == reference
    with models.use(spec, relief=3) as pipe:
        paint(pipe)
    assert {row.family: row.device for row in models.residents()}["sd15"] == "cpu"
