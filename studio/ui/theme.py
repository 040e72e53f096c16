"""The studio's look: a Gradio theme whose values are variables of ``assets/ui/studio.css``, and the page's head.

One neutral scale, one accent. Light and dark are the same names with other values, so components never ask which is on.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import gradio as gr
from gradio.themes.utils import colors, sizes

STYLES = ("studio.css", "understand.css")
SCRIPTS = ("studio.js", "pictures.js", "gallery.js", "understand.js")
"""In the order that the page reads them: later ones use what earlier ones left in ``window.studio``."""

ACCENT = colors.Color(
    c50="#eef1fe", c100="#dfe4fd", c200="#c3ccfb", c300="#9fadf7", c400="#7c8ff2", c500="#5670ec",
    c600="#3552d8", c700="#2c44b6", c800="#253a94", c900="#213272", c950="#151f47", name="accent",
)  # fmt: skip
NEUTRAL = colors.Color(
    c50="#faf9f7", c100="#f4f3f0", c200="#e7e5e1", c300="#d3d1cb", c400="#a3a19b", c500="#74726d",
    c600="#57554f", c700="#403f3b", c800="#282825", c900="#1c1c1b", c950="#141413", name="neutral",
)  # fmt: skip


class StudioTheme(gr.themes.Base):
    """Calm and picture-first: white cards on a warm neutral canvas, hairlines instead of shadows."""

    def __init__(self) -> None:
        super().__init__(
            primary_hue=ACCENT,
            secondary_hue=ACCENT,
            neutral_hue=NEUTRAL,
            text_size=sizes.Size("11px", "12px", "13px", "14px", "16px", "20px", "26px", name="studio"),
            spacing_size=sizes.spacing_md,
            radius_size=sizes.Size("3px", "5px", "7px", "9px", "12px", "16px", "22px", name="studio"),
            font=["Inter", "system-ui", "-apple-system", "Segoe UI", "sans-serif"],
            font_mono=["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"],
        )
        self.set(
            body_background_fill="var(--canvas)",
            body_background_fill_dark="var(--canvas)",
            body_text_color="var(--ink)",
            body_text_color_dark="var(--ink)",
            body_text_color_subdued="var(--muted)",
            body_text_color_subdued_dark="var(--muted)",
            background_fill_primary="var(--surface)",
            background_fill_primary_dark="var(--surface)",
            background_fill_secondary="var(--sunken)",
            background_fill_secondary_dark="var(--sunken)",
            border_color_primary="var(--line)",
            border_color_primary_dark="var(--line)",
            border_color_accent="var(--accent)",
            border_color_accent_dark="var(--accent)",
            color_accent="var(--accent)",
            color_accent_soft="var(--accent-soft)",
            color_accent_soft_dark="var(--accent-soft)",
            link_text_color="var(--accent-text)",
            link_text_color_dark="var(--accent-text)",
            link_text_color_hover="var(--accent-text)",
            link_text_color_hover_dark="var(--accent-text)",
            link_text_color_visited="var(--accent-text)",
            link_text_color_visited_dark="var(--accent-text)",
            block_background_fill="transparent",
            block_background_fill_dark="transparent",
            block_border_width="0px",
            block_border_color="transparent",
            block_border_color_dark="transparent",
            block_padding="0px",
            block_shadow="none",
            block_shadow_dark="none",
            block_label_background_fill="transparent",
            block_label_background_fill_dark="transparent",
            block_label_text_color="var(--ink-2)",
            block_label_text_color_dark="var(--ink-2)",
            block_title_text_color="var(--ink-2)",
            block_title_text_color_dark="var(--ink-2)",
            block_title_text_weight="550",
            block_title_text_size="12.5px",
            block_info_text_color="var(--muted)",
            block_info_text_color_dark="var(--muted)",
            block_info_text_size="12px",
            form_gap_width="0px",
            layout_gap="14px",
            input_background_fill="var(--field)",
            input_background_fill_dark="var(--field)",
            input_background_fill_focus="var(--surface)",
            input_background_fill_focus_dark="var(--field)",
            input_border_color="var(--line-2)",
            input_border_color_dark="var(--line-2)",
            input_border_color_focus="var(--accent)",
            input_border_color_focus_dark="var(--accent)",
            input_border_width="1px",
            input_padding="9px 11px",
            input_radius="9px",
            input_shadow="none",
            input_shadow_focus="0 0 0 3px var(--accent-soft)",
            input_shadow_focus_dark="0 0 0 3px var(--accent-soft)",
            input_placeholder_color="var(--faint)",
            input_placeholder_color_dark="var(--faint)",
            button_large_radius="10px",
            button_small_radius="8px",
            button_medium_radius="9px",
            button_large_text_weight="600",
            button_large_text_size="14.5px",
            button_medium_text_weight="550",
            button_small_text_weight="550",
            button_small_text_size="12.5px",
            button_primary_background_fill="var(--accent-fill)",
            button_primary_background_fill_dark="var(--accent-fill)",
            button_primary_background_fill_hover="var(--accent-fill-hover)",
            button_primary_background_fill_hover_dark="var(--accent-fill-hover)",
            button_primary_text_color="#ffffff",
            button_primary_text_color_dark="#ffffff",
            button_primary_border_color="transparent",
            button_primary_border_color_dark="transparent",
            button_secondary_background_fill="var(--surface)",
            button_secondary_background_fill_dark="var(--raised)",
            button_secondary_background_fill_hover="var(--sunken)",
            button_secondary_background_fill_hover_dark="var(--hover)",
            button_secondary_border_color="var(--line-2)",
            button_secondary_border_color_dark="var(--line-2)",
            button_secondary_border_color_hover="var(--line-3)",
            button_secondary_border_color_hover_dark="var(--line-3)",
            button_secondary_text_color="var(--ink)",
            button_secondary_text_color_dark="var(--ink)",
            button_border_width="1px",
            slider_color="var(--accent)",
            slider_color_dark="var(--accent)",
            checkbox_background_color="var(--field)",
            checkbox_background_color_dark="var(--field)",
            checkbox_border_color="var(--line-3)",
            checkbox_border_color_dark="var(--line-3)",
            checkbox_label_background_fill="var(--field)",
            checkbox_label_background_fill_dark="var(--field)",
            checkbox_label_background_fill_hover="var(--sunken)",
            checkbox_label_background_fill_hover_dark="var(--hover)",
            checkbox_label_border_color="var(--line-2)",
            checkbox_label_border_color_dark="var(--line-2)",
            checkbox_label_border_width="1px",
            checkbox_label_text_color="var(--ink)",
            checkbox_label_text_color_dark="var(--ink)",
            checkbox_label_padding="7px 10px",
            checkbox_label_text_size="13px",
        )


def _version(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:10]


def head(assets: Path) -> str:
    """Tags for ``<head>``: style sheets and scripts under ``/ui/``, their addresses changing with their content."""
    styles = (f'<link rel="stylesheet" href="/ui/{name}?v={_version(assets / name)}">' for name in STYLES)
    scripts = (f'<script src="/ui/{name}?v={_version(assets / name)}"></script>' for name in SCRIPTS)
    return "".join((*styles, *scripts, '<meta name="color-scheme" content="light dark">'))
