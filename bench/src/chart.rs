//! The same as a picture: an SVG of four panels.

use std::fmt::Write;

use crate::Measurements;
use crate::crowd::Worker;
use crate::latency::Run;
use crate::login::Kind;
use crate::modules::Module;
use crate::statistics::authenticate;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 640.0;

/// Those who are compared, with their colours: told apart by people who see no red or no green too.
const PEERS: [(Module, &str); 3] =
    [(Module::GoogleAuthenticator, "#e69f00"), (Module::Oath, "#56b4e9"), (Module::Mfa, "#00795c")];
const LIMIT: &str = "#444";

/// The picture.
pub(crate) fn svg(measured: &Measurements) -> String {
    let mut picture = Picture::new();
    bars(&mut picture, (20.0, 20.0), &measured.disk, "On disk: a login above pam_permit, microseconds");
    bars(&mut picture, (500.0, 20.0), &measured.tmpfs, "On tmpfs: a login above pam_permit, microseconds");
    crowds(&mut picture, (20.0, 330.0), measured);
    sizes(&mut picture, (500.0, 330.0), measured);
    picture.end()
}

const PANEL_WIDTH: f64 = 440.0;

/// Accepted and refused logins of each module. A bar that is far longer than the others is cut and says so.
fn bars(picture: &mut Picture, (x, y): (f64, f64), run: &Run, title: &str) {
    picture.text((x, y + 16.0), Anchor::Start, 15, "#000", title);
    let limit = run.limit.median();
    let accepted = PEERS.map(|(module, _)| run.above_permit(module, Kind::Accepted)).into_iter();
    let ours = run.above_permit(Module::Mfa, Kind::Refused);
    let most = accepted.chain([limit, ours]).fold(0.0, f64::max) * 1.25;
    let (left, length) = (x + 90.0, PANEL_WIDTH - 150.0);
    let wide = |value: f64| (value.max(0.0) / most).min(1.0) * length;
    let mut top = y + 34.0;
    for kind in Kind::BOTH {
        picture.text((x, top + 36.0), Anchor::Start, 13, "#000", kind.name());
        for (module, colour) in PEERS {
            let value = run.above_permit(module, kind);
            picture.rectangle((left, top), (wide(value), 22.0), colour);
            let cut = if value > most { " (cut)" } else { "" };
            let label = format!("{value:.0}{cut}");
            picture.text((left + wide(value) + 5.0, top + 16.0), Anchor::Start, 12, "#000", &label);
            top += 26.0;
        }
        top += 20.0;
    }
    let at = left + wide(limit);
    picture.line((at, y + 28.0), (at, top - 12.0), LIMIT, Stroke::Dashed);
    let label = format!("the limit, one write + fdatasync: {limit:.0}");
    picture.text((at.min(left + length * 0.45), top + 4.0), Anchor::Start, 12, LIMIT, &label);
    let mut from = x;
    for (module, colour) in PEERS {
        picture.rectangle((from, top + 20.0), (12.0, 12.0), colour);
        picture.text((from + 17.0, top + 31.0), Anchor::Start, 12, "#000", module.name());
        from += if module == Module::GoogleAuthenticator { 210.0 } else { 110.0 };
    }
}

fn crowds(picture: &mut Picture, at: (f64, f64), measured: &Measurements) {
    let lines: Vec<Line> = Worker::ALL
        .iter()
        .map(|worker| {
            let of = measured.crowds.iter().filter(|crowd| crowd.worker == *worker);
            let colour = PEERS.iter().find(|(module, _)| *worker == Worker::Module(*module));
            Line {
                name: worker.name(),
                colour: colour.map_or(LIMIT, |(_, colour)| colour),
                points: of.map(|crowd| (f64::from(crowd.processes), crowd.per_second)).collect(),
            }
        })
        .collect();
    plot(picture, at, "Logins a second on disk, by the number of processes", &lines);
}

fn sizes(picture: &mut Picture, at: (f64, f64), measured: &Measurements) {
    let of_ours = |size: &crate::scale::Size| (f64::from(size.users), authenticate(&size.accepted).median());
    let points = measured.scale.iter().map(of_ours).collect();
    let lines = [Line { name: "pam_mfa", colour: "#00795c", points }];
    plot(picture, at, "pam_authenticate on disk, microseconds, by the number of users", &lines);
}

struct Line {
    name: &'static str,
    colour: &'static str,
    points: Vec<(f64, f64)>,
}

/// Lines over a logarithmic axis, from zero up.
fn plot(picture: &mut Picture, (x, y): (f64, f64), title: &str, lines: &[Line]) {
    picture.text((x, y + 16.0), Anchor::Start, 15, "#000", title);
    let (left, top, width, height) = (x + 60.0, y + 34.0, PANEL_WIDTH - 80.0, 200.0);
    let points = || lines.iter().flat_map(|line| line.points.iter().copied());
    let most = round_up(points().map(|(_, value)| value).fold(0.0, f64::max));
    let (first, last) = points().fold((f64::INFINITY, 0.0_f64), |(a, b), (at, _)| (a.min(at), b.max(at)));
    let across = |at: f64| left + (at / first).ln() / (last / first).ln() * width;
    let up = |value: f64| top + height - value / most * height;
    for quarter in 0..=4 {
        let value = most * f64::from(quarter) / 4.0;
        picture.line((left, up(value)), (left + width, up(value)), "#ddd", Stroke::Plain);
        picture.text((left - 6.0, up(value) + 4.0), Anchor::End, 12, "#000", &format!("{value:.0}"));
    }
    for (at, _) in lines.first().into_iter().flat_map(|line| &line.points) {
        picture.text((across(*at), top + height + 18.0), Anchor::Middle, 12, "#000", &format!("{at:.0}"));
    }
    let mut from = left;
    for line in lines {
        let path: Vec<(f64, f64)> = line.points.iter().map(|(at, value)| (across(*at), up(*value))).collect();
        picture.path(&path, line.colour, if line.colour == LIMIT { Stroke::Dashed } else { Stroke::Plain });
        picture.rectangle((from, top + height + 30.0), (12.0, 12.0), line.colour);
        picture.text((from + 16.0, top + height + 40.0), Anchor::Start, 11, "#000", line.name);
        from += 26.0 + 6.2 * f64::from(u8::try_from(line.name.len()).unwrap_or(u8::MAX));
    }
}

/// To a number that divides by four nicely.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(1.0).log10().floor());
    let steps = [1.0, 1.2, 1.6, 2.0, 2.4, 3.2, 4.0, 6.0, 8.0, 10.0];
    let found = steps.into_iter().map(|step| step * power).find(|step| *step >= value);
    found.unwrap_or(10.0 * power)
}

#[derive(Clone, Copy)]
enum Anchor {
    Start,
    Middle,
    End,
}

#[derive(Clone, Copy)]
enum Stroke {
    Plain,
    Dashed,
}

struct Picture(String);

impl Picture {
    fn new() -> Self {
        let head = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
             font-family=\"sans-serif\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n"
        );
        Self(head)
    }

    fn rectangle(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), colour: &str) {
        self.add(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{colour}\"/>"
        ));
    }

    fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: &str, stroke: Stroke) {
        self.path(&[from, to], colour, stroke);
    }

    fn path(&mut self, points: &[(f64, f64)], colour: &str, stroke: Stroke) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let dashes = match stroke {
            Stroke::Plain => "",
            Stroke::Dashed => " stroke-dasharray=\"5 4\"",
        };
        let points = points.join(" ");
        self.add(format_args!(
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dashes}/>"
        ));
    }

    fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, size: u8, colour: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        self.add(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" fill=\"{colour}\" text-anchor=\"{anchor}\">{text}</text>"
        ));
    }

    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{element}").expect("a string takes all");
    }

    fn end(mut self) -> String {
        self.0.push_str("</svg>\n");
        self.0
    }
}
