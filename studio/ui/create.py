"""The text-to-image tab: everything a picture depends on at the left, the picture at the right."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.components import Component
from markupsafe import Markup, escape

from studio.drawing.prompts import apply_styles
from studio.errors import StudioError
from studio.models.samplers import samplers_for
from studio.ui.forms import RATIOS, USER, Action, preset_size, ratio_of, vocabulary
from studio.ui.live import Live
from studio.ui.markup import finish, html, icon, join, licence_badge

if TYPE_CHECKING:
    from studio import Studio
    from studio.models.families import Family

CAPABILITY = "text-to-image"
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None}
"""For every event of the page: own progress bar, no Gradio API beside ours, no queue behind another visitor."""

_ANYTHING = (
    "a lighthouse on a cliff at dawn, soft light, wide view",
    "a ceramic teapot on a linen tablecloth, product photograph",
    "an isometric drawing of a tiny bookshop, pastel colours",
    "a fox asleep in autumn leaves, watercolour",
    "a wooden desk by a rainy window, warm lamp, film photograph",
)
_BRING_BACK = {
    "prompt": "prompt", "negative_prompt": "negative prompt", "width": "size", "height": "size", "steps": "steps",
    "guidance_scale": "guidance", "sampler": "sampler", "seed": "seed", "model": "model",
}  # fmt: skip


class CreateTab:
    """Builds the tab inside the current Blocks. Attributes are the components that other tabs write to."""

    def __init__(self, studio: Studio, live: Live, tabs: gr.Tabs) -> None:
        self._studio = studio
        self._live = live
        self._tabs = tabs
        self._build()
        self._wire()

    # -- layout --------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        family = self._default()
        with gr.Row(elem_id="create", equal_height=False):
            with gr.Column(elem_id="controls"):
                with gr.Column(elem_id="fields"):
                    self.model = gr.Dropdown(
                        self._models(),
                        value=family.id,
                        label="Model",
                        elem_id="model",
                        filterable=False,
                        interactive=True,
                    )
                    self.model_line = html(self._model_line(family), elem_id="model-line")
                    self.prompt = gr.Textbox(
                        label="Prompt", lines=3, max_lines=9, autofocus=True, elem_id="prompt",
                        placeholder=f"For example: {self._examples(family)[0]}",
                    )  # fmt: skip
                    with gr.Row(elem_id="prompt-tools"):
                        self.surprise = gr.Button("Surprise me", size="sm", elem_id="surprise")
                        self.ideas = html(self._ideas(family), elem_id="ideas")
                    self.ratio = gr.Radio(list(RATIOS), value="1:1", label="Shape", elem_id="ratio")
                    self.count = gr.Radio([1, 2, 4, 8], value=1, label="Pictures", elem_id="count")
                    with gr.Accordion("Styles and negative prompt", open=False, elem_id="styles-panel"):
                        self.styles = gr.Dropdown(
                            self._styles(), value=[], multiselect=True, label="Styles", elem_id="styles",
                            info="Text of your own that is added to the prompt.",
                        )  # fmt: skip
                        self.negative = gr.Textbox(
                            label="Negative prompt", lines=2, max_lines=5, elem_id="negative",
                            placeholder="What to keep out of the picture",
                        )  # fmt: skip
                        with gr.Row(elem_classes="inline"):
                            self.style_name = gr.Textbox(
                                label="Style name",
                                elem_id="style-name",
                                placeholder="Save the prompt as a style",
                                max_lines=1,
                            )
                            self.style_save = gr.Button("Save", size="sm", elem_id="style-save")
                            self.style_delete = gr.Button("Delete", size="sm", elem_id="style-delete")
                    with gr.Accordion("Advanced", open=False, elem_id="advanced"):
                        with gr.Row(elem_classes="pair"):
                            self.seed_mode = gr.Radio(
                                ["Random", "Fixed"], value="Random", label="Seed", elem_id="seed-mode"
                            )
                            self.seed = gr.Textbox(
                                label="Fixed seed", elem_id="seed", placeholder="0 to 4294967295", max_lines=1
                            )
                            self.seed_reuse = gr.Button("Reuse last", size="sm", elem_id="seed-reuse")
                        self.steps = gr.Slider(1, 150, value=family.steps, step=1, label="Steps", elem_id="steps")
                        self.guidance = gr.Slider(
                            0, 30, value=family.guidance, step=0.5, label="Guidance", elem_id="guidance",
                            info="How strictly the prompt is followed.",
                        )  # fmt: skip
                        self.sampler = gr.Dropdown(
                            self._samplers(family),
                            value=self._sampler(family),
                            label="Sampler",
                            elem_id="sampler",
                            filterable=False,
                        )
                        with gr.Row(elem_classes="pair"):
                            self.width = gr.Number(family.native_size, label="Width", precision=0, elem_id="width")
                            self.height = gr.Number(family.native_size, label="Height", precision=0, elem_id="height")
                        with gr.Row(elem_classes="pair"):
                            self.exact_count = gr.Number(
                                1, label="Number of pictures", precision=0, elem_id="exact-count"
                            )
                            self.batch = gr.Number(1, label="At the same time", precision=0, elem_id="batch")
                        self.keep_best = gr.Number(
                            None, label="Keep only the best", precision=0, elem_id="keep-best",
                            info="Of these pictures, by CLIP score: how well each fits the prompt. Empty keeps all.",
                        )  # fmt: skip
                    with gr.Accordion("Wildcards", open=False, elem_id="wildcards"):
                        self.wildcard = gr.Dropdown(
                            self._wildcards(), value=None, label="List", allow_custom_value=True, elem_id="wildcard",
                            info="__name__ in a prompt picks one line of the list; {a|b} picks between words.",
                        )  # fmt: skip
                        self.wildcard_lines = gr.Textbox(
                            label="Choices, one a line", lines=4, max_lines=10, elem_id="wildcard-lines"
                        )
                        with gr.Row(elem_classes="inline"):
                            self.wildcard_save = gr.Button("Save list", size="sm", elem_id="wildcard-save")
                            self.wildcard_delete = gr.Button("Delete list", size="sm", elem_id="wildcard-delete")
                with gr.Column(elem_id="actions"):
                    self.problem = html("", elem_id="problem")
                    with gr.Row(elem_id="run"):
                        self.generate = gr.Button("Generate", variant="primary", size="lg", elem_id="generate")
                        gr.Button("Cancel", size="lg", elem_id="cancel", interactive=False)  # the script's own
            with gr.Column(elem_id="results"):
                html(self._live.frame(), elem_id="live", js_on_load="window.studio.live(element)")
        # What the page's script uses; none of it is drawn.
        with gr.Column(elem_classes="backstage"):
            self.payload = gr.Textbox(label="Payload", elem_id="payload", visible="hidden")
            self.reuse = gr.Button("Reuse", elem_id="do-reuse", visible="hidden")
            self.drop = gr.File(
                label="Picture with settings", elem_id="drop", visible="hidden", type="filepath", file_types=["image"]
            )

    # -- events --------------------------------------------------------------------------------------------------

    def _form(self) -> dict[str, Component]:
        """Request field -> the component that holds it."""
        return {
            "prompt": self.prompt, "negative_prompt": self.negative, "model": self.model, "width": self.width,
            "height": self.height, "steps": self.steps, "guidance_scale": self.guidance, "sampler": self.sampler,
            "seed": self.seed, "count": self.exact_count, "batch_size": self.batch, "styles": self.styles,
            "keep_best": self.keep_best,
        }  # fmt: skip

    def _wire(self) -> None:
        form = {*self._form().values(), self.seed_mode}
        self.generate.click(self._submit, form, [self.problem], trigger_mode="once", **QUIET).then(
            None, js="() => window.studio.look()", **QUIET
        )

        family_fields = [
            self.model_line, self.ideas, self.prompt, self.negative, self.steps, self.guidance, self.sampler,
            self.width, self.height, self.ratio,
        ]  # fmt: skip
        self.model.input(self._choose_model, [self.model, self.ratio], family_fields, **QUIET)
        self.ratio.input(self._choose_ratio, [self.model, self.ratio], [self.width, self.height], **QUIET)
        gr.on(
            [self.width.input, self.height.input],
            self._choose_size,
            [self.model, self.width, self.height],
            [self.ratio],
            **QUIET,
        )
        self.count.input(lambda count: count, [self.count], [self.exact_count], **QUIET)
        self.exact_count.input(
            lambda count: count if count in (1, 2, 4, 8) else None, [self.exact_count], [self.count], **QUIET
        )
        self.surprise.click(self._surprise, [self.model], [self.prompt], **QUIET)
        self.seed.input(lambda: "Fixed", None, [self.seed_mode], **QUIET)
        self.seed_reuse.click(self._reuse_seed, None, [self.seed, self.seed_mode], **QUIET)
        self.style_save.click(
            self._save_style, [self.style_name, self.prompt, self.negative], [self.styles, self.style_name], **QUIET
        )
        self.style_delete.click(self._delete_styles, [self.styles], [self.styles], **QUIET)
        self.wildcard.input(self._read_wildcard, [self.wildcard], [self.wildcard_lines], **QUIET)
        self.wildcard_save.click(self._save_wildcard, [self.wildcard, self.wildcard_lines], [self.wildcard], **QUIET)
        self.wildcard_delete.click(
            self._delete_wildcard, [self.wildcard], [self.wildcard, self.wildcard_lines], **QUIET
        )

        restored = [*family_fields, self.model, self.seed, self.seed_mode, self.styles, self._tabs, self.problem]
        self.reuse.click(
            self._reuse, [self.payload], restored, js="() => [window.studio.payload]", trigger_mode="multiple", **QUIET
        )
        self.drop.upload(self._dropped, [self.drop], [*restored, self.drop], **QUIET)

    def on_load(self, demo: gr.Blocks, tab: gr.Tab) -> None:
        """Offer models fetched, styles and lists saved since the page was built."""
        fresh = {
            "fn": self._refresh,
            "inputs": [self.model],
            "outputs": [self.model, self.styles, self.wildcard],
            **QUIET,
        }
        gr.on([demo.load, tab.select], **fresh)

    def actions(self) -> dict[str, Action]:
        return self._live.actions()

    # -- handlers ------------------------------------------------------------------------------------------------

    def _submit(self, values: dict[Component, Any]) -> str:
        """Hand the form to the queue. Returns the sentence under the buttons: empty when all is well."""
        fields = {name: values[component] for name, component in self._form().items()}
        fields["seed"] = (fields["seed"] or "").strip() or None
        fields["keep_best"] = fields["keep_best"] or None  # an empty number field says 0
        if values[self.seed_mode] == "Random":
            fields["seed"] = None
        chosen = [style for style in self._studio.words.list_styles(USER) if style.name in (fields["styles"] or [])]
        fields["prompt"], fields["negative_prompt"] = apply_styles(
            fields["prompt"] or "",
            fields["negative_prompt"] or "",
            [(style.prompt, style.negative) for style in chosen],
        )
        fields["styles"] = [style.name for style in chosen]
        try:
            if not fields["prompt"].strip():
                raise StudioError("The prompt is empty: write what you want to see, or press Surprise me.")
            request = {name: value for name, value in fields.items() if value is not None}
            self._studio.jobs.submit(CAPABILITY, request, user=USER, source="ui")
        except StudioError as error:
            gr.Warning(str(escape(error.message)), title="Please check", duration=8)
            return finish(
                Markup('<p class="sentence" role="alert">{}<span>{}</span></p>').format(icon("alert"), error.message)
            )
        return ""

    def _choose_model(self, model: str, ratio: str | None) -> dict[Any, Any]:
        return self._family_updates(self._family(model), ratio)

    def _family_updates(self, family: Family, ratio: str | None) -> dict[Any, Any]:
        """The fields as ``family`` wants them: its own defaults, and only what it understands."""
        width, height = preset_size(family, ratio or "1:1")
        samplers = self._samplers(family)
        return {
            self.model_line: self._model_line(family),
            self.ideas: self._ideas(family),
            self.prompt: gr.Textbox(placeholder=f"For example: {self._examples(family)[0]}"),
            self.negative: gr.Textbox(visible=family.supports("negative-prompt")),
            self.steps: family.steps,
            self.guidance: gr.Slider(value=family.guidance, visible=family.supports("guidance")),
            self.sampler: gr.Dropdown(samplers, value=self._sampler(family), visible=len(samplers) > 1),
            self.width: width,
            self.height: height,
            self.ratio: ratio_of(family, width, height),
        }

    def _choose_ratio(self, model: str, ratio: str) -> tuple[int, int]:
        return preset_size(self._family(model), ratio)

    def _choose_size(self, model: str, width: float | None, height: float | None) -> str | None:
        return ratio_of(self._family(model), int(width or 0), int(height or 0))

    def _surprise(self, model: str) -> str:
        words = vocabulary(self._studio, model)
        if words is None or random.random() < 0.3:
            return random.choice(self._examples(self._family(model)))
        style, thing = random.choice(words.styles), random.choice(words.objects)
        subject = thing if thing.endswith("s") and not thing.endswith("us") else _an(thing)
        return f"{subject} on {_an(random.choice(list(words.colours)))} background, {style} style"

    def _reuse_seed(self) -> tuple[Any, Any]:
        page = self._studio.gallery.page(user=USER, limit=1)
        if not page.assets:
            gr.Info("There is no picture yet whose seed could be used.", title="No seed yet")
            return gr.skip(), gr.skip()
        return str(page.assets[0].seed), "Fixed"

    def _refresh(self, model: str) -> tuple[Any, Any, Any]:
        models = self._models()
        value = model if model in [id for _, id in models] else self._default().id
        return gr.Dropdown(models, value=value), gr.Dropdown(self._styles()), gr.Dropdown(self._wildcards())

    def _save_style(self, name: str, prompt: str, negative: str) -> tuple[Any, Any]:
        try:
            style = self._studio.words.save_style(USER, name, prompt, negative)
        except StudioError as error:
            gr.Warning(str(escape(error.message)), title="Please check")
            return gr.skip(), gr.skip()
        gr.Info(str(escape(f"Saved the style “{style.name}”.")), title="Styles")
        return gr.Dropdown(self._styles()), ""

    def _delete_styles(self, names: list[str]) -> Any:
        if not names:
            gr.Info("Choose the styles to delete in the Styles field first.", title="Styles")
        for name in names:
            self._studio.words.delete_style(USER, name)
        return gr.Dropdown(self._styles(), value=[])

    def _read_wildcard(self, name: str | None) -> str:
        return "\n".join(self._studio.words.read_wildcard(USER, name)) if name else ""

    def _save_wildcard(self, name: str | None, lines: str) -> Any:
        try:
            self._studio.words.save_wildcard(USER, (name or "").strip().strip("_"), lines)
        except StudioError as error:
            gr.Warning(str(escape(error.message)), title="Please check")
            return gr.skip()
        gr.Info("Saved the list.", title="Wildcards")
        return gr.Dropdown(self._wildcards(), value=(name or "").strip().strip("_"))

    def _delete_wildcard(self, name: str | None) -> tuple[Any, str]:
        if name:
            self._studio.words.delete_wildcard(USER, name)
        return gr.Dropdown(self._wildcards(), value=None), ""

    def _reuse(self, id: str) -> dict[Any, Any]:
        try:
            asset = self._studio.gallery.get(id, user=USER)
        except StudioError as error:
            gr.Warning(str(escape(error.message)), title="Could not bring that back")
            return {self.problem: ""}
        return self._restored(dict(asset.parameters), "Brought back all settings of that picture.")

    def _dropped(self, path: str | None) -> dict[Any, Any]:
        """Settings out of a picture file; the upload is deleted as soon as it is read."""
        from studio.media.images import open_image, read_parameters

        empty = {self.drop: None, self.problem: ""}
        if not path:
            return empty
        try:
            data = Path(path).read_bytes()
            open_image(data)
            parameters = read_parameters(data)
        except StudioError as error:
            gr.Warning(str(escape(error.message)), title="Could not read that file")
            return empty
        finally:
            Path(path).unlink(missing_ok=True)
        if not parameters:
            gr.Warning(
                "That picture holds no settings; they are lost when a picture is converted or cropped.",
                title="No settings",
            )
            return empty
        return {**self._restored(parameters, "Brought back all settings of that picture."), self.drop: None}

    def _restored(self, found: dict[str, Any], success: str) -> dict[Any, Any]:
        """Fill the form from the parameters of a picture, ours or another tool's, and say what could not be used."""
        models = [id for _, id in self._models()]
        lost: list[str] = []
        model = str(found.get("model") or "")
        if model not in models:
            if model:
                lost.append(f"model {model}")
            model = self._default().id
        family = self._family(model)
        updates = self._family_updates(family, "1:1")
        samplers = [id for _, id in self._samplers(family)]
        sampler = found.get("sampler") or self._sampler(family)
        if sampler not in samplers:
            lost.append(f"sampler {sampler}")
            sampler = self._sampler(family)
        updates[self.model] = model
        updates[self.sampler] = gr.Dropdown(self._samplers(family), value=sampler, visible=len(samplers) > 1)
        updates[self.prompt] = str(found.get("prompt") or "")
        updates[self.negative] = gr.Textbox(
            value=str(found.get("negative_prompt") or ""), visible=family.supports("negative-prompt")
        )
        for name, low, high in (("steps", 1, 150), ("guidance_scale", 0, 30)):
            if isinstance(value := found.get(name), int | float) and not low <= value <= high:
                lost.append(f"{_BRING_BACK[name]} {value:g}")
                found[name] = min(max(value, low), high)
        if found.get("steps"):
            updates[self.steps] = found["steps"]
        if found.get("guidance_scale") is not None:
            updates[self.guidance] = gr.Slider(value=found["guidance_scale"], visible=family.supports("guidance"))
        width, height = found.get("width"), found.get("height")
        if width and height:
            updates |= {self.width: width, self.height: height, self.ratio: ratio_of(family, width, height)}
        if found.get("seed") is not None:
            updates |= {self.seed: str(found["seed"]), self.seed_mode: "Fixed"}
        missing = dict.fromkeys(label for name, label in _BRING_BACK.items() if name not in found)
        lost += list(missing)
        updates |= {self.styles: [], self._tabs: gr.Tabs(selected=CAPABILITY), self.problem: ""}
        if lost:
            words = (
                f"Brought back the settings, but not: {', '.join(lost)}. Those fields hold {family.name}'s defaults."
            )
            gr.Warning(str(escape(words)), title="Most settings are back", duration=10)
        else:
            gr.Info(success, title="Settings are back")
        return updates

    # -- what the fields offer -----------------------------------------------------------------------------------

    def _family(self, model: str) -> Family:
        try:
            return self._studio.catalog.get(model)
        except StudioError:
            return self._default()

    def _default(self) -> Family:
        return self._studio.catalog.get("")

    def _models(self) -> list[tuple[str, str]]:
        catalog = self._studio.catalog
        default = self._default()
        return [
            (row.name, row.id) for row in catalog.all("diffusion") if row.id == default.id or catalog.available(row.id)
        ]

    def _styles(self) -> list[str]:
        return [style.name for style in self._studio.words.list_styles(USER)]

    def _wildcards(self) -> list[str]:
        return list(self._studio.words.list_wildcards(USER))

    @classmethod
    def _sampler(cls, family: Family) -> str:
        """The family's own sampler, or the first it can use where its pack names one that is unknown here."""
        known = [id for _, id in cls._samplers(family)]
        return family.sampler if family.sampler in known else known[0]

    @staticmethod
    def _samplers(family: Family) -> list[tuple[str, str]]:
        return [(row.label, row.id) for row in samplers_for(family)]

    def _examples(self, family: Family) -> tuple[str, ...]:
        words = vocabulary(self._studio, family.id)
        return words.examples if words else _ANYTHING

    def _model_line(self, family: Family) -> str:
        return finish(
            Markup('<p class="model-line"><span><b>{}</b> is drawing</span>{}</p>').format(
                family.name, licence_badge(family)
            )
        )

    def _ideas(self, family: Family) -> str:
        """Prompt suggestions: everything a model with a vocabulary can draw, or a few examples for the others."""
        words = vocabulary(self._studio, family.id)
        examples = join(
            Markup('<button type="button" class="chip" data-act="prompt" data-text="{}">{}</button>').format(text, text)
            for text in self._examples(family)[:6]
        )
        if words is None:
            return finish(
                Markup(
                    '<details class="ideas"><summary>Example prompts</summary><div '
                    'class="ideas-body"><div class="chips">{}</div></div></details>'
                ).format(examples)
            )
        chips = {
            "style": join(_chip("style", style, style) for style in words.styles),
            "colour": join(
                _chip("colour", colour, Markup('<i style="background:{}"></i>{}').format(value, colour))
                for colour, value in words.colours.items()
            ),
            "object": join(_chip("object", thing, thing) for thing in words.objects),
        }
        return finish(
            Markup(
                '<details class="ideas"><summary>What it can draw <span>{count} objects</span>'
                '</summary><div class="ideas-body"><p class="limits">{limits}</p>'
                '<h4>Examples</h4><div class="chips">{examples}</div><h4>Style</h4><div class="chips">{style}</div>'
                '<h4>Background</h4><div class="chips">{colour}</div><h4>Object</h4>'
                '<div class="chips chips-many" tabindex="0" role="group" '
                'aria-label="Objects">{object}</div></div></details>'
            ).format(count=len(words.objects), limits=words.limits, examples=examples, **chips)
        )


def _chip(part: str, text: str, shown: str | Markup) -> Markup:
    return Markup(
        '<button type="button" class="chip" data-act="compose" data-part="{}" data-text="{}">{}</button>'
    ).format(part, text, shown)


def _an(word: str) -> str:
    return f"{'an' if word[:1] in 'aeio' else 'a'} {word}"
