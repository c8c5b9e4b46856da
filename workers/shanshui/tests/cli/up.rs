use std::fs::File;
use std::io::Write;

use crate::program::Place;

#[test]
fn a_second_up_on_the_same_data_directory_says_so_and_exits_with_7() {
    let place = Place::new().file("data/up.lock", "");
    let mut holder = File::options().write(true).open(place.path("data/up.lock")).unwrap();
    holder.lock().unwrap();
    writeln!(holder, "4711").unwrap();
    place.run("up --data data").refused(7, &["is in use by another `shanshui up` (process 4711)"]);
}

#[test]
fn up_refuses_a_nats_server_that_is_missing_or_too_old() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new().file("old-nats", "#!/bin/sh\necho 'nats-server: v2.9.10'\n");
    std::fs::set_permissions(place.path("old-nats"), std::fs::Permissions::from_mode(0o755)).unwrap();
    place.run("up --data data --nats-server ./gone").refused(2, &["nats-server: cannot run ./gone"]);
    place.run("up --data data --nats-server ./old-nats").refused(2, &["v2.9.10", "version 2.12.7 or newer"]);
}
