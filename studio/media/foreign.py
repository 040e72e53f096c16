"""Settings that other tools write. Where sd-parsers knows the tool it reads them; nothing here trusts what they hold.

sd-parsers gets only texts of bounded length and graphs of bounded work, never the file, and may raise what it likes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from sd_parsers.data import PromptInfo
from sd_parsers.parsers import ComfyUIParser, FooocusParser, InvokeAIParser, NovelAIParser

from studio.media.infotext import read_infotext, sampler_of
from studio.media.said import MAX_SETTINGS, Loss, Settings, checked, load_json

OURS = "Creative Studio"

MAX_WORK = 20_000
"""Samplers x (nodes + links) of a ComfyUI graph that is walked: one of ten samplers may have 1,000 nodes."""
_SHORT = 20_000
"""Characters of texts that sd-parsers searches with expressions of its own."""
_GRAPH = Loss("workflow", "a ComfyUI graph", "its graph cannot be restored, the prompt can")


def read_foreign(texts: Mapping[str, str]) -> Settings | None:
    """Settings of the first tool whose texts are here, or what stands in the way of reading them; else None."""
    for name in ("parameters", "UserComment", "comment", "ImageDescription", "Description"):
        text = texts.get(name, "")
        if len(text) > MAX_SETTINGS and text[:1] != "{":
            return _unread("another tool", "its settings are longer than any that are read")
        found = (_from_json(text) if text.startswith("{") else None) or (from_infotext(text) if text else None)
        if found:
            return found
    for marks, tool, read in _TOOLS:
        if all(mark in texts for mark in marks):
            try:
                return read(texts)
            except Exception:  # hostile or unknown values: sd-parsers raises KeyError, TypeError, RecursionError ...
                return _unread(tool, "its settings cannot be read")
    for name, mark in (
        ("prompt", "prompt:"),
        ("Model", "prompt:"),
        ("Make", "prompt:"),
        ("ImageDescription", "prompt:"),
    ):
        text = texts.get(name, "").removeprefix(mark).lstrip()
        if text.startswith("{") and "class_type" in text:
            try:
                return _comfy({"prompt": text})
            except Exception:  # as above
                return Settings("ComfyUI", {}, (_GRAPH, Loss("prompt", "", "the graph cannot be read")))
    if "workflow" in texts:
        return Settings("ComfyUI", {}, (_GRAPH, Loss("prompt", "", "the file holds the graph alone")))
    return None


def from_infotext(text: str, tool: str = "") -> Settings | None:
    """The settings in a text as AUTOMATIC1111 writes it; None when there are none."""
    told = read_infotext(text)
    if told is None:
        return None
    ours, rest = told
    version = rest.get("Version", "")
    named = OURS if version.startswith(OURS) else "ComfyUI" if version == "ComfyUI" else "AUTOMATIC1111"
    return checked(tool or named, ours, rest)


def _unread(tool: str, why: str) -> Settings:
    return Settings(tool, {}, (Loss("settings", f"of {tool}", why),))


def _from_json(text: str) -> Settings | None:
    """JSON where infotext is usual: SwarmUI, Fooocus, Easy Diffusion, NovelAI, InvokeAI, ComfyUI."""
    try:
        told = load_json(text, numbers=False)
    except ValueError:  # a prompt may begin with a brace
        return None
    if not isinstance(told, dict):
        return None
    try:
        if "sui_image_params" in told:
            return _swarm(told["sui_image_params"])
        if "base_model" in told:
            return _fooocus(text)
        if "num_inference_steps" in told:
            return _easy(told)
        if "invokeai_metadata" in told:
            return _invoke({"invokeai_metadata": json.dumps(told["invokeai_metadata"])})
        if isinstance(told.get("Comment"), str):
            return _novel(told)
        if "uc" in told and "sampler" in told:
            return _novel({"Comment": text, "Description": told.get("prompt", ""), "Source": ""})
        if "prompt" in told and ("workflow" in told or "extra_pnginfo" in told):
            return _comfy({"prompt": told["prompt"]})
        if any(isinstance(each, dict) and "class_type" in each for each in told.values()):
            return _comfy({"prompt": told})
    except Exception:  # as in `read_foreign`
        return _unread("another tool", "its settings cannot be read")
    return None


def _comfy(texts: Mapping[str, Any]) -> Settings:
    """What the graph says that ran: its first sampler's settings, and the prompts that lead to it."""
    graph = texts["prompt"]
    if isinstance(graph, str):
        graph = load_json(graph, numbers=False)
    nodes = {
        str(id): {"class_type": str(node["class_type"])[:200], "inputs": dict(node["inputs"])}
        for id, node in graph.items()
        if isinstance(node, dict) and "class_type" in node and isinstance(node.get("inputs"), dict)
    }
    links: list[list[Any]] = []
    for id, node in nodes.items():
        for name, value in node["inputs"].items():
            if isinstance(value, list) and value and str(value[0]) in nodes:
                node["inputs"][name] = [str(value[0])]
                links.append([0, str(value[0]), 0, id, 0, "CLIP" if name == "clip" else name])
    walked = {id: {**node, "inputs": _wanted(node["inputs"])} for id, node in nodes.items()}
    samplers = sum("steps" in node["inputs"] for node in walked.values())
    if samplers * (len(links) + len(nodes)) > MAX_WORK:
        return Settings("ComfyUI", {}, (_GRAPH, Loss("prompt", f"{len(nodes)} nodes", "the graph is too large")))
    info = ComfyUIParser().parse({"prompt": walked, "workflow": {"links": links}})
    sizes = [
        node["inputs"]
        for node in nodes.values()
        if "Latent" in str(node["class_type"]) and {"width", "height"} <= node["inputs"].keys()
    ]
    ours: dict[str, Any] = _common(info) if info.samplers else {"prompt": _words(nodes)}
    if len(sizes) == 1:
        ours |= {name: sizes[0][name] for name in ("width", "height") if not isinstance(sizes[0][name], list)}
    rest: dict[str, Any] = {}
    if info.samplers:
        told = info.samplers[0].parameters
        rest = {"denoise": told.get("denoise")} if told.get("denoise") != 1 else {}
        ours["sampler"], rest["schedule"] = sampler_of(info.samplers[0].name, str(told.get("scheduler") or ""))
    loras = [node["inputs"].get("lora_name") for node in nodes.values() if "lora_name" in node["inputs"]]
    found = checked("ComfyUI", ours, {**rest, "lora": loras})
    return Settings(found.tool, found.values, (_GRAPH, *found.losses))


def _wanted(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """What of a node's inputs is looked at; sd-parsers would take the link of a patched model for its name."""
    some = {_ALIAS.get(key, key): value for key, value in inputs.items() if key in _INPUTS}
    if "steps" not in some and isinstance(some.get("model"), list):
        del some["model"]
    return some


def _words(nodes: Mapping[str, Any]) -> str:
    """The longest text of a graph without a sampler of the common kind: what it draws, as far as can be told."""
    texts = [
        value
        for node in nodes.values()
        if re.search("text|prompt", str(node["class_type"])[:100], re.I)
        for value in node["inputs"].values()
        if isinstance(value, str)
    ]
    return max(texts, key=len, default="")


def _invoke(texts: Mapping[str, Any]) -> Settings:
    some = {name: texts[name] for name in ("invokeai_metadata", "sd-metadata", "Dream") if name in texts}
    if "Dream" in some:
        some["Dream"] = " ".join(some["Dream"][:_SHORT].split())
    told: dict[str, Any] = {}
    if "invokeai_metadata" in some:
        told = load_json(some["invokeai_metadata"], numbers=False)
        model = told.get("model")
        if isinstance(model, dict):
            model["model_name"] = model.get("model_name") or model.get("name")
        some["invokeai_metadata"] = json.dumps(told)
    info = InvokeAIParser().parse(some)
    ours = _common(info)
    rest = {key: value for key, value in info.metadata.items() if key not in ("width", "height")}
    ours |= {name: info.metadata.get(name) for name in ("width", "height")}
    ours["sampler"], rest["schedule"] = sampler_of(info.samplers[0].name)
    rest["cfg_rescale_multiplier"] = info.samplers[0].parameters.get("cfg_rescale_multiplier")
    model = told.get("model")
    if isinstance(model, dict):
        kind, _, digest = str(model.get("hash") or "").rpartition(":")
        ours |= {"model": model.get("model_name"), "model_hash": digest if kind == "sha256" else None}
        rest.pop("model", None)
    return checked("InvokeAI", ours, rest)


def _novel(texts: Mapping[str, Any]) -> Settings:
    source = str(texts.get("Source", ""))[:200]
    told = load_json(texts["Comment"], numbers=False)
    comment = {"sampler": "", **told}
    info = NovelAIParser().parse(
        {
            "Comment": json.dumps(comment),
            "Description": str(texts.get("Description") or comment.get("prompt") or ""),
            "Source": source,
        }
    )
    ours = _common(info)
    ours |= {name: info.metadata.get(name) for name in ("steps", "width", "height")}
    ours |= {"model": f"NovelAI {source}".strip(), "model_hash": None}  # no family of the same name is it
    ours["sampler"], schedule = sampler_of(info.samplers[0].name, str(comment.get("noise_schedule") or ""))
    people = comment.get("v4_prompt")
    people = people.get("caption", {}).get("char_captions") if isinstance(people, dict) else None
    known = ("strength", "noise", "sm", "sm_dyn", "dynamic_thresholding", "cfg_rescale")
    rest = {name: comment.get(name) for name in known}
    return checked("NovelAI", ours, {**rest, "schedule": schedule, "character prompts": people})


def _fooocus(text: str) -> Settings:
    told = load_json(text, numbers=False)
    told = {"negative_prompt": "", "base_model_hash": "", **told}
    info = FooocusParser().parse({"parameters": json.dumps(told)})
    ours = _common(info)
    sides = re.findall(r"\d{1,9}", str(info.metadata.get("resolution", ""))[:40])
    if len(sides) == 2:
        ours |= {"width": sides[0], "height": sides[1]}
    ours["sampler"], schedule = sampler_of(info.samplers[0].name, str(told.get("scheduler") or ""))
    rest = {key: value for key, value in info.metadata.items() if key not in ("resolution", "performance")}
    return checked("Fooocus", ours, {**rest, "sharpness": told.get("sharpness"), "schedule": schedule})


def _swarm(told: Mapping[str, Any]) -> Settings:
    names = {
        "prompt": "prompt", "negativeprompt": "negative_prompt", "width": "width", "height": "height", "seed": "seed",
        "steps": "steps", "cfgscale": "guidance_scale", "sampler": "sampler", "model": "model",
    }  # fmt: skip
    ours = {ours: told.get(theirs) for theirs, ours in names.items()}
    rest = {key: value for key, value in told.items() if key not in names and key != "scheduler"}
    if isinstance(ours["sampler"], str):
        ours["sampler"], rest["schedule"] = sampler_of(ours["sampler"], str(told.get("scheduler") or ""))
    return checked("SwarmUI", ours, rest)


def _easy(told: Mapping[str, Any]) -> Settings:
    names = {
        "prompt": "prompt", "negative_prompt": "negative_prompt", "width": "width", "height": "height",
        "num_inference_steps": "steps", "guidance_scale": "guidance_scale", "seed": "seed",
        "sampler_name": "sampler", "use_stable_diffusion_model": "model",
    }  # fmt: skip
    known = ("use_lora_model", "use_vae_model", "use_controlnet_model", "prompt_strength", "clip_skip", "use_upscale")
    told = {re.sub(r"\W+", "_", key.lower()): value for key, value in told.items()}
    ours = {ours: told.get(theirs) for theirs, ours in names.items()}
    rest = {key: told.get(key) for key in known}
    if isinstance(ours["sampler"], str):
        ours["sampler"], rest["schedule"] = sampler_of(ours["sampler"])
    return checked("Easy Diffusion", ours, rest)


def _common(info: PromptInfo) -> dict[str, Any]:
    """The fields that every parser of sd-parsers gives alike, of the first sampler; unchecked."""
    sampler = info.samplers[0]
    ours: dict[str, Any] = {
        "prompt": "\n".join(str(each.value) for each in sampler.prompts),
        "negative_prompt": "\n".join(str(each.value) for each in sampler.negative_prompts),
        "sampler": sampler.name,
    }
    for theirs, name in (("steps", "steps"), ("cfg_scale", "guidance_scale"), ("seed", "seed")):
        ours[name] = sampler.parameters.get(theirs)
    if sampler.model is not None:
        ours |= {"model": sampler.model.name, "model_hash": sampler.model.hash or None}
    return ours


_ALIAS = {"noise_seed": "seed", "unet_name": "ckpt_name"}
_INPUTS = {
    "steps", "cfg", "seed", "sampler_name", "scheduler", "denoise", "text", "positive", "negative", "ckpt_name",
    "model", "text_embeds", *_ALIAS,
}  # fmt: skip

_TOOLS: tuple[tuple[tuple[str, ...], str, Any], ...] = (
    (("invokeai_metadata",), "InvokeAI", _invoke),
    (("sd-metadata",), "InvokeAI", _invoke),
    (("Dream",), "InvokeAI", _invoke),
    (("Comment", "Software"), "NovelAI", _novel),
    (("prompt", "num_inference_steps"), "Easy Diffusion", _easy),
    (("prompt", "use_stable_diffusion_model"), "Easy Diffusion", _easy),
)
"""Texts that only this tool writes, its name, and what reads them."""
