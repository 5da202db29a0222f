//! Puts the changes of one file behind their switches.

use proc_macro2::LineColumn;
use syn::spanned::Spanned as _;
use syn::visit_mut::{self, VisitMut};
use syn::{
    Arm, BinOp, Block, Expr, ExprBinary, ExprUnary, ImplItemConst, ImplItemFn, ItemConst, ItemFn, Signature,
    Stmt, TraitItemFn, parse_quote, parse_str,
};

use crate::{Change, Genre, Place};

/// The changes of one file, and which of them are built in so far.
pub(crate) struct Switches<'a> {
    changes: Vec<(usize, &'a Change)>,
    built: Vec<usize>,
}

impl<'a> Switches<'a> {
    /// All of one file, each with its number.
    pub(crate) fn new(changes: Vec<(usize, &'a Change)>) -> Self {
        Self { changes, built: Vec::new() }
    }

    /// Rewrites the file, and returns the numbers of what was built in.
    pub(crate) fn build_into(mut self, file: &mut syn::File) -> Vec<usize> {
        self.visit_file_mut(file);
        self.built
    }

    /// The changes of this genre that cargo-mutants would make at this place: number, condition of the switch, new text.
    fn at(&self, genre: Genre, start: LineColumn) -> Vec<(usize, Expr, &'a str)> {
        let place = Place { line: start.line, column: start.column.saturating_add(1) };
        let here =
            self.changes.iter().filter(|(_, change)| change.genre == genre && change.span.start == place);
        here.map(|(number, change)| (*number, is_on(*number, change), change.replacement.as_str())).collect()
    }

    /// `{ if on(7) { return 0; } .. }`
    fn switch_value(&mut self, block: &mut Block, start: Option<LineColumn>) {
        let Some(start) = start else { return };
        for (number, on, text) in self.at(Genre::FnValue, start) {
            let Ok(value) = parse_str::<Expr>(text) else { continue };
            block.stmts.insert(0, parse_quote! { if #on { return #value; } });
            self.built.push(number);
        }
    }

    fn switch_function(&mut self, signature: &mut Signature, block: &mut Block) {
        let start = block.stmts.first().map(|statement: &Stmt| statement.span().start());
        let before = self.built.len();
        visit_mut::visit_block_mut(self, block);
        self.switch_value(block, start);
        if self.built.len() > before {
            // A switch is thrown at run time.
            signature.constness = None;
        }
    }

    /// `(if on(7) { a <= b } else { a < b })`
    fn switched_binary(&mut self, binary: &ExprBinary, start: LineColumn) -> Option<Expr> {
        if has_let(&binary.left) || has_let(&binary.right) {
            return None;
        }
        let mut expression = Expr::Binary(binary.clone());
        let mut found = false;
        for (number, on, text) in self.at(Genre::BinaryOperator, start) {
            let Ok(operator) = parse_str::<BinOp>(text) else { continue };
            let (left, right) = (&binary.left, &binary.right);
            expression = parse_quote! { (if #on { #left #operator #right } else { #expression }) };
            self.built.push(number);
            found = true;
        }
        found.then_some(expression)
    }

    /// `(if on(7) { a } else { !a })`
    fn switched_unary(&mut self, unary: &ExprUnary, start: LineColumn) -> Option<Expr> {
        let (number, on, _) = self.at(Genre::UnaryOperator, start).pop()?;
        let operand = &unary.expr;
        self.built.push(number);
        Some(parse_quote! { (if #on { #operand } else { #unary }) })
    }
}

impl VisitMut for Switches<'_> {
    // The compiler computes these.
    fn visit_item_const_mut(&mut self, _: &mut ItemConst) {}
    fn visit_impl_item_const_mut(&mut self, _: &mut ImplItemConst) {}

    fn visit_item_fn_mut(&mut self, function: &mut ItemFn) {
        self.switch_function(&mut function.sig, &mut function.block);
    }

    fn visit_impl_item_fn_mut(&mut self, function: &mut ImplItemFn) {
        self.switch_function(&mut function.sig, &mut function.block);
    }

    fn visit_trait_item_fn_mut(&mut self, function: &mut TraitItemFn) {
        if let Some(block) = &mut function.default {
            self.switch_function(&mut function.sig, block);
        }
    }

    fn visit_expr_mut(&mut self, expression: &mut Expr) {
        // Before what is inside is rewritten: what is rewritten has no place.
        let Some(start) = operator_place(expression) else {
            return visit_mut::visit_expr_mut(self, expression);
        };
        visit_mut::visit_expr_mut(self, expression);
        let switched = if let Expr::Binary(binary) = &*expression {
            self.switched_binary(binary, start)
        } else if let Expr::Unary(unary) = &*expression {
            self.switched_unary(unary, start)
        } else {
            None
        };
        if let Some(switched) = switched {
            *expression = switched;
        }
    }

    /// `pattern if !on(7) && (guard) => ..` for an arm that is taken away.
    fn visit_arm_mut(&mut self, arm: &mut Arm) {
        let arm_start = arm.span().start();
        let guard_start = arm.guard.as_ref().map(|(_, guard)| guard.span().start());
        visit_mut::visit_arm_mut(self, arm);
        if let (Some(start), Some((_, guard))) = (guard_start, &mut arm.guard)
            && !has_let(guard)
        {
            for (number, on, text) in self.at(Genre::MatchArmGuard, start) {
                **guard = match text {
                    "true" => parse_quote! { (#on || #guard) },
                    "false" => parse_quote! { (!#on && #guard) },
                    _ => continue,
                };
                self.built.push(number);
            }
        }
        if arm.guard.as_ref().is_some_and(|(_, guard)| has_let(guard)) {
            return;
        }
        for (number, on, _) in self.at(Genre::MatchArm, arm_start) {
            let condition: Expr = match &arm.guard {
                Some((_, guard)) => parse_quote! { !#on && #guard },
                None => parse_quote! { !#on },
            };
            arm.guard = Some((parse_quote! { if }, Box::new(condition)));
            self.built.push(number);
        }
    }
}

fn is_on(number: usize, change: &Change) -> Expr {
    let number = syn::LitInt::new(&number.to_string(), proc_macro2::Span::call_site());
    if change.package == "mfa-core" {
        parse_quote! { crate::switches::on(#number) }
    } else {
        parse_quote! { mfa_core::switches::on(#number) }
    }
}

fn operator_place(expression: &Expr) -> Option<LineColumn> {
    if let Expr::Binary(binary) = expression {
        Some(binary.op.span().start())
    } else if let Expr::Unary(unary) = expression {
        Some(unary.op.span().start())
    } else {
        None
    }
}

/// Whether this is part of `a && let b = c`, which can't stand in braces.
fn has_let(expression: &Expr) -> bool {
    if let Expr::Binary(ExprBinary { op: BinOp::And(_), left, right, .. }) = expression {
        has_let(left) || has_let(right)
    } else {
        matches!(expression, Expr::Let(_))
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::Span;

    fn change(genre: Genre, place: (usize, usize), replacement: &str) -> Change {
        Change {
            file: PathBuf::from("lib.rs"),
            package: "mfa-core".to_owned(),
            genre,
            replacement: replacement.to_owned(),
            span: Span { start: Place { line: place.0, column: place.1 } },
        }
    }

    /// The file with these changes behind their switches, and the numbers of those that are.
    fn switched(source: &str, changes: &[Change]) -> (String, Vec<usize>) {
        let mut file = syn::parse_file(source).unwrap();
        let built = Switches::new(changes.iter().enumerate().collect()).build_into(&mut file);
        (prettyplease::unparse(&file), built)
    }

    #[test]
    fn operators_and_the_value_of_a_function_are_chosen_at_run_time() {
        let (text, built) = switched(
            "const fn f(a: u8, b: u8) -> bool {\n    !(a < b)\n}\n",
            &[
                change(Genre::BinaryOperator, (2, 9), "<="),
                change(Genre::UnaryOperator, (2, 5), ""),
                change(Genre::FnValue, (2, 5), "true"),
                change(Genre::BinaryOperator, (2, 1), "<="),
            ],
        );
        assert_eq!(built, [0, 1, 2], "there is no operator at the last one's place");
        let on = |number| format!("crate::switches::on({number})");
        assert!(text.starts_with("fn f(a: u8, b: u8) -> bool {"), "{text}");
        for part in [
            format!("if {} {{\n        return true;", on(2)),
            format!("if {} {{ a <= b }} else {{ a < b }}", on(0)),
        ] {
            assert!(text.contains(&part), "{part}\n{text}");
        }
        assert_eq!(text.matches(&on(0)).count(), 2, "with the other operator, and without: {text}");
    }

    #[test]
    fn arms_go_and_guards_are_what_they_are_told() {
        let source = "fn f(a: u8) -> u8 {\n    match a {\n        1 => 2,\n        b if b > 9 => 3,\n        _ => 4,\n    }\n}\n";
        let changes = [
            change(Genre::MatchArm, (3, 9), ""),
            change(Genre::MatchArmGuard, (4, 14), "true"),
            change(Genre::MatchArmGuard, (4, 14), "false"),
        ];
        let (text, built) = switched(source, &changes);
        assert_eq!(built, [0, 1, 2]);
        let on = |number| format!("crate::switches::on({number})");
        assert!(text.contains(&format!("1 if !{} => 2,", on(0))), "{text}");
        assert!(text.contains(&format!("b if (!{} && ({} || b > 9)) => 3,", on(2), on(1))), "{text}");
    }

    #[test]
    fn what_the_compiler_computes_and_what_goes_with_a_let_stays_as_it_is() {
        let source = "const A: u8 = 2 * 3;\nfn f(a: Option<u8>) -> bool {\n    if A > 1 && let Some(b) = a { b > 2 } else { false }\n}\n";
        let changes =
            [change(Genre::BinaryOperator, (1, 17), "+"), change(Genre::BinaryOperator, (3, 14), "||")];
        let (text, built) = switched(source, &changes);
        assert!(built.is_empty() && text.contains("2 * 3") && text.contains("A > 1 && let"), "{text}");
    }
}
