//! The program that ships, with one more stage behind its own.

use std::process::ExitCode;

use shanshui::Served;
use shanshui_enlarge::Enlarge;
use shanshui_paint::stage::Paint;
use shanshui_transcribe::stage::Transcribe;

fn main() -> ExitCode {
    shanshui::main([Served::of::<Transcribe>(), Served::of::<Paint>(), Served::of::<Enlarge>()])
}
