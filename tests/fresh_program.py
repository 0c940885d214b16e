"""What a stranger does with a published model, in an environment of its own: for test_fresh_environment.

fresh_program.py SITE REPO REPO_WITH_CODE SCAN QUESTION, prints the two answers as JSON. This library is in SITE.
"""

import importlib.util
import json
import os
import sys

import nibabel  # noqa: F401  # large, as the next; imported once for both
import torch  # noqa: F401


def answer(repo, scan, question, **options):
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model = AutoModelForImageTextToText.from_pretrained(repo, **options)
    processor = AutoProcessor.from_pretrained(repo, **options)
    content = [{"type": "image", "path": scan}, {"type": "text", "text": question}]
    batch = processor.apply_chat_template(
        [{"role": "user", "content": content}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    found = model.generate(**batch, max_new_tokens=16)[0, batch["input_ids"].shape[1] :]
    return processor.decode(found, skip_special_tokens=True).strip()


def main():
    site, repo, with_code, scan, question = sys.argv[1:]
    assert importlib.util.find_spec("umbrella") is None
    read, write = os.pipe()
    if os.fork() == 0:  # where this library is not installed
        found = answer(with_code, scan, question, trust_remote_code=True)
        assert "umbrella" not in sys.modules
        os.write(write, found.encode())
        os._exit(0)
    os.close(write)
    without = os.fdopen(read).read()
    os.wait()
    sys.path.append(site)
    import umbrella

    assert umbrella.__file__.startswith(site)
    print(json.dumps([answer(repo, scan, question), without]))


if __name__ == "__main__":
    main()
