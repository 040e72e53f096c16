"""Everything the studio can do, in the order of tabs, routes and commands."""

from __future__ import annotations

from studio.capabilities.ask import Ask
from studio.capabilities.caption import Caption
from studio.capabilities.checklist import Checklist
from studio.capabilities.compare import Compare
from studio.capabilities.cut_out import CutOut
from studio.capabilities.embed import Embed
from studio.capabilities.image_to_image import ImageToImage
from studio.capabilities.restyle import Restyle
from studio.capabilities.score import Score
from studio.capabilities.segment import Segment
from studio.capabilities.text_to_image import TextToImage
from studio.capabilities.upscale import Upscale
from studio.capabilities.watch import Watch
from studio.capabilities.zero_shot import ZeroShot
from studio.capability import Capability

ALL: tuple[Capability, ...] = (
    TextToImage(),
    ImageToImage(),
    CutOut(),
    Upscale(),
    Restyle(),
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

BY_NAME: dict[str, Capability] = {capability.name: capability for capability in ALL}
