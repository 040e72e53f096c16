from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from studio.drawing.prompts import (
    Fragment,
    apply_styles,
    check_prompt,
    encode,
    foreign,
    merge,
    parse_emphasis,
    plain_text,
    resolve_choices,
)
from studio.errors import StudioError
from studio.models.manager import ModelManager
from studio.models.rows import ROWS
from studio.models.spec import PipelineSpec
from tests import tiny


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a (red:1.2) ball", [("a ", 1.0), ("red", 1.2), (" ball", 1.0)]),
        ("((big)) dog", [("big", 1.21), (" dog", 1.0)]),
        ("[soft] light", [("soft", 1 / 1.1), (" light", 1.0)]),
        ("(a [b] c:0.5)", [("a ", 0.5), ("b", 0.5 / 1.1), (" c", 0.5)]),
        (r"\(not\) stressed \[at all\]", [("(not) stressed [at all]", 1.0)]),
        ("a smile :) and (an open one", [("a smile :) and (an open one", 1.0)]),
        ("at 8:30 (x)", [("at 8:30 ", 1.0), ("x", 1.1)]),
        ("a:1.2) b", [("a:1.2) b", 1.0)]),
        ("a station clock (10:30)", [("a station clock (10:30)", 1.0)]),
        ("wide (at 16:9), (warm)", [("wide (at 16:9), ", 1.0), ("warm", 1.1)]),
        ("(route 66:1.3)", [("route 66", 1.3)]),
        ("[cat:dog:0.5] [a|b] [c]", [("[cat:dog:0.5] [a|b] ", 1.0), ("c", 1 / 1.1)]),
        ("(a (b]) c", [("(a ", 1.0), ("b]", 1.1), (" c", 1.0)]),
        ("", []),
    ],
)
def test_emphasis(prompt: str, expected: list[tuple[str, float]]) -> None:
    found = parse_emphasis(prompt)
    assert [fragment.text for fragment in found] == [text for text, _ in expected]
    assert [fragment.weight for fragment in found] == pytest.approx([weight for _, weight in expected])


@given(st.text(alphabet="ab ,()[]", max_size=60))
def test_emphasis_takes_away_marks_and_nothing_else(prompt: str) -> None:
    kept = [char for char in plain_text(prompt) if char not in "()[]"]
    assert kept == [char for char in prompt if char not in "()[]"]


@given(st.text(alphabet="ab:.1+-()[]\\\n", max_size=60))
def test_any_text_parses_or_is_answered(prompt: str) -> None:
    try:
        found = parse_emphasis(prompt)
    except StudioError as error:
        assert "use 0 to 10" in error.message
    else:
        assert all(fragment.text and fragment.weight >= 0 for fragment in found)


def test_deep_brackets_are_no_problem() -> None:
    [fragment] = parse_emphasis("[" * 900 + "x" + "]" * 900)
    assert fragment.text == "x" and 0 <= fragment.weight < 1e-30


def test_absurd_weights_are_refused() -> None:
    with pytest.raises(StudioError, match=r"weight 99 .* use 0 to 10"):
        parse_emphasis("(word:99)")


FILES = {
    "animal": ["cat", "# a comment", "dog", "{red|blue} bird"],
    "sub/colour": ["green"],
    "circle": ["__circle__"],
    "outer": ["a __animal__"],
}


def pick(prompt: str, seed: int = 1) -> str:
    return resolve_choices(prompt, seed, lambda name: FILES.get(name, []))


def test_choices_follow_the_seed_alone() -> None:
    prompt = "a {big|small} __animal__ in {2$$ and $$sun|rain|snow}"
    seen = {pick(prompt, seed) for seed in range(30)}
    assert len(seen) > 5
    assert [pick(prompt, seed) for seed in range(30)] == [pick(prompt, seed) for seed in range(30)]
    for text in seen:
        assert text.split()[1] in ("big", "small")
        sky = text.split(" in ")[1].split(" and ")
        assert len(set(sky)) == 2 and set(sky) <= {"sun", "rain", "snow"}
        assert "#" not in text


def test_files_may_use_files_and_choices() -> None:
    assert {pick("__outer__", seed) for seed in range(40)} == {"a cat", "a dog", "a red bird", "a blue bird"}
    assert pick("a __sub/colour__ door") == "a green door"


def test_signs_that_mean_something_to_the_library_stay_text() -> None:
    assert pick(r"{100 %|100 %} #1 $5 \{x\} (w:1.2)") == "100 % #1 $5 {x} (w:1.2)"
    assert pick("no choices: 100 % #1") == "no choices: 100 % #1"


@pytest.mark.parametrize(
    ("prompt", "sentence"),
    [
        ("{a|b", "braces in the prompt do not match"),
        ("b{a|", "braces in the prompt do not match"),
        ("a __nothing__ here", "no wildcard file 'nothing'; save one"),
        ("__*__", "no wildcard file '\\*'"),
        ("__a b__", "no wildcard file 'a b'"),
        ("__circle__", "in a circle .circle -> circle.; break it"),
        ("{a|" * 400 + "a" + "}" * 400, "nested too deeply"),
        ("{a|b}" + "x" * 2000, "beyond 2000 characters"),
    ],
)
def test_choices_that_cannot_be_made_are_answered_in_one_sentence(prompt: str, sentence: str) -> None:
    with pytest.raises(StudioError, match=sentence) as caught:
        pick(prompt)
    assert caught.value.field == "prompt" and "\n" not in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        '{"scene": "a kitchen", "colors": ["#ff0000"]}',
        '{"scene": "red|blue", "more": {"a": "b|c"}}',
        "snake__case__name and trailing__",
        "a face :-{ and one :}",
        "{just braces}",
        "__ __ and ____",
    ],
)
def test_plain_text_is_not_syntax(text: str) -> None:
    assert pick(text) == text
    assert pick("{a|a} 100 % " + text) == "a 100 % " + text


def test_two_lists_in_one_prompt_are_both_picked() -> None:
    files = {"a": ["cat"], "b": ["dog"]}

    def read(prompt: str, **more: Any) -> str:
        return resolve_choices(prompt, 1, lambda name: files.get(name, []), **more)

    assert read("__a__ and __b__") == "cat and dog"
    assert read("__a____b__, x__a__") == "catdog, x__a__"
    assert read('{"scene": "__a__", "x|y": 1} {a|b} 100 %', braces=False) == '{"scene": "cat", "x|y": 1} {a|b} 100 %'
    assert read("__c__ and {a|b}", braces=False) == "__c__ and {a|b}"


@pytest.mark.parametrize(
    "text", ["<lora:detail:0.8> a red apple", "[cat:dog:0.5]", "[cat|dog] run", "x BREAK y", "x AND y"]
)
def test_words_of_another_tool_are_noted(text: str) -> None:
    [note] = foreign(text)
    assert "was read as plain words" in note
    assert foreign("a BREAKfast and sand, [soft] light (a:1.2) 10:30") == ()


def test_prompts_are_checked_without_a_model() -> None:
    classic, language = (next(row for row in ROWS if row.id == id) for id in ("sd15", "flux2-klein-4b"))
    assert check_prompt("a (red:1.2) ball", classic, lambda name: []) == ()
    assert len(check_prompt("<lora:x:1> a", classic, lambda name: [])) == 1
    for text in ("(word:99)", "{a|b", "__nothing__"):
        with pytest.raises(StudioError) as caught:
            check_prompt(text, classic, lambda name: [], field="negative_prompt")
        assert caught.value.field == "negative_prompt"
        assert check_prompt(text, language, lambda name: []) == ()


def test_styles_wrap_or_append_in_order() -> None:
    styles = [("oil painting of {prompt}", "blur"), ("soft light", ""), ("", "no {prompt}")]
    assert apply_styles("a cat", "", styles) == ("oil painting of a cat, soft light", "no blur")
    assert apply_styles("a cat", "dark", []) == ("a cat", "dark")
    merged = apply_styles("a cat", "", styles)
    assert apply_styles(*merged, styles) == merged


# -- encoding, on tiny pipelines with real encoders; every character is a token, the window holds 75 --


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> ModelManager:
    catalog = tiny.catalog(tmp_path_factory.mktemp("prompts"), "sd15", "sdxl", "flux2-klein-4b")
    return ModelManager(catalog.settings, catalog)


@pytest.fixture
def sd(models: ModelManager) -> Iterator[Any]:
    with models.use(PipelineSpec("sd15")) as pipe:
        yield pipe


def embeds(pipe: Any, prompt: str, negative: str = "") -> torch.Tensor:
    return encode(pipe, prompt, negative, weights=True, negative=True).arguments["prompt_embeds"]


def test_plain_prompts_go_through_the_pipelines_own_encoding(sd: Any) -> None:
    found = encode(sd, r"a red ball \(new\)", "blur", weights=True, negative=True)
    assert found.arguments == {"prompt": "a red ball (new)", "negative_prompt": "blur"}
    assert found.notes == ()


def test_weights_change_the_embedding_and_one_is_neutral(sd: Any) -> None:
    own, _ = sd.encode_prompt("a red ball", "cpu", 1, False)
    neutral = embeds(sd, "a (red:1.0) ball", "(x:1.1)")
    torch.testing.assert_close(neutral, own, atol=1e-5, rtol=1e-4)
    strong, weak = embeds(sd, "a (red:1.5) ball"), embeds(sd, "a (red:0.5) ball")
    assert not torch.allclose(strong, own, atol=1e-3) and not torch.allclose(strong, weak, atol=1e-3)


def test_compels_own_marks_mean_nothing(sd: Any) -> None:
    plus = embeds(sd, "ball++ (x:1.2)")
    spelled = sd.encode_prompt("ball++ x", "cpu", 1, False)[0]
    word = slice(1, 7)  # the tokens b a l l + +
    torch.testing.assert_close(plus[:, word], spelled[:, word], atol=1e-5, rtol=1e-4)


def test_long_prompts_are_read_in_parts_and_both_sides_have_one_length(sd: Any) -> None:
    prompt = "a red ball, " * 12
    found = encode(sd, prompt + "cat", "blur", weights=True, negative=True)
    positive, negative = found.arguments["prompt_embeds"], found.arguments["negative_prompt_embeds"]
    assert positive.shape == negative.shape and positive.shape[1] % 77 == 0 and positive.shape[1] > 77
    assert "read in parts" in found.notes[0] and "77" in found.notes[0]
    other = embeds(sd, prompt + "dog")
    assert not torch.allclose(positive, other, atol=1e-3), "the end of a long prompt counts"


def test_sdxl_gets_both_towers_and_pooled_text_without_marks(models: ModelManager) -> None:
    with models.use(PipelineSpec("sdxl")) as pipe:
        found = encode(pipe, "a (red:1.3) ball", "", weights=True, negative=True).arguments
        own = pipe.encode_prompt("a red ball", device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=True)
        assert found["prompt_embeds"].shape == own[0].shape
        torch.testing.assert_close(found["pooled_prompt_embeds"], own[2], atol=1e-5, rtol=1e-4)
        assert not found["negative_prompt_embeds"].any() and not found["negative_pooled_prompt_embeds"].any()


def test_language_model_encoders_get_plain_text_and_are_told_what_was_cut(models: ModelManager) -> None:
    with models.use(PipelineSpec("flux2-klein-4b")) as pipe:
        found = encode(pipe, "a (red:1.3) ball", "blur", weights=False, negative=False)
        assert found.arguments == {"prompt": "a (red:1.3) ball"}
        assert any("takes no weights" in note for note in found.notes)
        assert any("no negative prompt" in note for note in found.notes)
        for text in ("a wide photo (16:9), warm", '{"scene": "a kitchen", "colors": ["#ff0000"]}', "[soft] (light)"):
            assert encode(pipe, text, "", weights=False, negative=False).arguments == {"prompt": text}
            assert encode(pipe, text, "", weights=False, negative=False).notes == ()
        [note] = encode(pipe, "{a|b}", "", weights=False, negative=False).notes
        assert "reads braces as they are written" in note
        [note] = encode(pipe, "x" * 500 + "the very end", "", weights=False, negative=False).notes
        assert "cut" in note and note.endswith("the very end")


def test_only_pictures_that_do_not_change_each_other_share_a_batch(sd: Any) -> None:
    short, long = (
        encode(sd, "(a:1.2)", "", weights=True, negative=True),
        encode(sd, "(a:1.2)" + "b" * 100, "", weights=True, negative=True),
    )
    plain = encode(sd, "a", "", weights=True, negative=True)
    assert len({short.key, long.key, plain.key}) == 3
    both = merge([short, encode(sd, "(b:1.2)", "", weights=True, negative=True)])
    assert both["prompt_embeds"].shape[0] == 2
    assert merge([plain, plain]) == {"prompt": ["a", "a"], "negative_prompt": None}


def test_fragments_are_joined_where_weights_are_equal() -> None:
    assert parse_emphasis("a, b: c") == (Fragment("a, b: c"),)
