"""What every drawing tab is: a form of parts beside the workspace, which sends it and brings settings back into it.

The workspace itself (stage, rail, prompt, button, filmstrip) is one for all tabs and drawn by the page's scripts. They
press the hidden buttons that are built here; what a handler answers goes back to them as JSON.
"""

from __future__ import annotations

import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar

import gradio as gr
from gradio.components import Component

from studio.drawing.restore import Report, restore
from studio.drawing.words import vocabulary
from studio.errors import StudioError
from studio.media.foreign import OURS
from studio.media.said import checked
from studio.models.families import Family
from studio.store.gallery import Asset
from studio.ui.events import CRASHED, QUIET, guarded
from studio.ui.form import Part, Updates
from studio.ui.form.model import ModelField
from studio.ui.form.sampling import SeedField
from studio.ui.form.schema import in_words, takes
from studio.ui.form.words import PromptFields

if TYPE_CHECKING:
    from studio import Studio

log = logging.getLogger(__name__)


class DrawingTab(ABC):
    """Builds the form inside the current Blocks. A tab names its capability and lays out the parts."""

    id: ClassVar[str]
    """Of the tab; its fields' ids begin with it."""
    title: ClassVar[str]
    capability: ClassVar[str]
    """What the form asks for, where its values do not say otherwise (`capability_of`)."""
    more: ClassVar[tuple[str, ...]] = ()
    """What else its values can ask for, where the studio has it."""

    task: ClassVar[str] = ""
    """What the models that are offered must be able to do, where that is not called like the capability."""

    def __init__(self, studio: Studio, user: str, words: PromptFields) -> None:
        self._studio, self._user, self._words = studio, user, words
        self.request = studio.capabilities[self.capability].request
        self.requests = {
            name: studio.capabilities[name].request for name in self.capabilities() if name in studio.capabilities
        }
        with gr.Column(elem_id=f"{self.id}-form", elem_classes="form-panel"):
            self.model = ModelField(studio, self.id, self.task or self.capability)
            self.parts: list[Part] = [self.model, *self.build(self.model.default())]
        with gr.Column(elem_classes="backstage"):
            self._vocabulary = self._hidden("vocabulary", self._known(self.model.default()))
            self._payload = self._hidden("payload")
            self._answer = self._hidden("answer")
            self._report = self._hidden("report")
            self._go = gr.Button("Go", elem_id=f"{self.id}-go", visible="hidden")
            self._restore = gr.Button("Restore", elem_id=f"{self.id}-restore", visible="hidden")

    @abstractmethod
    def build(self, family: Family) -> list[Part]:
        """Lay out the parts below the model, as ``family`` wants them."""

    @classmethod
    def capabilities(cls) -> tuple[str, ...]:
        """Names of all that the tab can ask for; its own first."""
        return (cls.capability, *cls.more)

    def capability_of(self, values: Mapping[str, Any]) -> str:
        """Which capability the form's ``values`` ask for."""
        return self.capability

    def needs_words(self, values: Mapping[str, Any]) -> bool:
        """Whether nothing can be drawn without a prompt."""
        return True

    def blank(self) -> dict[str, Any]:
        """What stands where the settings of a picture say nothing."""
        return {"negative_prompt": "", "styles": [], "seed": None, "count": 1, "batch_size": 1, "keep_best": None}

    def takes(self, name: str, value: Any) -> bool:
        """Whether ``value`` is right for a field of any of the tab's requests."""
        return any(takes(request, name, value) for request in self.requests.values())

    # -- events --------------------------------------------------------------------------------------------------

    @property
    def fields(self) -> dict[str, Component]:
        """Request field -> the component that holds it, those shared with the other tabs too."""
        own = {name: component for part in self.parts for name, component in part.fields.items()}
        return {**self._words.fields, **own}

    def wire(self, demo: gr.Blocks, tab: gr.Tab) -> None:
        """After everything is built: what the fields do to each other and to the scripts."""
        names, fields = json.dumps(list(self.fields)), list(self.fields.values())
        keep = _tell(f"'keep', '{self.id}', {names}, given", given="...given")
        known = _tell(f"'words', '{self.id}', given")
        others = [component for part in (self._words, *self.parts) for component in part.others]
        everything = [*fields, *others, self._vocabulary]

        gr.on([field.change for field in fields], None, fields, None, js=keep, **QUIET)  # pyright: ignore[reportAttributeAccessIssue]
        self.model.choice.input(guarded(self._adapt), [self.model.choice], everything, **QUIET)
        offers = [self.model.choice, *self._words.refresh()]
        tab.select(guarded(self._refresh), [self.model.choice], offers, **QUIET)
        self._vocabulary.change(None, [self._vocabulary], None, js=known, **QUIET)
        for part in self.parts:
            if isinstance(part, SeedField):
                part.last.click(guarded(self._last_seed), None, [part.seed], **QUIET)

        values = f"(...given) => window.studio.call('values', {names}, given)"
        sent = self._go.click(self._submit, fields, [self._answer], trigger_mode="once", js=values, **QUIET)
        sent.then(None, [self._answer], None, js=_tell("'sent', given"), **QUIET)
        handed = "() => [window.studio.call('handed')]"
        back = self._restore.click(
            self._bring_back, [self._payload], [*everything, self._report], trigger_mode="multiple", js=handed, **QUIET
        )
        back.then(None, [self._report], None, js=_tell("'restored', given"), **QUIET)

        kept = f"() => [localStorage.getItem('studio.form.{self.id}') || '']"
        loaded = demo.load(guarded(self._reload), [self._payload], everything, js=kept, **QUIET)
        loaded.then(None, fields, None, js=keep, **QUIET)
        loaded.then(None, [self._vocabulary], None, js=known, **QUIET)

    # -- handlers ------------------------------------------------------------------------------------------------

    def _submit(self, *values: Any) -> str:
        """Hand the form to the queue. JSON: ``{"job": id}``, or ``{"error": sentence, "field": id of a component}``."""
        try:
            form = dict(zip(self.fields, values, strict=True))
            asked = self._asked(form)
            job = self._studio.jobs.submit(self.capability_of(form), asked, user=self._user, source="ui")
            return json.dumps({"job": job.id})
        except StudioError as error:
            return json.dumps(self._refused(error, values))
        except Exception:
            log.exception("The form could not be sent")
            return json.dumps({"error": CRASHED, "field": ""})

    def _asked(self, values: dict[str, Any]) -> dict[str, Any]:
        """The request of the form's values: what is empty is left to the model's defaults."""
        if self.needs_words(values) and not str(values.get("prompt") or "").strip():
            raise StudioError("The prompt is empty: write what you want to see.", field="prompt")
        if isinstance(values.get("seed"), str):
            values["seed"] = values["seed"].strip() or None
        if not values.get("keep_best"):
            values["keep_best"] = None  # an empty number field says 0
        known = self.requests[self.capability_of(values)].model_fields
        return {name: value for name, value in values.items() if value is not None and name in known}

    def _refused(self, error: StudioError, values: tuple[Any, ...]) -> dict[str, str]:
        name = (error.field or "").split(".")[0]
        words = in_words(error)
        if name == "steps" and "at most" in words:
            family = self.model.family(dict(zip(self.fields, values, strict=True)).get("model"))
            words = f"{words.removesuffix('.')}. {family.name} was made for about {family.steps}."
        return {"error": words, "field": str(getattr(self.fields.get(name), "elem_id", "") or "")}

    def _refresh(self, model: str) -> Updates:
        """Offer models fetched or added, styles and lists saved since the page was drawn."""
        choice = gr.Dropdown(self.model.offered(), value=self.model.family(model).id)
        return {self.model.choice: choice, **self._words.refresh()}

    def _adapt(self, model: str) -> Updates:
        family = self.model.family(model)
        updates: Updates = {self._vocabulary: self._known(family)}
        for part in self.parts:
            updates |= part.adapt(family)
        return updates

    def _fill(self, values: Mapping[str, Any], family: Family) -> Updates:
        updates: Updates = {}
        for part in (self._words, *self.parts):
            updates |= part.fill(values, family)
        return updates

    def _reload(self, kept: str) -> Updates:
        """The form as this browser kept it, and what is offered now."""
        values = _object(kept)
        family = self.model.family(str(values.get("model") or ""))
        right = {name: value for name, value in values.items() if self.takes(name, value)}
        return {**self._words.refresh(), **self._fill(right, family), self._vocabulary: self._known(family)}

    def _bring_back(self, payload: str) -> Any:
        """Fill the form from a picture of the gallery, or from the report on a picture file; and say what came back."""
        try:
            given = _object(payload)
            told = given.get("report")
            if given.get("id"):
                parameters = self._studio.gallery.get(str(given["id"]), user=self._user).parameters
                made = str(parameters.get("capability"))
                capability = self._studio.capabilities[made if made in self.requests else self.capability]
                found = restore(checked(OURS, parameters, {}), capability, self._studio.catalog)
                self._find_source(found, parameters)
                told = asdict(found)
            if not isinstance(told, dict) or not isinstance(told.get("values"), dict):
                raise StudioError("There are no settings to bring back.")
            values = {name: value for name, value in told["values"].items() if self.takes(name, value)}
            family = self.model.family(str(values.get("model") or ""))
            back = {name: str(values.get(name) or "") for name in ("picture", "mask")}
            return {
                **self._fill({**self.blank(), **values}, family),
                self._vocabulary: self._known(family),
                self._report: json.dumps({**told, **back}),
            }
        except StudioError as error:
            return {self._report: json.dumps({"error": error.message})}
        except Exception:
            log.exception("Settings could not be brought back")
            return {self._report: json.dumps({"error": CRASHED})}

    def _find_source(self, found: Report, parameters: dict[str, Any]) -> None:
        """The picture that a picture was made from comes back with its settings, where the tab works on one."""
        asked = parameters.get("requested")
        source = asked.get("picture") if isinstance(asked, dict) else None
        if not isinstance(asked, dict) or not isinstance(source, str) or "picture" not in self.request.model_fields:
            return
        known = self._studio.library.some([source], user=self._user).get(source)
        if known is None or (isinstance(known, Asset) and known.deleted_at):
            found.lose("picture", "", "the picture it was made from was deleted; pick another one")
        else:
            found.values["picture"] = source
            found.restored.append("picture")

    def _last_seed(self) -> str:
        page = self._studio.gallery.page(user=self._user, limit=1)
        if not page.assets:
            raise StudioError("There is no picture yet whose seed could be used.")
        return str(page.assets[0].seed)

    # -- inside --------------------------------------------------------------------------------------------------

    def _hidden(self, name: str, value: str = "") -> gr.Textbox:
        return gr.Textbox(value, label=name, elem_id=f"{self.id}-{name}", visible="hidden")

    def _known(self, family: Family) -> str:
        """What a small model says it can draw, as JSON for the scripts; null for models that draw anything."""
        words = vocabulary(self._studio.catalog.location(family.id))
        if words is None:
            return "null"
        return json.dumps({
            "objects": words.objects, "styles": words.styles, "colours": words.colours, "examples": words.examples,
            "limits": words.limits,
        })  # fmt: skip


def _tell(what: str, given: str = "given") -> str:
    """Script of an event that only tells the page's scripts something."""
    return f"({given}) => (window.studio.call({what}), [])"


def _object(text: str | None) -> dict[str, Any]:
    """A JSON object out of the browser; empty for everything else."""
    if not text or len(text) > 1_000_000:
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
