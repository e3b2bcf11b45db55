//! What the demo is about: the columns of a web shop's team, its people and its work.

use takt_domain::board::{Class, ColumnKind, WipPolicy};

/// The stream that the demo makes.
pub(super) const STREAM: &str = "demo";
/// What people call it.
pub(super) const TITLE: &str = "Web shop";
/// Who reports the demo's facts. Another cast is another source, so that old data is left alone.
pub(super) const SOURCE: &str = "urn:takt:demo:1";

pub(super) const IDEAS: &str = "Ideas";
pub(super) const READY: &str = "Ready";
pub(super) const PROGRESS: &str = "In progress";
pub(super) const REVIEW: &str = "Review";
pub(super) const TEST: &str = "Test";
pub(super) const SHIP: &str = "Ready to ship";
pub(super) const DONE: &str = "Done";

/// A column as the team has set it.
pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) kind: ColumnKind,
    pub(super) limit: Option<(u32, WipPolicy)>,
    /// How many hours a card may stay.
    pub(super) hours: Option<i64>,
    pub(super) stage: Option<&'static str>,
    /// How many minutes cards usually stay, from and to.
    pub(super) stay: (u64, u64),
}

const fn step(name: &'static str, kind: ColumnKind, stay: (u64, u64)) -> Step {
    Step { name, kind, limit: None, hours: None, stage: None, stay }
}

/// The steps of the work, in order.
pub(super) const STEPS: [Step; 7] = [
    step(IDEAS, ColumnKind::Queue, (900, 9_000)),
    Step { limit: Some((6, WipPolicy::Soft)), ..step(READY, ColumnKind::Queue, (300, 4_000)) },
    Step { limit: Some((4, WipPolicy::Hard)), ..step(PROGRESS, ColumnKind::Active, (500, 4_600)) },
    Step { limit: Some((3, WipPolicy::Soft)), ..step(REVIEW, ColumnKind::Active, (60, 1_500)) },
    Step {
        limit: Some((4, WipPolicy::Hard)),
        hours: Some(48),
        stage: Some("acceptance"),
        ..step(TEST, ColumnKind::Active, (90, 2_000))
    },
    Step { limit: Some((5, WipPolicy::Hard)), ..step(SHIP, ColumnKind::Queue, (60, 1_700)) },
    step(DONE, ColumnKind::Done, (400, 2_800)),
];

/// Where an open card is: its column, for how many minutes, why it is blocked, its class.
pub(super) type Open = (&'static str, i64, Option<&'static str>, Class);

const STANDARD: Class = Class::Standard;

/// The open cards, in the order of the last rows of `WORK`.
pub(super) const OPEN: [Open; 24] = [
    (SHIP, 1_290, None, STANDARD),
    (SHIP, 205, None, STANDARD),
    (TEST, 3_320, None, STANDARD),
    (TEST, 1_460, None, Class::FixedDate),
    (TEST, 155, None, STANDARD),
    (REVIEW, 1_870, None, STANDARD),
    (REVIEW, 640, None, STANDARD),
    (REVIEW, 410, None, Class::Intangible),
    (REVIEW, 95, None, STANDARD),
    (PROGRESS, 6_150, Some("waits for the payment provider's sandbox key"), STANDARD),
    (PROGRESS, 2_230, None, STANDARD),
    (PROGRESS, 1_015, None, STANDARD),
    (PROGRESS, 130, None, Class::Expedite),
    (READY, 4_700, Some("the texts are still with the lawyers"), Class::FixedDate),
    (READY, 1_940, None, STANDARD),
    (READY, 1_120, None, STANDARD),
    (READY, 330, None, STANDARD),
    (IDEAS, 11_800, None, STANDARD),
    (IDEAS, 8_950, None, Class::Intangible),
    (IDEAS, 5_560, None, STANDARD),
    (IDEAS, 4_330, None, STANDARD),
    (IDEAS, 2_980, None, STANDARD),
    (IDEAS, 1_610, None, STANDARD),
    (IDEAS, 260, None, STANDARD),
];

/// How many of the cards are finished.
pub(super) const FINISHED: usize = 36;
/// Finished cards that had come back before, by their place among the finished ones.
pub(super) const REOPENED: [usize; 3] = [6, 17, 29];
/// The open card that had been in done, by its place among the open ones.
pub(super) const BACK: usize = 10;
/// Cards that a review sent back to be worked on: every so many.
pub(super) const SENT_BACK: usize = 7;

/// A piece of work: what, its type, its size.
pub(super) type Work = (&'static str, &'static str, u32);

/// The finished work first, then the open work from the right of the board to the left.
pub(super) const WORK: [Work; FINISHED + OPEN.len()] = [
    ("Sign in with a link instead of a password", "feature", 5),
    ("Prices show the tax of the customer's country", "feature", 3),
    ("Basket survives a closed browser", "feature", 3),
    ("Images load in the size that is shown", "task", 2),
    ("Order confirmation arrives twice", "bug", 1),
    ("Search forgives one typing error", "feature", 5),
    ("Invoices as PDF in the customer's account", "feature", 5),
    ("Move sessions out of the main database", "task", 8),
    ("Product page jumps while images load", "bug", 2),
    ("Filter by size and colour", "feature", 3),
    ("Address form knows Irish post codes", "bug", 1),
    ("Stock level comes from the warehouse every minute", "feature", 5),
    ("Rename the old cart service", "task", 2),
    ("Voucher can be used on sale items", "bug", 1),
    ("Newsletter sign-up at the end of the order", "feature", 2),
    ("Delivery date on the product page", "feature", 5),
    ("Alert when the payment queue grows", "task", 2),
    ("Customer can cancel within the hour", "feature", 3),
    ("Back button empties the filter", "bug", 2),
    ("Translate the help pages into Polish", "feature", 3),
    ("Upgrade the database to version 18", "task", 5),
    ("Gift wrapping as an option", "feature", 3),
    ("Timeout when a basket has 100 lines", "bug", 3),
    ("Show the last five products seen", "feature", 2),
    ("One log format for all services", "task", 3),
    ("Guest order without an account", "feature", 5),
    ("Wrong currency in the order mail", "bug", 1),
    ("Compare up to three products", "feature", 5),
    ("Rate limit on the search", "task", 2),
    ("Pick-up in the store", "feature", 8),
    ("Size chart opens on the phone", "bug", 1),
    ("Test data builder for orders", "task", 2),
    ("Save cards with the payment provider", "feature", 5),
    ("Returns label without a printer", "feature", 3),
    ("Menu can be used with the keyboard", "bug", 2),
    ("Faster builds: cache the dependencies", "task", 2),
    // Ready to ship
    ("Order history loads page by page", "feature", 3),
    ("Total is off by a cent with two vouchers", "bug", 1),
    // Test
    ("Split one order into two deliveries", "feature", 8),
    ("Cookie notice as the new law asks", "feature", 2),
    ("Wish list can be shared", "feature", 3),
    // Review
    ("Replace the mail templates", "task", 5),
    ("Reviews with photos", "feature", 5),
    ("Remove the flag of the old checkout", "task", 1),
    ("Phone number is checked per country", "bug", 2),
    // In progress
    ("Pay by instalments", "feature", 8),
    ("Login loop after a password change", "bug", 2),
    ("Suggest an address while typing", "feature", 3),
    ("Checkout fails for names with an apostrophe", "bug", 1),
    // Ready
    ("Terms of sale for business customers", "feature", 2),
    ("Stock reservation for ten minutes", "feature", 5),
    ("Retry failed webhooks", "task", 3),
    ("Empty search page helps on", "feature", 2),
    // Ideas
    ("Loyalty points", "feature", 8),
    ("Dark mode for the shop", "feature", 3),
    ("Recommend what fits", "feature", 5),
    ("Measure how fast pages feel", "task", 2),
    ("Order by voice", "feature", 8),
    ("Subscribe to a product", "feature", 5),
    ("Show the carbon footprint of a delivery", "feature", 3),
];

/// New work while the demo runs: what is done, to what.
pub(super) const VERBS: [&str; 8] =
    ["Speed up", "Test", "Simplify", "Translate", "Measure", "Redesign", "Document", "Harden"];
/// New work while the demo runs: to what.
pub(super) const THINGS: [&str; 11] = [
    "the checkout",
    "the product search",
    "the returns form",
    "the order mail",
    "the gift card page",
    "the stock import",
    "the price rules",
    "the store finder",
    "the invoice run",
    "the basket on phones",
    "the sign-in",
];

/// Why work waits while the demo runs.
pub(super) const REASONS: [&str; 4] = [
    "waits for a decision about the price",
    "the test environment is down",
    "needs an answer from the warehouse",
    "waits for the new icons",
];

/// Who works here.
pub(super) const PEOPLE: [&str; 5] = ["mara", "jonas", "aiko", "priya", "tomasz"];

/// The commit on which the acceptance tests are red.
pub(super) const RED: &str = "9f2c1e7";
/// The deployment that failed, and was taken back.
pub(super) const FAILED: &str = "staging-118";
