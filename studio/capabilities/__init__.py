"""Everything the studio can do, in the order of tabs, routes and commands."""

from __future__ import annotations

from studio.capabilities.ask import Ask
from studio.capabilities.blur_faces import BlurFaces
from studio.capabilities.caption import Caption
from studio.capabilities.checklist import Checklist
from studio.capabilities.compare import Compare
from studio.capabilities.cut_out import CutOut
from studio.capabilities.embed import Embed
from studio.capabilities.grid import grid
from studio.capabilities.image_to_image import ImageToImage
from studio.capabilities.inpaint import Inpaint
from studio.capabilities.instruct_edit import InstructEdit
from studio.capabilities.outpaint import Outpaint
from studio.capabilities.prompt_to_prompt import PromptToPrompt
from studio.capabilities.restyle import Restyle
from studio.capabilities.score import Score
from studio.capabilities.segment import Segment
from studio.capabilities.text_to_image import TextToImage
from studio.capabilities.upscale import Upscale
from studio.capabilities.variations import Variations
from studio.capabilities.watch import Watch
from studio.capabilities.zero_shot import ZeroShot
from studio.capability import Capability

_EACH: tuple[Capability, ...] = (
    TextToImage(),
    ImageToImage(),
    InstructEdit(),
    Inpaint(),
    Outpaint(),
    Variations(),
    PromptToPrompt(),
    CutOut(),
    Upscale(),
    Restyle(),
    BlurFaces(),
    Segment(),
    ZeroShot(),
    Ask(),
    Caption(),
    Checklist(),
    Score(),
    Compare(),
    Watch(),
    Embed(),
)

ALL: tuple[Capability, ...] = (*_EACH, grid(*_EACH))

BY_NAME: dict[str, Capability] = {capability.name: capability for capability in ALL}
