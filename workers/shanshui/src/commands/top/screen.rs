//! What `top` shows, and the terminal that shows it.

use console::{Style, Term, measure_text_width, style, truncate_str};
use shanshui_pipeline::queue::Levels;
use time::OffsetDateTime;

use super::activity::{Activity, Running};

const BAR: usize = 16;

/// A terminal, all of it, until this is dropped.
pub(super) struct Screen(Term);

impl Screen {
    /// Takes the terminal; what was there comes back.
    pub(super) fn open() -> Self {
        let term = Term::stdout();
        let _ = term.write_str("\x1b[?1049h");
        let _ = term.hide_cursor();
        Self(term)
    }

    /// Rows and columns.
    pub(super) fn size(&self) -> (usize, usize) {
        let (rows, columns) = self.0.size();
        (usize::from(rows), usize::from(columns))
    }

    /// Draws all lines over the last ones, so that nothing flickers.
    pub(super) fn draw(&self, lines: &[String]) {
        let text: Vec<String> = lines.iter().map(|line| format!("{line}\x1b[K")).collect();
        let _ = self.0.write_str(&format!("\x1b[H{}\x1b[J", text.join("\n")));
        let _ = self.0.flush();
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.0.show_cursor();
        let _ = self.0.write_str("\x1b[?1049l");
    }
}

/// What is shown, cut to the size of the terminal.
pub(super) fn lines(levels: &Levels, activity: &Activity, (rows, columns): (usize, usize), live: bool) -> Vec<String> {
    let mut lines = vec![title(levels, activity, live), String::new()];
    lines.push(head("STAGE/POOL                 WAITING   OLDEST  IN WORK  AGAIN  IDLE WORKERS  SECONDS/JOB"));
    lines.extend(levels.pools.iter().map(|pool| {
        let name = format!("{}/{}", pool.stage, pool.pool);
        let oldest = pool.oldest_seconds.map_or("?".into(), |seconds| format!("{seconds} s"));
        let mean = activity.mean(&pool.stage).map_or("-".into(), |mean| format!("{mean:.2}"));
        let line = format!(
            "{name:<26} {:>7} {oldest:>8} {:>8} {:>6} {:>13} {mean:>12}",
            pool.waiting, pool.in_work, pool.redelivered, pool.asking
        );
        let lost = pool.waiting > 0 && pool.asking == 0 && pool.in_work == 0;
        if lost { warning(&format!("{line}  no live worker")) } else { line }
    }));
    lines.extend([String::new(), head("RUNNING")]);
    lines.extend(activity.running.iter().map(|(job, running)| of_job(job, running)));
    if !activity.troubles.is_empty() {
        lines.extend([String::new(), head("TROUBLES")]);
        lines.extend(activity.troubles.iter().map(|trouble| plain(trouble)));
    }
    lines.truncate(rows.saturating_sub(1));
    lines.into_iter().map(|line| cut(&line, columns)).collect()
}

fn title(levels: &Levels, activity: &Activity, live: bool) -> String {
    let dead: u64 = levels.dead.values().sum();
    let now = OffsetDateTime::now_utc();
    let mut title = format!("shanshui {:02}:{:02}:{:02} UTC", now.hour(), now.minute(), now.second());
    if live {
        let (done, failed) = (activity.ended("done"), activity.ended("failed"));
        title.push_str(&format!("   last minute: {done} done, {failed} failed"));
    }
    let dead = format!("   {dead} in DEAD");
    let fullest = levels.streams.iter().filter_map(|it| Some((it.bytes as f64 / it.limit? as f64, &it.name)));
    let fullest = fullest.max_by(|a, b| a.0.total_cmp(&b.0));
    let full = fullest.map(|(share, name)| format!("   {name} {:.0} % full", share * 100.0)).unwrap_or_default();
    format!("{title}{dead}{full}")
}

fn of_job(job: &str, running: &Running) -> String {
    let Running { stage, worker, attempt, since, progress, eta, .. } = running;
    let seconds = since.elapsed().as_secs();
    let share = progress.filter(|(_, total)| *total > 0.0).map(|(done, total)| (done / total).clamp(0.0, 1.0));
    let bar = share.map(|share| {
        let full = (share * BAR as f64).round() as usize;
        format!("[{}{}] {:>3.0} %", "#".repeat(full), ".".repeat(BAR - full), share * 100.0)
    });
    let left = eta.map(|eta| format!(", {eta:.0} s left")).unwrap_or_default();
    let again = if *attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
    let bar = bar.unwrap_or_default();
    plain(&format!("{job:<34} {stage:<11} {worker:<20} {seconds:>4} s{again}  {bar}{left}"))
}

fn head(text: &str) -> String {
    style(text).bold().to_string()
}

fn warning(text: &str) -> String {
    Style::new().red().apply_to(plain(text)).to_string()
}

/// Names and reasons come from outside: they must not steer the terminal.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn cut(line: &str, columns: usize) -> String {
    if measure_text_width(line) <= columns { line.to_owned() } else { truncate_str(line, columns, "…").into_owned() }
}

#[cfg(test)]
mod tests {
    use shanshui_pipeline::queue::PoolLevel;

    use super::*;

    #[test]
    fn what_comes_from_outside_cannot_steer_the_terminal() {
        let mut activity = Activity::default();
        let source = "/shanshui/paint/\u{1b}]0;evil\u{7}";
        let data =
            serde_json::json!({ "kind": "progress", "stage": "p\u{9b}31m", "done": 1.0, "total": 2.0, "eta": 1.0 });
        let event = serde_json::json!({ "subject": "a\u{1b}[2J", "time": "", "source": source, "data": data });
        activity.hear(&serde_json::from_value(event).unwrap());
        let shown = lines(&Levels::default(), &activity, (50, 200), true).join("\n");
        assert!(!shown.contains("\u{1b}]") && !shown.contains("\u{1b}[2J") && !shown.contains('\u{9b}'), "{shown:?}");
        assert!(shown.contains("[########........]  50 %"), "{shown}");
    }

    #[test]
    fn lines_fit_into_the_terminal_and_a_pool_without_a_worker_is_said() {
        let pool = PoolLevel { stage: "paint".into(), pool: "sdxl".into(), waiting: 3, ..PoolLevel::default() };
        let levels = Levels { pools: vec![pool; 30], ..Levels::default() };
        let shown = lines(&levels, &Activity::default(), (10, 40), false);
        assert_eq!(shown.len(), 9);
        assert!(shown.iter().all(|line| measure_text_width(line) <= 40), "{shown:?}");
        let wide = lines(&levels, &Activity::default(), (100, 200), false).join("\n");
        assert!(wide.contains("paint/sdxl") && wide.contains("no live worker"), "{wide}");
    }
}
