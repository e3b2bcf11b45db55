//! `takt test`: test results, from JUnit XML to the board.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;
use takt_intake::{ImportError, junit};
use takt_proto::v1::test_service_client::TestServiceClient;
use takt_proto::v1::{ListRunsRequest, TestRun};

use super::feed::{self, Source};
use super::{Context, stamp};
use crate::exit::{Failure, USAGE, VERDICT};
use crate::output::human::ago;
use crate::output::page::{Mark, Page};
use crate::output::table::{Cell, Table};
use crate::output::{many, one, plain, talk};
use crate::wire::MAX_MESSAGE;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Report the results of one run of tests, from JUnit XML files
    #[command(after_help = "Example:\n  \
        takt test report target/junit/*.xml --level unit --commit $(git rev-parse HEAD)\n\n\
        A report of tests that failed is accepted like any other and exits with 0: it is news, and\n\
        pulls the Andon. A file that cannot be read exits with 2 and reports nothing, a report that\n\
        the server does not understand with 1. The same files reported again add nothing.")]
    Report(Report),
    /// Runs that were reported, the latest first
    List {
        /// At most so many
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Report {
    /// The files; together they are one run
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// At which level the tests look
    #[arg(long, value_parser = ["unit", "acceptance", "integration", "custom"])]
    level: String,
    /// The commit that was tested
    #[arg(long, value_name = "SHA")]
    commit: String,
    /// The run, such as the job's number; made from the files and their time if absent
    #[arg(long)]
    run: Option<String>,
}

#[derive(Serialize)]
struct Reported {
    run: String,
    level: String,
    commit: String,
    passed: usize,
    failed: usize,
    errored: usize,
    skipped: usize,
    recorded: u64,
    duplicate: u64,
    dead: u64,
    sequence: u64,
}

#[derive(Serialize)]
struct Row {
    run: String,
    level: String,
    commit: String,
    passed: u64,
    failed: u64,
    errored: u64,
    skipped: u64,
    time: Option<String>,
}

impl From<&TestRun> for Row {
    fn from(it: &TestRun) -> Self {
        Self {
            run: it.run.clone(),
            level: it.level.clone(),
            commit: it.commit.clone(),
            passed: it.passed,
            failed: it.failed,
            errored: it.errored,
            skipped: it.skipped,
            time: stamp(it.time.as_ref()),
        }
    }
}

pub(super) async fn run(context: &Context, verb: Verb) -> Result<u8, Failure> {
    match verb {
        Verb::Report(args) => report(context, args).await,
        Verb::List { limit } => list(context, limit).await,
    }
}

async fn report(context: &Context, args: Report) -> Result<u8, Failure> {
    context.stream()?;
    let (texts, written) = read(&args.files)?;
    let run = args.run.as_deref();
    let options = junit::Options::new(&args.level, &args.commit, run, written);
    let options = options
        .map_err(|it| Failure::new(USAGE, format!("{}: {}", it.place, it.reason), &it.remedy))?;
    let texts: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
    let found = junit::read_all(&texts, options).map_err(|(at, error)| {
        args.files.get(at).map_or_else(
            || unreadable("the report", &error),
            |file| unreadable(&file.display().to_string(), &error),
        )
    })?;
    if found.events.is_empty() {
        talk("hint: the files hold no tests; look whether the test run found any");
    }
    let items: Vec<_> = found.events.iter().map(|event| Ok(event.to_json())).collect();
    let source = Source { items: Box::new(items.into_iter()), read: Arc::new(|| 0), size: None };
    let tally = feed::publish(context, source).await?;
    let data = Reported {
        run: found.run.to_string(),
        level: args.level,
        commit: args.commit,
        passed: found.passed,
        failed: found.failed,
        errored: found.errored,
        skipped: found.skipped,
        recorded: tally.recorded,
        duplicate: tally.duplicate,
        dead: tally.dead,
        sequence: tally.sequence,
    };
    one(context.output, &data, |_| data.text())?;
    Ok(if tally.dead == 0 { 0 } else { VERDICT })
}

/// The texts of all files, and when the last of them was written.
fn read(files: &[PathBuf]) -> Result<(Vec<Vec<u8>>, SystemTime), Failure> {
    let (mut texts, mut written) = (vec![], SystemTime::UNIX_EPOCH);
    for file in files {
        let both =
            std::fs::read(file).and_then(|text| Ok((text, std::fs::metadata(file)?.modified()?)));
        let (text, modified) = both.map_err(|error| {
            let message = format!("cannot read `{}`: {error}", file.display());
            Failure::new(USAGE, message, "name the JUnit XML files that the test run wrote")
        })?;
        texts.push(text);
        written = written.max(modified);
    }
    Ok((texts, written))
}

fn unreadable(file: &str, error: &ImportError) -> Failure {
    let message = format!("`{file}`, {}: {}", error.place, error.reason);
    Failure::new(USAGE, message, &error.remedy).hint("nothing was reported")
}

impl Reported {
    fn text(&self) -> String {
        let Self { passed, failed, errored, skipped, .. } = self;
        if passed + failed + errored + skipped == 0 {
            return "nothing ran, so nothing was reported\n".to_owned();
        }
        let broken = failed + errored;
        let mark = if broken > 0 { Mark::Bad } else { Mark::Good };
        let verdict = mark.on(if broken > 0 { "RED" } else { "green" });
        let counts =
            format!("{passed} passed, {failed} failed, {errored} errored, {skipped} skipped");
        let again = if self.recorded == 0 && self.duplicate > 0 {
            "  this report was there already; nothing was added\n"
        } else {
            ""
        };
        let (level, commit, run) = (&self.level, plain(&self.commit), plain(&self.run));
        format!("{verdict}: {counts}\n  {level} tests of commit `{commit}`, run `{run}`\n{again}")
    }
}

async fn list(context: &Context, limit: u32) -> Result<u8, Failure> {
    let request = ListRunsRequest { stream: context.stream()?, limit, min_sequence: 0 };
    let client = TestServiceClient::new(context.wire.clone());
    let mut client = client.max_decoding_message_size(MAX_MESSAGE);
    let runs = client.list_runs(request).await?.into_inner().runs;
    let rows: Vec<Row> = runs.iter().map(Row::from).collect();
    let nothing =
        "no test runs yet; report one with `takt test report FILES --level L --commit SHA`";
    many(context.output, &rows, nothing, |page| table(&runs, page)).map(|()| 0)
}

/// How many tests ended how; of those that ended well, a number always, of others if there are any.
fn counts(it: &TestRun) -> String {
    let odd = [(it.failed, "failed"), (it.errored, "errored"), (it.skipped, "skipped")];
    let odd = odd.into_iter().filter(|(count, _)| *count > 0);
    let counts = std::iter::once((it.passed, "passed")).chain(odd);
    counts.map(|(count, how)| format!("{count} {how}")).collect::<Vec<_>>().join(", ")
}

fn table(runs: &[TestRun], page: &Page) -> String {
    let mut table = Table::new(&["when", "level", "result", "tests", "commit", "run"]);
    for it in runs {
        let when = it.time.as_ref().map(|at| ago(page.now.saturating_sub(at.seconds)));
        let (mark, result) = match (it.failed + it.errored, it.passed) {
            (0, 0) => (Mark::Dim, "nothing ran"),
            (0, _) => (Mark::Good, "green"),
            (_, _) => (Mark::Bad, "RED"),
        };
        table.row([
            when.unwrap_or_default().into(),
            (&it.level).into(),
            Cell::marked(mark, result),
            counts(it).into(),
            crate::output::page::cut(&it.commit, 12).into(),
            (&it.run).into(),
        ]);
    }
    table.text(page)
}
