//! Prints the site's plan as SVG: `cargo run -p simulator --example plan > plan.svg`.

use domain::site::{LandmarkKind, Point, SensorKind};

fn outline(points: &[Point], close: bool) -> String {
    let mut d = String::new();
    for (i, p) in points.iter().enumerate() {
        d.push_str(&format!("{}{:.1} {:.1}", if i == 0 { "M" } else { "L" }, p.x, p.y));
    }
    if close {
        d.push('Z');
    }
    d
}

fn main() {
    let numbers = std::env::args().any(|a| a == "--numbers");
    let site = site::built_in();
    let (w, h) = (site.extent.x, site.extent.y);
    println!(r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" width="{w}" height="{h}">"#);
    println!(r##"<rect width="{w}" height="{h}" fill="#14191f"/><g stroke-linejoin="round" stroke-linecap="round">"##);
    for c in &site.communities {
        println!(r##"<path d="{}" fill="#161c22"/>"##, outline(&c.outline, true));
    }
    for g in &site.grids {
        let d = outline(&g.outline, true);
        println!(r##"<path d="{d}" fill="none" stroke="#3b4650" stroke-width="1" stroke-dasharray="2 4"/>"##);
    }
    for l in site.landmarks.iter().filter(|l| !l.outline.is_empty()) {
        println!(r##"<path d="{}" fill="#1b2329"/>"##, outline(&l.outline, true));
    }
    for p in site.paths.iter().rev() {
        let d = outline(&p.line, false);
        println!(r##"<path d="{d}" fill="none" stroke="#262f37" stroke-width="{}"/>"##, p.width);
    }
    for b in &site.buildings {
        let d = outline(&b.outline, true);
        println!(r##"<path d="{d}" fill="#232b33" stroke="#5f6d76" stroke-width="1.3"/>"##);
    }
    for c in &site.cameras {
        let (x, y, turn) = (c.at.x, c.at.y, c.heading);
        println!(
            r##"<path d="M0 -6L4.6 4Q0 6 -4.6 4Z" fill="#5b6b73" transform="translate({x:.1} {y:.1}) rotate({turn})"/>"##
        );
    }
    for b in &site.buildings {
        println!(r##"<circle cx="{:.1}" cy="{:.1}" r="4.6" fill="#2f8f83"/>"##, b.center.x, b.center.y);
        if numbers {
            println!(
                r##"<text x="{:.1}" y="{:.1}" fill="#abb7be" font-size="11">{}</text>"##,
                b.center.x + 7.0,
                b.center.y + 4.0,
                b.number
            );
        }
    }
    let text = |p: Point, s: &str, size: u8| {
        println!(
            r##"<text x="{:.1}" y="{:.1}" fill="#abb7be" stroke="#14191f" stroke-width="4" paint-order="stroke" font-size="{size}" text-anchor="middle" font-family="Noto Sans SC, Noto Sans CJK SC">{s}</text>"##,
            p.x,
            p.y + 8.0
        );
    };
    for c in &site.communities {
        text(c.label, &c.name.zh, 24);
    }
    for l in site.landmarks.iter().filter(|l| matches!(l.kind, LandmarkKind::Square | LandmarkKind::School)) {
        text(l.center, &l.name.zh, 24);
    }
    println!("</g></svg>");
    let smoke = site.sensors.iter().filter(|s| s.kind == SensorKind::Smoke).count();
    eprintln!("{} cameras, {} sensors ({smoke} smoke)", site.cameras.len(), site.sensors.len());
}
