//! The program that ships.

use std::process::ExitCode;

use shanshui::Served;
use shanshui_paint::stage::Paint;
use shanshui_transcribe::stage::Transcribe;

fn main() -> ExitCode {
    shanshui::main([Served::of::<Transcribe>(), Served::of::<Paint>()])
}
