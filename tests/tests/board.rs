//! The board page in a real browser: what it shows, and that it shows it without a reload.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail the test by panicking")]

use std::process::Command;

use serde_json::{Value, json};
use takt_tests::server::steady_address;
use takt_tests::{Browser, Server, Window, binary, repository, tools};

const AXE: &str = "third_party/axe-core/axe.min.js";
const SHA256: &str = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c";

/// A demo that stands still, at an address to which it can come back.
fn demo(data: &tempfile::TempDir) -> Server {
    let mut command = Command::new("sh");
    command
        .args(["-c", "shift; exec \"$0\" dev \"$@\" --demo --demo-every 0s"])
        .arg(binary::takt());
    Server::start_as(command, data.path(), &steady_address()).unwrap()
}

fn open(browser: &std::sync::Arc<Browser>, server: &Server) -> Window {
    let window = browser.window();
    window.go(&format!("{}/?stream=demo", server.url.trim_end_matches('/')));
    window.wait("document.getElementById('status').dataset.state === 'live'");
    window
}

/// Whether a card is in a column and nowhere else, as an expression in the page.
fn is_in(card: &str, column: &str) -> String {
    format!(
        "(() => {{ const all = document.querySelectorAll('[data-card=\"{card}\"]');
           return all.length === 1 && all[0].closest('[data-column]').dataset.column === '{column}';
         }})()"
    )
}

fn assert_no_errors(window: &Window) {
    assert_eq!(window.errors(), Vec::<String>::new());
}

#[test]
fn the_demo_shows_its_columns_with_their_limits_and_what_stops_the_line() {
    let (data, browser) = (tempfile::tempdir().unwrap(), Browser::shared());
    let server = demo(&data);
    let window = open(&browser, &server);
    let heads = window.eval(
        "[...document.querySelectorAll('[data-column]')].map((it) => [it.dataset.column,
           it.querySelector('.load').innerText.replace(/\\s+/g, ' ').trim(),
           it.querySelectorAll('[data-card]').length])",
    );
    let expected = json!([
        ["Ideas", "7 no limit", 7],
        ["Ready", "4 of 6 ○ under limit", 4],
        ["In progress", "4 of 4 ● at limit", 4],
        ["Review", "4 of 3 ▲ over limit", 4],
        ["Test", "3 of 4 ○ under limit", 3],
        ["Ready to ship", "2 of 5 ○ under limit", 2],
        ["Done", "36 finished newest 10", 10],
    ]);
    assert_eq!(heads, expected);
    let alerts = window.eval(
        "[...document.querySelectorAll('#andon .alert')].map((it) =>
           it.querySelector('.effect').innerText.trim())",
    );
    assert_eq!(alerts, json!(["■ Line stopped", "▲ Warning", "▲ Warning"]));
    let title = window.eval("document.title");
    assert_eq!(title, "■ Line stopped · Web shop · Takt");
    assert_no_errors(&window);
}

#[test]
fn a_move_shows_in_two_open_windows_without_a_reload() {
    let (data, browser) = (tempfile::tempdir().unwrap(), Browser::shared());
    let server = demo(&data);
    let windows = [open(&browser, &server), open(&browser, &server)];
    for window in &windows {
        window.wait(&is_in("SHOP-151", "Ready"));
        let _ = window.eval("window.neverReloaded = true");
    }
    server.ok(&["card", "move", "--stream", "demo", "SHOP-151", "Ideas"]);
    for window in &windows {
        window.wait(&is_in("SHOP-151", "Ideas"));
        window
            .wait("document.querySelector('[data-column=Ready] .load').innerText.startsWith('3')");
        window
            .wait("document.querySelector('[data-column=Ideas] .load').innerText.startsWith('8')");
        assert_eq!(window.eval("document.getElementById('live').textContent.length > 0"), true);
        assert_eq!(window.eval("window.neverReloaded"), true);
        assert_no_errors(window);
    }
}

#[test]
fn a_page_that_lost_its_server_says_so_and_catches_up_when_it_is_back() {
    let (data, browser) = (tempfile::tempdir().unwrap(), Browser::shared());
    let mut server = demo(&data);
    let window = open(&browser, &server);
    let _ = window.eval("window.neverReloaded = true");
    let state = "document.getElementById('status').dataset.state";
    server.kill();
    window.wait(&format!("{state} === 'away'"));
    // The address is not the page's yet, so it cannot see how this comes about.
    let elsewhere = Server::start(data.path());
    elsewhere.ok(&["card", "move", "--stream", "demo", "SHOP-152", "Ideas"]);
    elsewhere.ok(&["card", "add", "--stream", "demo", "Added meanwhile"]);
    drop(elsewhere);
    let _back = Server::start_on(data.path(), &server.address());
    window.wait(&format!("{state} === 'live'"));
    window.wait(&is_in("SHOP-152", "Ideas"));
    window.wait("document.body.innerText.includes('Added meanwhile')");
    assert_eq!(window.eval("window.neverReloaded"), true);
    // What the browser itself says about a server that is away is no fault of the page.
    let of_the_page = |it: &String| !it.contains("\"source\":\"network\"");
    let errors: Vec<String> = window.errors().into_iter().filter(of_the_page).collect();
    assert_eq!(errors, Vec::<String>::new());
}

/// The contrast of every text in the page with what is behind it, where it is below 4.5 to 1.
const FAINT: &str = "(() => {
  const parse = (color) => (color.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((it) => it / 255)
    .map((it) => it <= 0.04045 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4)
    .reduce((sum, it, at) => sum + it * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (it) => {
    for (; it; it = it.parentElement) {
      const color = parse(getComputedStyle(it).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), faint = [];
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    const it = text.parentElement;
    if (!text.data.trim() || !it.getClientRects().length) continue;
    const [a, b] = [light(parse(getComputedStyle(it).color)), light(behind(it))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) faint.push(text.data.trim() + ' ' + contrast.toFixed(2));
  }
  return faint;
})()";

#[test]
fn dark_and_light_differ_can_be_read_and_fit_a_phone() {
    let (data, browser) = (tempfile::tempdir().unwrap(), Browser::shared());
    let server = demo(&data);
    let window = open(&browser, &server);
    let colours = "['body', '.column', '.card', '.alert.stop', '.alert.warn'].map((it) => {
        const style = getComputedStyle(document.querySelector(it));
        return [style.backgroundColor, style.color];
      })";
    let mut seen: Vec<Value> = vec![];
    for scheme in ["light", "dark"] {
        window.scheme(scheme);
        seen.push(window.eval(colours));
        assert_eq!(window.eval(FAINT), json!([]), "{scheme}");
        for (width, height) in [(1440, 900), (768, 1024), (390, 844), (320, 640)] {
            window.resize(width, height);
            window.wait(&format!("document.documentElement.clientWidth === {width}"));
            let shown = window.eval("[document.documentElement.scrollWidth, innerWidth]");
            assert_eq!(shown, json!([width, width]), "wider than the window, {scheme}");
        }
        window.resize(1440, 900);
    }
    let pairs = seen[0].as_array().unwrap().iter().zip(seen[1].as_array().unwrap());
    for (light, dark) in pairs {
        assert!(light[0] != dark[0] && light[1] != dark[1], "{light} {dark}");
    }
    assert_no_errors(&window);
}

#[test]
fn axe_finds_nothing_that_keeps_anybody_out() {
    let file = repository().join(AXE);
    let sum = Command::new("sha256sum").arg(&file).output().unwrap().stdout;
    assert!(sum.starts_with(SHA256.as_bytes()), "`{AXE}` is not the file it was");
    let (data, browser) = (tempfile::tempdir().unwrap(), Browser::shared());
    let server = demo(&data);
    let window = open(&browser, &server);
    let axe = std::fs::read_to_string(file).unwrap();
    let _ = window.eval(&format!("(() => {{ {axe}\n }})()"));
    let found = "axe.run().then(({ passes, violations }) => ({
        passes: passes.length,
        violations: violations.map((it) => [it.id, it.help, it.nodes.map((node) => node.html)]),
      }))";
    for (scheme, width) in [("light", 1440), ("dark", 1440), ("light", 390), ("dark", 390)] {
        window.scheme(scheme);
        window.resize(width, 900);
        window.wait(&format!("document.documentElement.clientWidth === {width}"));
        let found = window.eval(found);
        assert_eq!(found["violations"], json!([]), "{scheme}, {width}");
        assert!(found["passes"].as_u64() > Some(30), "{found}");
    }
    assert_no_errors(&window);
}

#[test]
fn everything_that_can_be_used_is_reached_by_the_keyboard_and_seen_to_be() {
    let (data, browser) = (tempfile::tempdir().unwrap(), Browser::shared());
    let server = demo(&data);
    let window = open(&browser, &server);
    let usable = "document.querySelectorAll('a[href], button, input, select, [tabindex=\"0\"]')";
    let count = window.eval(&format!("{usable}.length")).as_u64().unwrap();
    assert!(count >= 4, "{count}");
    for at in 0..count {
        window.press("Tab");
        let here = format!("[...{usable}].indexOf(document.activeElement)");
        assert_eq!(window.eval(&here), at, "{}", window.eval("document.activeElement.outerHTML"));
        let seen = "(() => { const it = document.activeElement, box = it.getBoundingClientRect();
            return getComputedStyle(it).outlineStyle !== 'none' && box.right > 0 && box.bottom > 0; })()";
        assert_eq!(window.eval(seen), true, "{}", window.eval("document.activeElement.outerHTML"));
    }
    let _ = window.eval("document.getElementById('pause').focus()");
    window.press("Enter");
    window.wait("document.getElementById('status').dataset.state === 'paused'");
    server.ok(&["card", "move", "--stream", "demo", "SHOP-151", "Ideas"]);
    assert_eq!(window.eval(&is_in("SHOP-151", "Ready")), true);
    window.press("Enter");
    window.wait(&is_in("SHOP-151", "Ideas"));
    assert_no_errors(&window);
}

/// Pictures of a demo as it is when it was just started, if `TAKT_SCREENSHOTS` names a folder.
#[test]
fn the_board_has_its_picture_taken() {
    let (data, browser) = (tempfile::tempdir().unwrap(), Browser::shared());
    let server = demo(&data);
    let window = open(&browser, &server);
    let mut pictures = vec![("board.png", window.picture())];
    window.scheme("dark");
    pictures.push(("board-dark.png", window.picture()));
    window.scheme("light");
    window.resize(390, 844);
    window.wait("document.documentElement.clientWidth === 390");
    pictures.push(("board-phone.png", window.picture()));
    for (name, picture) in &pictures {
        assert!(picture.starts_with(b"\x89PNG\r\n\x1a\n") && picture.len() > 10_000, "{name}");
        if let Some(folder) = std::env::var_os("TAKT_SCREENSHOTS") {
            std::fs::write(std::path::Path::new(&folder).join(name), picture).unwrap();
        }
    }
    assert_ne!(pictures[0].1, pictures[1].1, "dark is the same as light");
    assert_no_errors(&window);
}

/// How fast it is here; said and not held to a limit, as the machine may be busy.
#[test]
fn a_board_of_5000_cards_paints_and_a_move_shows_elsewhere() {
    let (data, browser) = (tempfile::tempdir().unwrap(), Browser::shared());
    let server = Server::start_on(data.path(), &steady_address());
    server.ok(&["stream", "create", "shop"]);
    for column in ["Todo", "Doing", "Review", "Done"] {
        server.ok(&["column", "set", column]);
    }
    let fact = |at: usize| {
        let column = ["Todo", "Doing", "Review", "Todo"][at % 4];
        let data =
            json!({ "card": format!("C-{at}"), "column": column, "title": format!("Card {at}") });
        json!({
            "specversion": "1.0", "id": at.to_string(), "source": "urn:many", "data": data,
            "type": "dev.takt.report.card.v1", "time": "2026-01-02T03:04:05Z",
        })
    };
    let facts: Vec<String> = (0..5_000).map(|at| fact(at).to_string()).collect();
    let _ = server.fed(&["publish", "-", "-o", "json"], facts.join("\n").as_bytes()).json();
    let window = browser.window();
    window.go(&format!("{}/?stream=shop", server.url.trim_end_matches('/')));
    window.wait("document.querySelectorAll('[data-card]').length === 5000");
    window.wait("performance.getEntriesByName('first-contentful-paint').length === 1");
    window.wait("document.getElementById('status').dataset.state === 'live'");
    let paint = "performance.getEntriesByName('first-contentful-paint')[0].startTime";
    let loaded = "performance.getEntriesByType('navigation')[0].loadEventEnd";
    let (paint, loaded) = (window.eval(paint), window.eval(loaded));
    // The card itself says when the server took the move.
    let _ = window.eval(
        "window.shown = new Promise((resolve) => new MutationObserver(() => {
           const it = document.querySelector('[data-column=Done] [data-card=\"C-7\"]');
           if (it) resolve(Date.now() - Number(it.dataset.since) / 1000);
         }).observe(document.getElementById('board'), { childList: true, subtree: true })), 0",
    );
    server.ok(&["card", "move", "C-7", "Done"]);
    window.wait(&is_in("C-7", "Done"));
    let shown = window.eval("window.shown");
    tools::say(&format!(
        "5000 cards: first paint after {paint} ms, loaded after {loaded} ms; a move shows elsewhere \
         after {shown} ms"
    ));
    assert!(
        paint.as_f64().is_some_and(|it| it > 0.0) && shown.as_f64().is_some(),
        "{paint} {shown}"
    );
    assert_no_errors(&window);
}
