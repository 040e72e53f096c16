"""Draw the page's previews: ``python -m studio.starter.previews``.

Every prompt style and every example of ``assets/ui/previews/previews.json`` is drawn by the starter models through the
whole studio, one picture each with the seed that stands there, nothing picked.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from PIL import Image

from studio import Studio
from studio.media.images import small_webp
from studio.settings import ROOT, Settings

FOLDER = ROOT / "assets" / "ui" / "previews"
SIDE = 160


def main() -> None:
    told = json.loads((FOLDER / "previews.json").read_text(encoding="utf-8"))
    wanted = {each["preview"]: f"{told['subject']}, {each['words']}" for each in told["styles"]}
    wanted |= {each["preview"]: each["prompt"] for each in told["examples"]}
    with tempfile.TemporaryDirectory() as data:
        studio = Studio(Settings(data_dir=Path(data)), preload=False)
        studio.start()
        try:
            for name, prompt in wanted.items():
                job = studio.jobs.submit("text-to-image", {"prompt": prompt, "seed": told["seed"]}, user="local")
                done = studio.jobs.wait(job.id, user="local", timeout=600)
                with Image.open(studio.gallery.file(done.asset_ids[0], user="local")) as picture:
                    (FOLDER.parent / name).write_bytes(small_webp(picture, SIDE))
                print(f"{name}: {prompt}")
        finally:
            studio.stop()


if __name__ == "__main__":
    main()
