//! What is hidden stays hidden, however it is asked for.

use super::binds::with_bind;
use super::*;

#[test]
fn what_is_hidden_is_hidden_wherever_it_appears() {
    let case = with_bind("/home/u/p/vendor:/mnt/v", false)
        .disk(|disk| {
            disk.file("/home/u/p/.env", "SECRET")
                .file("/home/u/p/vendor/key/id", "")
                .link("/home/u/p/also", "vendor/key")
                .file("/home/u/p/conf/real", "")
        })
        .with(|case| {
            case.settings.hide = list(
                40,
                &[
                    "${PROJECT}/.env",
                    "${PROJECT}/also",
                    "${PROJECT}/vendor/key",
                    "${PROJECT}/vendor/key/id",
                    "${PROJECT}/nothing",
                    "~/.ssh",
                    "/etc/passwd",
                ],
            );
            case.settings.hide[0].origin.layer = LayerKind::Project;
        });
    let mounts = case.mounts();
    let hides = mounts.split_inclusive('\n').skip_while(|line| !line.contains("hide"));
    insta::assert_snapshot!(hides.collect::<String>(), @"
    hide  /etc/passwd                                        hidden [test.toml:40]
    hide  /mnt/v/key                                         hidden [test.toml:40]
    hide  /home/u/p/.env                                     hidden by the project itself [test.toml:40]
    hide  /home/u/p/vendor/key                               hidden [test.toml:40]
    seal  /mnt/v/key                                         nothing is to be written there
    seal  /home/u/p/vendor/key                               nothing is to be written there
    seal  /dev                                               nothing is to be written there
    seal  /                                                  nothing is to be written there
    ");
}

#[test]
fn a_hidden_project_is_refused() {
    let case = Case::debian().with(|case| case.settings.hide = list(40, &["~"]));
    insta::assert_snapshot!(case.error(), @"
    test.toml:40: /home/u is hidden, and the project is /home/u/p
    hint: take the line out of the profile, or work in another project
    ");
}

#[test]
fn a_directory_that_is_hidden_and_bound_stays_hidden() {
    let case =
        with_bind("/home/u/notes", true).with(|case| case.settings.hide = list(1, &["~/notes"]));
    let mounts = case.mounts();
    assert!(
        mounts.find("hide  /home/u/notes ").unwrap() > mounts.find("rw    /home/u/notes ").unwrap()
    );
}
