"""Tests of assurance.py: what it must notice. Run by lint.sh; by hand: python3 -m unittest discover scripts"""

import pathlib
import tempfile
import unittest

import assurance

COUNTS = "Of 1 rows 1 are met, 0 in part, 0 are not met, and 0 do not apply."
TEST = """
    #[test]
    fn a_code_works_once() {
        let no_test = 1;
    }

    fn a_helper() {}

    #[test]
    #[expect(
        clippy::unwrap_used,
        reason = "a test"
    )]
    /// Whatever is said about it.
    fn a_code_with_attributes() {}

    #[test]
    const NO_TEST: u8 = 0;
    fn a_later_helper() {}
"""


class Page(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        root = pathlib.Path(folder.name)
        for name, text in {
            "core/src/verify.rs": TEST,
            "core/src/store/mod.rs": "    #[test]\n    fn in_a_folder() {}\n",
            "tests/pam/tests/login/one_time.rs": TEST,
            "tests/proof/src/main.rs": '    Trial("one-code-at-once", "one code", once::one, 1, 1),\n',
            "docs/proof.md": "",
            "Makefile": "proof: setup\n",
            "scripts/lint.sh": "checks=(format module-binary)\n",
        }.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.repository = assurance.Repository(root)

    def problems(self, *rows, counts=COUNTS):
        return assurance.check("\n".join([counts, *rows]), self.repository)[0]

    def row(self, how, state="met"):
        return self.problems(f"| R-01 | a code works once | {state} | {how} |")

    def test_what_is_there_may_be_named(self):
        for how in [
            "`core/verify::a_code_works_once`",
            "`core/verify::a_code_with_attributes`",
            "`core/store::in_a_folder`",
            "`pam/one_time::a_code_works_once`",
            "`proof/one-code-at-once` beside `Refusal::Replayed(..)`, `x = 1` and `/etc/pam-mfa/key`",
            "`make proof`",
            "`scripts/lint.sh module-binary`",
            "[the kit](proof.md#counts)",
            "`docs/proof.md`",
        ]:
            self.assertEqual(self.row(how), [], how)

    def test_what_is_not_there_may_not(self):
        for how in [
            "`core/verify::a_code_works_twice`",
            "`core/verify::a_helper`",
            "`core/verify::a_later_helper`",
            "`core/once::a_code_works_once`",
            "`cli/verify::a_code_works_once`",
            "`verify::a_code_works_once`",
            "`proof/two-codes-at-once`",
            "`make coffee`",
            "`scripts/lint.sh coffee`",
            "[the kit](proofs.md)",
            "`docs/proofs.md`",
        ]:
            self.assertEqual(len(self.row(f"`make proof` and {how}")), 1, how)

    def test_names_outside_of_tables_count_too(self):
        self.assertEqual(len(self.problems("| R-01 | a | met | `make proof` |", "See `docs/proofs.md`.")), 1)

    def test_a_row_that_is_met_names_what_shows_it(self):
        self.assertIn("names nothing", self.row("by care")[0])
        self.assertIn("names nothing", self.row("by `care`")[0])

    def test_a_row_that_is_not_met_may_name_nothing(self):
        counts = "Of 1 rows 0 are met, 0 in part, 1 are not met, and 0 do not apply."
        self.assertEqual(self.problems("| R-01 | a | not met | later |", counts=counts), [])

    def test_another_state_is_none(self):
        self.assertIn("'mostly'", self.row("`make proof`", "mostly")[0])

    def test_a_row_has_four_columns(self):
        self.assertIn("four columns", self.problems("| R-01 | a | `make proof` |")[0])
        self.assertIn("four columns", self.problems("| R-1 | a | met | `make proof` |")[0])

    def test_ids_have_no_gaps_and_stand_there_once(self):
        row = "| %s | a | met | `make proof` |"
        counts = "Of 2 rows 2 are met, 0 in part, 0 are not met, and 0 do not apply."
        for first, second, count in [
            ("R-01", "R-02", 0),
            ("1a", "1b", 0),
            ("R-01", "N-01", 0),
            ("R-01", "R-03", 1),
            ("R-01", "R-01", 1),
            ("1a", "1c", 1),
            ("1a", "2b", 1),
        ]:
            found = self.problems(row % first, row % second, counts=counts)
            self.assertEqual(len(found), count, (first, second, found))
        self.assertEqual(len(self.problems(row % "R-02")), 1)

    def test_the_counts_are_true(self):
        self.assertIn("0 in part", self.problems("| R-01 | a | in part | `make proof` |")[0])
        self.assertIn("missing", self.problems("| R-01 | a | met | `make proof` |", counts="")[0])


if __name__ == "__main__":
    unittest.main()
