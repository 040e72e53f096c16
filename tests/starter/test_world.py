from __future__ import annotations

import random
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from studio.starter import figure
from studio.starter.art import Art
from studio.starter.language import BIG, SMALL, ask, describe_plainly
from studio.starter.placing import Layout
from studio.starter.vocabulary import COLOURS, STYLES, SYNONYMS, plural
from studio.starter.world import LAYOUT_MIX, Placed, World, held_out

SEEDS = range(40)


def test_the_same_seed_gives_the_same_example_in_another_world(world: World) -> None:
    other = World(Art.load(Path(__file__).parent / "sprites"))
    for seed in SEEDS:
        a, b = world.scene(seed), other.scene(seed)
        assert a == b
        assert world.picture(a).tobytes() == other.picture(b).tobytes()
        assert world.caption(a, 3) == other.caption(b, 3)
        assert world.questions(a) == other.questions(b)
        assert world.edit(seed) == other.edit(seed)
        assert world.motion(seed) == other.motion(seed)
        assert world.edges(a).tobytes() == other.edges(b).tobytes()
    assert len({world.picture(world.scene(s)).tobytes() for s in SEEDS}) == len(SEEDS)


def test_masks_are_exactly_where_an_object_changes_the_picture(world: World) -> None:
    for seed in SEEDS:
        scene = world.scene(seed)
        whole = np.asarray(world.picture(scene)).astype(int)
        masks = world.masks(scene)
        assert masks.sum(0).max() <= 1, "one pixel shows one object"
        for i, mask in enumerate(masks):
            without = replace(scene, objects=scene.objects[:i] + scene.objects[i + 1 :])
            change = np.abs(whole - np.asarray(world.picture(without)).astype(int)).max(-1)
            # Soft rims change pixels outside the mask; parts in the colour of the ground change none inside it.
            assert mask.sum() > 40
            grown = mask.copy()
            for shift in (-1, 1):
                grown |= np.roll(mask, shift, 0) | np.roll(mask, shift, 1)
            grown |= np.roll(grown, 1, 0) | np.roll(grown, -1, 0) | np.roll(grown, 1, 1) | np.roll(grown, -1, 1)
            assert ((change > 40) & ~grown).sum() <= 0.02 * mask.sum()
            same_as_ground = np.abs(whole - np.array(COLOURS[scene.background])).max(-1) < 4
            assert (mask & (change == 0) & ~same_as_ground).sum() == 0


def test_the_border_shows_the_named_colour_alone(world: World) -> None:
    for seed in SEEDS:
        scene = world.scene(seed)
        pixels = np.asarray(world.picture(scene))
        sides = (pixels[:2], pixels[-2:], pixels[:, :2], pixels[:, -2:])
        rim = np.concatenate([side.reshape(-1, 3) for side in sides])
        assert (rim == COLOURS[scene.background]).all()


def test_depth_puts_the_larger_and_the_covering_object_nearer(world: World) -> None:
    for seed in SEEDS:
        scene = world.scene(seed, "large_small")
        depth, (large, small) = world.depth(scene), world.masks(scene)
        if (large == world.masks(replace(scene, objects=scene.objects[:1]))[0]).all():  # the small one covers nothing
            assert depth[large].min() > depth[small].max() > 0
        assert (depth[~(large | small)] == 0).all()
    apple = Placed("apple", "flat", (0.1, 0.1, 0.9, 0.9))
    cat = Placed("cat", "flat", (0.4, 0.4, 0.6, 0.6))
    covered = replace(world.scene(1), objects=(apple, cat))
    depth, (behind, front) = world.depth(covered), world.masks(covered)
    assert depth[front].min() > depth[behind].max()


def test_edges_follow_the_outlines(world: World) -> None:
    for seed in SEEDS:
        scene = world.scene(seed)
        edges = world.edges(scene, 128) > 0
        masks = world.masks(scene, 128).any(0)
        near = masks.copy()
        for _ in range(3):
            near |= np.roll(near, 1, 0) | np.roll(near, -1, 0) | np.roll(near, 1, 1) | np.roll(near, -1, 1)
        assert edges.sum() > 60
        assert (edges & ~near).sum() <= 0.1 * edges.sum(), "nothing but objects and their thin parts has edges"
        assert np.asarray(world.sketch(scene)).min() < 128 < np.asarray(world.sketch(scene)).mean()


def test_answers_agree_with_the_boxes(world: World) -> None:
    seen = set()
    for seed in range(120):
        scene = world.scene(seed)
        boxes = {o.name: o.box for o in scene.objects}
        for question in world.questions(scene):
            seen.add(question.kind)
            words, yes = question.text, question.answer == "yes"
            counted = {plural(n): sum(o.name == n for o in scene.objects) for n in world.nouns}
            if words == "what colour is the background?":
                assert np.asarray(world.picture(scene))[0, 0].tolist() == list(COLOURS[question.answer])
            elif question.kind == "colour":
                assert yes == (words == f"is the background {scene.background}?")
            elif words.startswith("how many"):
                (name,) = re.findall(r"how many (.*) are there", words)
                assert int(question.answer) == counted[name]
            elif question.kind == "count":
                number, name = re.findall(r"exactly (\d) (.*)\?", words)[0]
                assert yes == (int(number) == counted.get(name, counted.get(plural(name))))
            elif question.kind == "exists":
                named = [o.name for o in scene.objects if re.search(rf"\b{o.name}\?", words)]
                assert yes == bool(named)
            elif question.kind == "pose":
                assert scene.person
                said = {"yes": scene.person.legs == "legs apart", "no": scene.person.legs == "legs together"}
                worn = (scene.person.shirt, scene.person.trousers, scene.person.arms)
                assert question.answer in worn or said[question.answer]
            elif question.kind == "relation":
                ways = r"is the (.*?) (left or right|above or below|left|above)(?: of)? the (.*)\?"
                a, way, b = re.findall(ways, words)[0]
                axis = 0 if way.startswith("left") else 1
                before = boxes[a][axis] < boxes[b][axis]
                first, _, second = way.partition(" or ")
                assert question.answer == ((first if before else second) if second else ("yes" if before else "no"))
            elif question.kind == "size" and len(scene.objects) == 1:
                (left, top, right, bottom), asked = scene.objects[0].box, words.split()[-1].rstrip("?")
                side = max(right - left, bottom - top)
                size = "small" if side < 0.45 else "large" if side > 0.6 else ""
                assert question.answer == (size if " or " in words else "yes" if asked == size else "no")
            elif question.kind == "size":
                areas = {n: (b[2] - b[0]) * (b[3] - b[1]) for n, b in boxes.items()}
                larger = max(areas, key=lambda n: areas[n])
                asked = re.findall(r"is the (.*) larger than", words)
                assert question.answer == (larger if not asked else "yes" if asked[0] == larger else "no")
    assert seen == {"what", "colour", "where", "count", "exists", "relation", "size", "pose"}


def test_questions_are_asked_in_many_words_that_mean_the_same(world: World) -> None:
    rng = random.Random(0)
    for seed in range(40):
        scene = world.scene(seed)
        for question in world.questions(scene):
            said = {ask(question, rng) for _ in range(12)}
            assert len(said) > 1 and not any("{" in text for text in said)
            subjects = [n for n in (*(plural(n) for n in world.names), *world.names, *COLOURS, *STYLES)
                        if re.search(rf"\b{re.escape(n)}\b", question.text)]  # fmt: skip
            short = ("left or right?", "above or below?")  # those need no second object
            for text in said:
                assert all(n in text for n in subjects) or text.rstrip("?").endswith(tuple(s[:-1] for s in short)), text


def test_plain_captions_say_all_there_is(world: World) -> None:
    for seed in range(60):
        scene = world.scene(seed)
        full, brief = describe_plainly(scene)
        assert scene.style in full and full.endswith(f"{scene.background} background")
        for placed in scene.objects:
            assert placed.name[:4] in full and placed.name[:4] in brief


def test_an_edit_changes_only_what_it_says(world: World) -> None:
    kinds = set()
    for seed in range(80):
        edit = world.edit(seed)
        before, after = (np.asarray(world.picture(s)) for s in (edit.before, edit.after))
        assert not np.array_equal(before, after)
        if edit.before.background != edit.after.background:
            kinds.add("background")
            assert edit.before.objects == edit.after.objects and edit.after.background in edit.instruction
            assert np.array_equal(world.owners(edit.before), world.owners(edit.after))
            continue
        if edit.before.style != edit.after.style:
            kinds.add("style")
            assert edit.after.style in edit.instruction
            assert [o.name for o in edit.before.objects] == [o.name for o in edit.after.objects]
            continue
        touched = set(edit.before.objects) ^ set(edit.after.objects)
        kinds.add("objects")
        assert any(o.name in edit.instruction for o in touched)
        apart = np.ones(before.shape[:2], bool)
        for placed in touched:
            left, top, right, bottom = (round(v * 64) for v in placed.box)
            apart[max(0, top - 1) : bottom + 2, max(0, left - 1) : right + 2] = False
        assert np.array_equal(before[apart], after[apart])
    assert kinds == {"background", "style", "objects"}


def test_a_motion_moves_its_object_the_way_it_says(world: World) -> None:
    told = set()
    for seed in range(60):
        motion = world.motion(seed, frames=6)
        assert len(motion.frames) == 6
        first, last = motion.frames[0].objects[0], motion.frames[-1].objects[0]
        dx, dy = last.centre[0] - first.centre[0], last.centre[1] - first.centre[1]
        verb = re.search(r"that (?:moves )?(\w+) ", motion.caption)
        assert verb
        told.add(verb[1])
        right = {"right": dx > 0.1, "left": dx < -0.1, "down": dy > 0.1, "up": dy < -0.1,
                 "grows": last.area > 2 * first.area, "shrinks": first.area > 2 * last.area,
                 "bounces": min(f.objects[0].centre[1] for f in motion.frames) < first.centre[1] - 0.1}  # fmt: skip
        assert right[verb[1]], motion.caption
    assert len(told) == 7


def test_captions_name_what_is_there_and_no_other_background(world: World) -> None:
    grounds = "|".join(COLOURS)
    texts = set()
    for seed in range(300):
        scene = world.scene(seed)
        caption = world.caption(scene)
        texts.add(caption)
        for placed in scene.objects:
            names = (placed.name, plural(placed.name), *SYNONYMS.get(placed.name, ()))
            names += ("figure", "somebody") if scene.person else ()
            assert any(n in caption for n in names), caption
        for named in re.findall(rf"({grounds}) (?:background|wall|backdrop)", caption):
            assert named == scene.background, caption
    assert len(texts) > 290


def test_places_and_sizes_are_told_as_they_are(world: World) -> None:
    words = {"top": (1, -1), "upper": (1, -1), "bottom": (1, 1), "lower": (1, 1), "left": (0, -1), "right": (0, 1)}
    told, sizes = set(), []
    for seed in range(600):
        scene = world.scene(seed, "single")
        (placed,) = scene.objects
        left, top, right, bottom = placed.box
        sizes.append(max(right - left, bottom - top))
        caption = world.caption(scene)
        for axis, way in (words[w] for w in words if re.search(rf"\b{w}\b", caption)):
            assert (placed.centre[axis] - 0.5) * way > 0.05, caption
            told.add((axis, way))
        if re.search(r"\b(middle|centre|center|centred)\b", caption):
            assert max(abs(v - 0.5) for v in placed.centre) < 0.07, caption
        small, large = (re.search(rf"\b({'|'.join(x)})\b", caption) for x in (SMALL, BIG))
        assert not (small and sizes[-1] > 0.45) and not (large and sizes[-1] < 0.6), caption
    assert len(told) == 4 and min(sizes) < 0.34 and max(sizes) > 0.89


def test_pairs_stand_as_their_layout_says_and_hide_little_of_each_other(world: World) -> None:
    hidden = 0
    for seed in range(200):
        pairs: tuple[tuple[Layout, int], ...] = (("left_right", 0), ("above_below", 1))
        for layout, axis in pairs:
            scene = world.scene(seed, layout)
            a, b = scene.objects
            assert b.centre[axis] - a.centre[axis] > 0.15
            alone = [world.masks(replace(scene, objects=(o,), first_in_front=False))[0].sum() for o in scene.objects]
            seen = [mask.sum() for mask in world.masks(scene)]
            assert all(s > 0.5 * n for s, n in zip(seen, alone, strict=True))
            hidden += seen != alone
        large, small = world.scene(seed, "large_small").objects
        assert large.area > 1.5 * small.area or small.area < 0.06
    assert hidden > 60, "things may stand before each other"


def test_a_scene_with_a_person_knows_its_joints(world: World) -> None:
    poses = set()
    for seed in range(60):
        scene = world.scene(seed, "figure")
        person, (mask,) = scene.person, world.masks(scene, 128)
        assert person and scene.objects[0].name == figure.PERSON
        inside = [mask[round(y * 128), round(x * 128)] for x, y in person.joints]
        assert sum(inside) >= 16, "ears may lie on the rim of the hair"
        ys, xs = np.nonzero(mask)
        box = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]) / 128
        assert np.abs(box - scene.objects[0].box).max() < 0.04
        poses.add((person.arms, person.legs))
        assert world.questions(scene) and "person" in describe_plainly(scene)[0]
    assert len(poses) == 6


def test_the_first_packs_world_has_one_place_per_layout(world: World) -> None:
    fixed = World(world.art, free=False)
    scenes = [fixed.scene(seed) for seed in SEEDS]
    assert not any(s.person or s.first_in_front for s in scenes)
    assert len({max(s.objects[0].box[2] - s.objects[0].box[0], s.objects[0].box[3] - s.objects[0].box[1])
                for s in scenes if s.layout == "single"}) == 1  # fmt: skip


def test_held_out_combinations_never_appear_in_training(world: World) -> None:
    train = [world.scene(s, split="train") for s in range(400)]
    test = [world.scene(s, split="held_out") for s in range(100)]
    assert not any(held_out(s) for s in train)
    assert all(held_out(s) for s in test)
    kept = {(o.name, o.style, s.background) for s in train for o in s.objects}
    singles = {(s.objects[0].name, s.style, s.background) for s in test if s.layout == "single"}
    assert singles and not kept & singles
    share = sum(held_out(world.scene(s, "single")) for s in range(1000)) / 1000
    assert 0.03 < share < 0.2
    assert sum(LAYOUT_MIX.values()) == pytest.approx(1)


def test_every_joint_of_a_figure_lies_on_its_drawing() -> None:
    for seed in range(60):
        person = figure.figure(seed)
        assert len(person.joints) == len(figure.JOINTS) == 18
        assert all(0.03 < v < 0.97 for joint in person.joints for v in joint)
        drawn = np.asarray(figure.picture(person, 256)).astype(int)
        bones = np.asarray(figure.skeleton(person, 256)).astype(int)
        ground = np.array(COLOURS[person.background])
        for name, (x, y) in zip(figure.JOINTS, person.joints, strict=True):
            px, py = round(x * 256), round(y * 256)
            assert bones[py - 2 : py + 3, px - 2 : px + 3].max() > 60, name
            assert np.abs(drawn[py - 2 : py + 3, px - 2 : px + 3] - ground).max() > 20, name
        assert (drawn[0, :] == ground).all() and (drawn[:, 0] == ground).all()
        assert person == figure.figure(seed)
        assert person.background in person.caption() and person.arms in person.caption()
    right, left = figure.figure(1).joints[2], figure.figure(1).joints[5]
    assert right[0] < left[0], "the person faces us"
