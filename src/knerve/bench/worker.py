"""The process in which one method runs: `python -m knerve.bench.worker HOME METHOD FOLDER THREADS`.

It is asked in lines of JSON on stdin and answers each in a line on stdout, until stdin ends:

    {"image": FILE.npy, "setting": {"weight": 0.004, "iterations": 30} or null}     -> Measured, the image in the file
    {"image": FILE.npy, "weight": 0.004, "iterations": [10, 30]}                    -> {}, the images in the file

Whatever else is printed goes to stderr. An error ends the process: its last words there say which.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import IO, Any

import numpy as np

from knerve.bench.case_files import CaseFiles
from knerve.bench.methods import Method, Runner, SearchedRunner, Setting


def main() -> None:
    """Answer until there is nothing more to answer."""
    home, name, folder, n_threads = sys.argv[1:]
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)  # libraries print where they like
        runner = named(home, name).start(CaseFiles.open(Path(folder)), int(n_threads))
        serve(runner, sys.stdin, answers)


def named(home: str, name: str) -> Method:
    """A method by its name and the module that holds it."""
    methods: tuple[Method, ...] = import_module(home).METHODS
    return next(method for method in methods if method.name == name)


def serve(runner: Runner, questions: IO[str], answers: IO[str]) -> None:
    """Answer each line with one line."""
    for line in questions:
        question = json.loads(line)
        image, answer = answered(runner, question)
        np.save(question["image"], image)
        print(json.dumps(answer), file=answers, flush=True)


def answered(runner: Runner, question: dict[str, Any]) -> tuple[np.ndarray[Any, np.dtype[np.float32]], dict[str, Any]]:
    """The images that a question asks for, and the answer."""
    if "setting" in question:
        setting = None if question["setting"] is None else Setting(**question["setting"])
        image, measured = runner.run(setting)
        return image, asdict(measured)
    if not isinstance(runner, SearchedRunner):
        raise TypeError(f"{type(runner).__name__} cannot be searched: it has no curve")
    return runner.curve(question["weight"], question["iterations"]), {}


if __name__ == "__main__":
    main()
