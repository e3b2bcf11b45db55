//! Boards, columns and cards.

use std::ops::Bound;
use std::time::Duration;

use takt_domain::board::{
    self, Board, Card, ColumnSet, Details, Evidence, Order, WipLimit, WipPolicy,
};
use takt_domain::rejection::Asked;
use takt_domain::{AlertId, CardId, ColumnName, Rejection};
use takt_projections::StreamView;
use takt_proto::convert::{duration, timestamp};
use takt_proto::v1;
use tonic::{Request, Response, Status};

use super::status::not_found;
use super::{
    Services, board_id, call, checks, deadline, details, from_word, parsed, receipt, stream_name,
    word,
};

const KINDS: &str = "`queue`, `active` or `done`";
const POLICIES: &str = "`off`, `soft` or `hard`";
const CLASSES: &str = "`standard`, `expedite`, `fixed_date` or `intangible`";

/// The parts that every command to a board carries.
struct To<'a> {
    stream: &'a str,
    board: &'a str,
    expected: Option<u64>,
    key: &'a str,
    actor: &'a str,
    wait: Duration,
}

macro_rules! to {
    ($asked:expr, $wait:expr) => {
        To {
            stream: &$asked.stream,
            board: &$asked.board,
            expected: $asked.expected_version,
            key: &$asked.idempotency_key,
            actor: &$asked.actor,
            wait: $wait,
        }
    };
}

impl Services {
    async fn order(&self, to: To<'_>, order: Order) -> Result<takt_engine::Receipt, Status> {
        let (stream, board) = (stream_name(to.stream)?, board_id(to.board)?);
        let call = call(to.wait, to.actor, to.key, to.expected)?;
        self.done(self.engine.board(&stream, &board, call, order).await)
    }
}

fn card_id(text: &str) -> Result<CardId, Status> {
    parsed("card", CardId::parse(text))
}

fn column_name(text: &str) -> Result<ColumnName, Status> {
    parsed("column", ColumnName::parse(text))
}

/// The alert that the work is marked as the fix of, if it is.
fn fixes(text: &str) -> Result<Option<AlertId>, Status> {
    (!text.is_empty()).then(|| parsed("fixes", AlertId::parse(text))).transpose()
}

fn on<'a>(view: &'a StreamView, board: &str) -> Result<&'a Board, Status> {
    let id = board_id(board)?;
    let found = view.boards.get(&id);
    found.ok_or_else(|| not_found("board", id.as_str(), "use the board `main`"))
}

fn known<'a>(board: &'a Board, card: &str) -> Result<(CardId, &'a Card), Status> {
    let id = card_id(card)?;
    let found = board.cards.get(&id);
    let found = found.ok_or_else(|| not_found("card", card, "`takt card list` shows the cards"))?;
    Ok((id, found))
}

fn column(board: &Board, name: &ColumnName, column: &board::Column) -> v1::Column {
    v1::Column {
        column: name.to_string(),
        kind: column.kind().map(word).unwrap_or_default(),
        wip_limit: Some(v1::WipLimit {
            cards: column.wip_limit.cards,
            policy: word(column.wip_limit.policy),
        }),
        time_limit: column.time_limit.map(duration),
        stage: column.stage.as_deref().unwrap_or_default().to_owned(),
        unplanned: column.is_unplanned(),
        count: board.count(name),
        over_limit: board.is_over(name),
    }
}

/// The most cards of one page.
const PAGE: usize = 5000;
/// How many cards in done columns a board shows.
const DONE: usize = 200;

/// Where a page ended: the last card's id.
fn token(text: &str) -> Result<CardId, Status> {
    parsed("page_token", CardId::parse(text))
}

fn card_move(step: &board::Move) -> v1::CardMove {
    v1::CardMove {
        time: Some(timestamp(step.order.time)),
        column: step.column.as_ref().map(ToString::to_string).unwrap_or_default(),
        historical: step.historical,
    }
}

/// The cards that a board shows, and how many others, open and done, it leaves out.
fn shown(board: &Board) -> (Vec<v1::Card>, u64, u64) {
    let on_board = board.cards.iter().filter(|(_, card)| card.place().is_some());
    let (mut done, open): (Vec<_>, Vec<_>) =
        on_board.partition(|(_, card)| card.place().is_some_and(|place| board.is_done(place)));
    let (all_done, all_open) = (done.len(), open.len());
    if done.len() > DONE {
        let entered = |card: &Card| std::cmp::Reverse(card.stay().map(|stay| stay.order.time));
        done.select_nth_unstable_by_key(DONE, |(_, card)| entered(card));
        done.truncate(DONE);
    }
    let is_done = |it: &&v1::Card| it.done;
    let rows = open.into_iter().chain(done).map(|(id, it)| card(board, id, it));
    let cards = checks::fill(rows, usize::MAX).0;
    let shown_done = cards.iter().filter(is_done).count();
    let open_omitted = all_open - (cards.len() - shown_done);
    (cards, open_omitted as u64, (all_done - shown_done) as u64)
}

fn card(board: &Board, id: &CardId, card: &Card) -> v1::Card {
    let done = |step: &board::Move| step.column.as_ref().is_some_and(|name| board.is_done(name));
    let left =
        |pair: &[board::Move]| matches!(pair, [a, b] if done(a) && !done(b) && b.column.is_some());
    v1::Card {
        card: id.to_string(),
        title: checks::shown(card.title()),
        r#type: checks::shown(card.kind()),
        class: word(card.class()),
        size: card.size(),
        column: card.place().map(ToString::to_string).unwrap_or_default(),
        blocked: card.blocked().is_some(),
        blocked_reason: card.blocked().map(|reason| checks::shown(reason)).unwrap_or_default(),
        first_seen: card.first_seen().map(timestamp),
        entered: card.stay().map(|stay| timestamp(stay.order.time)),
        deleted: card.place().is_none(),
        done: card.moves.last().is_some_and(done),
        reopened: card.moves.windows(2).any(left),
    }
}

#[tonic::async_trait]
impl v1::board_service_server::BoardService for Services {
    async fn get_board(
        &self,
        request: Request<v1::GetBoardRequest>,
    ) -> Result<Response<v1::GetBoardResponse>, Status> {
        let wait = deadline(&request);
        let asked = request.into_inner();
        let id = board_id(&asked.board)?;
        let read = |view: &StreamView, _: &_| {
            let board = on(view, &asked.board)?;
            let columns = board.column_order();
            let columns = columns.into_iter().filter_map(|name| board.columns.get_key_value(name));
            let (cards, open_omitted, done_omitted) = shown(board);
            Ok(v1::GetBoardResponse {
                columns: columns.map(|(name, it)| column(board, name, it)).collect(),
                cards,
                done_omitted,
                open_omitted,
                board: id.to_string(),
                stream: asked.stream.clone(),
                sequence: 0,
            })
        };
        let (answer, sequence) = self.view(&asked.stream, asked.min_sequence, wait, read).await?;
        Ok(Response::new(v1::GetBoardResponse { sequence, ..answer }))
    }

    async fn set_column(
        &self,
        request: Request<v1::SetColumnRequest>,
    ) -> Result<Response<v1::Receipt>, Status> {
        let wait = deadline(&request);
        let asked = request.into_inner();
        checks::texts(&[("stage", asked.stage.as_deref().unwrap_or_default())])?;
        let kind = asked.kind.as_deref().map(|kind| from_word("kind", kind, KINDS)).transpose()?;
        let wip_limit = asked.wip_limit.as_ref().map(wip_limit).transpose()?;
        let set = ColumnSet {
            column: column_name(&asked.column)?,
            kind,
            order: asked.order,
            wip_limit,
            time_limit: checks::span("time_limit", asked.time_limit.as_ref())?,
            stage: asked.stage.as_deref().map(Into::into),
        };
        let done = self.order(to!(asked, wait), Order::SetColumn(set)).await?;
        Ok(Response::new(receipt(done)))
    }

    async fn add_card(
        &self,
        request: Request<v1::AddCardRequest>,
    ) -> Result<Response<v1::AddCardResponse>, Status> {
        let wait = deadline(&request);
        let asked = request.into_inner();
        checks::texts(&[("title", &asked.title), ("type", &asked.r#type)])?;
        let card = if asked.card.is_empty() {
            // The key names the card too, so that a retry without an id adds one card.
            let key = if asked.idempotency_key.is_empty() {
                uuid::Uuid::now_v7().to_string()
            } else {
                asked.idempotency_key.clone()
            };
            CardId::new(super::short_id("c", "urn:takt:card", &key))
        } else {
            card_id(&asked.card)?
        };
        let text = |text: &str| (!text.is_empty()).then(|| text.into());
        let class = (!asked.class.is_empty()).then_some(asked.class.as_str());
        let class = class.map(|class| from_word("class", class, CLASSES)).transpose()?;
        let details = Details {
            title: text(&asked.title),
            kind: text(&asked.r#type),
            class,
            size: asked.size,
        };
        let column = (!asked.column.is_empty()).then(|| column_name(&asked.column)).transpose()?;
        let order =
            Order::AddCard { card: card.clone(), column, details, fixes: fixes(&asked.fixes)? };
        let done = self.order(to!(asked, wait), order).await?;
        let v1::Receipt { sequence, duplicate, warnings, .. } = receipt(done);
        let card = card.to_string();
        Ok(Response::new(v1::AddCardResponse { card, sequence, duplicate, warnings }))
    }

    async fn move_card(
        &self,
        request: Request<v1::MoveCardRequest>,
    ) -> Result<Response<v1::Receipt>, Status> {
        let wait = deadline(&request);
        let asked = request.into_inner();
        let (card, column) = (card_id(&asked.card)?, column_name(&asked.column)?);
        let order = Order::MoveCard { card, column, fixes: fixes(&asked.fixes)? };
        let done = self.order(to!(asked, wait), order).await?;
        Ok(Response::new(receipt(done)))
    }

    async fn block_card(
        &self,
        request: Request<v1::BlockCardRequest>,
    ) -> Result<Response<v1::Receipt>, Status> {
        let wait = deadline(&request);
        let asked = request.into_inner();
        checks::texts(&[("reason", &asked.reason)])?;
        let order =
            Order::Block { card: card_id(&asked.card)?, reason: asked.reason.as_str().into() };
        Ok(Response::new(receipt(self.order(to!(asked, wait), order).await?)))
    }

    async fn unblock_card(
        &self,
        request: Request<v1::CardRequest>,
    ) -> Result<Response<v1::Receipt>, Status> {
        let wait = deadline(&request);
        let asked = request.into_inner();
        let order = Order::Unblock { card: card_id(&asked.card)? };
        Ok(Response::new(receipt(self.order(to!(asked, wait), order).await?)))
    }

    async fn delete_card(
        &self,
        request: Request<v1::CardRequest>,
    ) -> Result<Response<v1::Receipt>, Status> {
        let wait = deadline(&request);
        let asked = request.into_inner();
        let order = Order::Delete { card: card_id(&asked.card)? };
        Ok(Response::new(receipt(self.order(to!(asked, wait), order).await?)))
    }

    async fn get_card(
        &self,
        request: Request<v1::GetCardRequest>,
    ) -> Result<Response<v1::GetCardResponse>, Status> {
        let wait = deadline(&request);
        let asked = request.into_inner();
        let read = |view: &StreamView, _: &_| {
            let board = on(view, &asked.board)?;
            let (id, found) = known(board, &asked.card)?;
            let newest = found.moves.iter().rev().map(card_move);
            let mut history = checks::fill(newest, usize::MAX).0;
            history.reverse();
            let history_omitted = (found.moves.len() - history.len()) as u64;
            let card = Some(card(board, &id, found));
            Ok(v1::GetCardResponse { card, history, history_omitted, sequence: 0 })
        };
        let (answer, sequence) = self.view(&asked.stream, asked.min_sequence, wait, read).await?;
        Ok(Response::new(v1::GetCardResponse { sequence, ..answer }))
    }

    async fn list_cards(
        &self,
        request: Request<v1::ListCardsRequest>,
    ) -> Result<Response<v1::ListCardsResponse>, Status> {
        let wait = deadline(&request);
        let asked = request.into_inner();
        let wanted = |card: &Card| match card.place() {
            None => asked.include_deleted && asked.column.is_empty(),
            Some(place) => asked.column.is_empty() || place.as_str() == asked.column,
        };
        let after = (!asked.page_token.is_empty()).then(|| token(&asked.page_token)).transpose()?;
        let from = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let read = |view: &StreamView, _: &_| {
            let board = on(view, &asked.board)?;
            let cards = board.cards.range::<CardId, _>((from, Bound::Unbounded));
            let cards = cards.filter(|(_, card)| wanted(card)).map(|(id, it)| card(board, id, it));
            Ok(checks::fill(cards, checks::rows(asked.limit, PAGE)))
        };
        let ((cards, more), sequence) =
            self.view(&asked.stream, asked.min_sequence, wait, read).await?;
        let last = cards.last().filter(|_| more).map(|it| it.card.clone());
        let next_page_token = last.unwrap_or_default();
        Ok(Response::new(v1::ListCardsResponse { cards, next_page_token, sequence }))
    }

    async fn explain(
        &self,
        request: Request<v1::GetCardRequest>,
    ) -> Result<Response<v1::ExplainResponse>, Status> {
        let wait = deadline(&request);
        let asked = request.into_inner();
        let at = self.engine.now();
        let read = |view: &StreamView, _: &_| explain(view, &asked, at);
        let (answer, sequence) = self.view(&asked.stream, asked.min_sequence, wait, read).await?;
        Ok(Response::new(v1::ExplainResponse { sequence, ..answer }))
    }

    async fn close_import(
        &self,
        request: Request<v1::CloseImportRequest>,
    ) -> Result<Response<v1::Receipt>, Status> {
        let wait = deadline(&request);
        let asked = request.into_inner();
        let to = To {
            stream: &asked.stream,
            board: &asked.board,
            expected: None,
            key: &asked.idempotency_key,
            actor: &asked.actor,
            wait,
        };
        Ok(Response::new(receipt(self.order(to, Order::CloseImport).await?)))
    }
}

fn wip_limit(limit: &v1::WipLimit) -> Result<WipLimit, Status> {
    let policy = if limit.policy.is_empty() {
        WipPolicy::Hard
    } else {
        from_word("wip_limit.policy", &limit.policy, POLICIES)?
    };
    Ok(WipLimit { cards: limit.cards, policy })
}

/// What keeps a card from its next column: the same decision that a move would meet.
fn explain(
    view: &StreamView,
    asked: &v1::GetCardRequest,
    at: takt_domain::Time,
) -> Result<v1::ExplainResponse, Status> {
    let board = on(view, &asked.board)?;
    let (id, card) = known(board, &asked.card)?;
    let Some(place) = card.place() else {
        return Err(not_found(
            "card",
            &asked.card,
            "it was deleted; `takt card list` shows the rest",
        ));
    };
    let order = board.column_order();
    let next = order.iter().skip_while(|name| **name != place).nth(1).copied();
    let mut answer = v1::ExplainResponse {
        card: id.to_string(),
        column: place.to_string(),
        next: next.map(ToString::to_string).unwrap_or_default(),
        ..v1::ExplainResponse::default()
    };
    let Some(next) = next.filter(|_| !board.is_done(place)) else { return Ok(answer) };
    let evidence =
        Evidence { line: &view.line, line_seq: view.line_seq, line_policy: view.state.policy.line };
    let order = Order::MoveCard { card: id, column: next.clone(), fixes: None };
    answer.warnings = details(board::passed_over(board, evidence, &order));
    let command = board::Command { asked: Asked { at, actor: "explain".into() }, order };
    if let Err(Rejection::Refused(unmet)) = board::decide(board, evidence, command) {
        answer.unmet = details(unmet);
    }
    Ok(answer)
}
