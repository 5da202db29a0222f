"""Changes the code that decides a login, one small change at a time, and expects a test to fail each time.

First cargo-mutants with the tests next to the code. What survives is tried on logins through the real libpam (tests/pam), with the
built module. What survives that as well has to stand in docs/mutation.md, with the reason.

Usage: scripts/mutants.py TARGET-FOLDER [--regex RE]
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from sources import REPOSITORY, copy_sources

PACKAGES = ["mfa-core", "pam-mfa"]
CARGO = os.environ.get("CARGO", "cargo")


def main():
    target, words = Path(sys.argv[1]).resolve() / "mutants", sys.argv[2:]
    tree = target / "tree"
    copy_sources(tree)
    environment = {**os.environ, "CARGO_TARGET_DIR": str(target / "target"), "CARGO_PROFILE_DEV_DEBUG": "0"}
    survivors = []
    for package in PACKAGES:
        survivors += survivors_of_the_tests_beside(package, tree, target, environment, words)
    survivors = [mutant for mutant in survivors if survives_logins(mutant, tree, environment)]
    explained = explained_in((REPOSITORY / "docs/mutation.md").read_text())
    unexplained = [mutant["name"] for mutant in survivors if without_place(mutant["name"]) not in explained]
    for mutant in survivors:
        print(f"survives: {mutant['name']}")
    if unexplained:
        sys.exit("error: no test sees these, and docs/mutation.md does not say why:\n  " + "\n  ".join(unexplained))
    print(f"{len(survivors)} survive, each for a reason in docs/mutation.md")


def survivors_of_the_tests_beside(package, tree, target, environment, words):
    output = target / package
    shutil.rmtree(output, ignore_errors=True)
    command = [CARGO, "mutants", "--in-place", "--no-shuffle", "--package", package, "--output", output]
    ended = subprocess.run([*command, *words], cwd=tree, env=environment).returncode
    # 2: some survived; 3: some ran out of time, which is seen too.
    if ended not in (0, 2, 3):
        sys.exit(f"error: cargo mutants ended with {ended}")
    outcomes = json.loads((output / "mutants.out/outcomes.json").read_text())["outcomes"]
    return [
        {
            "name": outcome["scenario"]["Mutant"]["name"],
            "file": outcome["scenario"]["Mutant"]["file"],
            "diff": output / "mutants.out" / outcome["diff_path"],
        }
        for outcome in outcomes
        if outcome["summary"] == "MissedMutant"
    ]


def survives_logins(mutant, tree, environment):
    """Builds the programs and the module with this change, and runs the tests that log in."""
    patch(tree, mutant)
    try:
        build = [CARGO, "build", "--locked", "--quiet", "-p", "pam-mfa", "-p", "mfa-enroll", "-p", "mfa-pam-tests"]
        subprocess.run(build, cwd=tree, env=environment, check=True)
        test = [CARGO, "test", "--locked", "--quiet", "-p", "mfa-pam-tests", "--", "--skip", "panic"]
        ran = subprocess.run(test, cwd=tree, env=environment, stdin=subprocess.DEVNULL, capture_output=True)
        print(f"{'survives' if ran.returncode == 0 else 'seen by'} logins: {mutant['name']}", flush=True)
        return ran.returncode == 0
    finally:
        patch(tree, mutant, "--reverse")


def patch(tree, mutant, *words):
    subprocess.run(["patch", "--quiet", *words, mutant["file"], mutant["diff"]], cwd=tree, check=True)


def without_place(name):
    """`core/src/verify.rs:1:2: replace < with > in find` without its line and column, which move."""
    return re.sub(r"^([^:]+):\d+:\d+: ", r"\1: ", name)


def explained_in(page):
    return set(re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE))


main()
