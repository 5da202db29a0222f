"""Plants the bugs of list.toml one at a time and runs the proof kit: it has to see each. run.sh builds the kit and calls this."""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

try:
    import tomllib
except ModuleNotFoundError:
    import tomli as tomllib

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2] / "scripts"))
from kit import PROGRAMS, run_kit  # noqa: E402
from sources import REPOSITORY, copy_sources, write  # noqa: E402


def main():
    mutants = tomllib.loads((HERE / "list.toml").read_text())["mutant"]
    check(mutants)
    if sys.argv[1:] == ["--check"]:
        return
    options = arguments()
    work = options.target / "proof" / "mutants"
    tree, target = work / "tree", work / "target"
    chosen = [m for m in mutants if not options.words or any(word in m["name"] for word in options.words)]
    if not chosen:
        sys.exit(f"no mutant has {' or '.join(options.words)} in its name")
    copy_sources(tree)
    # The trials have to pass without a bug, or what they see of one says nothing.
    wrong = []
    for mutant in [{"name": "(no bug)", "edits": []}, *chosen]:
        began = time.monotonic()
        verdict = try_one(mutant, tree, target, options)
        expected = ["passed"] if not mutant["edits"] or "unseen" in mutant else ["seen"]
        mark = "  " if verdict[0] in expected else "!!"
        if mark == "!!":
            wrong.append(mutant["name"])
        if "unseen" in mutant and verdict[0] == "passed":
            verdict = ["not seen", mutant["unseen"]]
        print(f"{mark} {verdict[0]:<9} {mutant['name']}: {verdict[1]} ({time.monotonic() - began:.0f} s)", flush=True)
        if not mutant["edits"] and wrong:
            sys.exit("error: the kit fails without any bug")
    print(f"{len(chosen) - len(wrong)} of {len(chosen)} as expected")
    if wrong:
        sys.exit("error: not as expected: " + "; ".join(wrong))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", type=Path, required=True, help="the target folder")
    parser.add_argument("--kit", type=Path, required=True, help="the built proof kit")
    parser.add_argument("--application", type=Path, required=True, help="the built pam-application")
    parser.add_argument("--check", action="store_true", help="alone: only see whether every edit still fits the sources")
    parser.add_argument("--all-trials", action="store_true", help="go on after the first trial that fails")
    parser.add_argument("words", nargs="*", help="only mutants with one of these in their name")
    return parser.parse_args()


def check(mutants):
    """Every edit still fits: a list that has rotted proves nothing."""
    rotten = []
    for mutant in mutants:
        texts = {}
        for file, old, new in mutant["edits"]:
            text = texts.setdefault(file, (REPOSITORY / file).read_text())
            if text.count(old) != 1 or old == new:
                rotten.append(f"{mutant['name']}: {file} has this {text.count(old)} times: {old.strip()}")
                continue
            texts[file] = text.replace(old, new)
    if rotten:
        sys.exit("error: these edits fit no more, see tests/proof/mutants/list.toml\n" + "\n".join(rotten))


def try_one(mutant, tree, target, options):
    before = {file: (tree / file).read_bytes() for file, _, _ in mutant["edits"]}
    try:
        for file, old, new in mutant["edits"]:
            write(tree / file, (tree / file).read_text().replace(old, new).encode())
        return build_and_run(tree, target, options)
    finally:
        for file, content in before.items():
            write(tree / file, content)


def build_and_run(tree, target, options):
    packages = [word for program in PROGRAMS for word in ("-p", program)]
    # Built again for every bug, and never looked at with a debugger.
    quick = {"CARGO_PROFILE_DEV_DEBUG": "0", "CARGO_TARGET_DIR": str(target)}
    built = subprocess.run(
        [os.environ.get("CARGO", "cargo"), "build", "--locked", "--quiet", "--target-dir", target, *packages],
        cwd=tree, capture_output=True, text=True, env={**os.environ, **quick},
    )
    if built.returncode != 0:
        return ["no build", built.stderr.strip()[-2000:]]
    words = [] if options.all_trials else ["--stop-at-failure"]
    return run_kit(options.kit, options.application, target / "debug", target.parent, words)


main()
