//! What becomes of each finding of a session. Who does it may be killed at any moment: what was moved
//! by then has the number of its case, and whoever comes next writes down that it is there. It must
//! never lose track of what is aside, nor pass over what stands where something was moved away.

use std::io;

use super::aside::{Aside, stands};
use super::ask::{Choice, Person};
use super::found::{Case, Fate, Found, Writing};
use super::look::open;
use super::record::Record;
use super::screen::Screen;
use super::table::NESTED;
use super::{show, tell};
use crate::bytes::Bytes;
use crate::error::{Result, Tried as _};
use crate::profile::schema::HostFiles;
use crate::session::Session;
use crate::visible::visible;

/// What is decided about one session.
pub(super) struct Conclusion<'a> {
    session: &'a Session,
    record: &'a Record,
    found: Found,
    writing: Writing,
    /// How many were asked about.
    asked: usize,
}

impl<'a> Conclusion<'a> {
    pub(super) fn new(session: &'a Session, record: &'a Record, found: Found) -> Self {
        Self { session, record, found, writing: Writing::default(), asked: 0 }
    }

    /// Decides about all that is open.
    pub(super) fn all(
        mut self,
        person: Option<&mut dyn Person>,
        screen: &mut Screen<'_>,
    ) -> Result<()> {
        self.resume().tried(|| "find what was set aside before")?;
        tell::findings(screen, self.record, &self.found);
        let mut person = person.filter(|_| self.record.mode == HostFiles::Ask);
        for at in 0..self.found.cases.len() {
            if self.found.cases[at].fate.is_some() {
                continue;
            }
            let choice = self.choose(at, &mut person)?;
            let fate = match choice {
                None => Fate::Reported,
                Some(Choice::Keep) => Fate::Kept,
                Some(Choice::Aside) => {
                    self.announce()?;
                    self.set_aside(at)
                        .unwrap_or_else(|err| Fate::Stays { why: visible(err.to_string()) })
                }
            };
            self.found.cases[at].fate = Some(fate);
            self.writing.sometimes(&self.found, &self.session.directory).tried(writing)?;
        }
        self.writing.rest(&self.found, &self.session.directory).tried(writing)?;
        tell::outcome(screen, self.session.id.as_str(), self.record.mode, &self.found);
        Ok(())
    }

    /// What is wanted; `None` where there is no choice. One by one a person decides about as many as
    /// were listed, and then about the rest at once: nobody answers 20,000 questions.
    fn choose(
        &mut self,
        at: usize,
        person: &mut Option<&mut dyn Person>,
    ) -> Result<Option<Choice>> {
        let finding = &self.found.cases[at].finding;
        if self.record.mode == HostFiles::Report || !finding.may_be_moved() {
            return Ok(None);
        }
        let Some(person) = person else { return Ok(Some(Choice::Aside)) };
        if person.asks() {
            // The question may be interrupted. What was answered before is not asked again.
            self.writing.rest(&self.found, &self.session.directory).tried(writing)?;
        }
        self.asked += 1;
        if self.asked <= tell::MOST {
            return Ok(Some(person.choose(finding, &|| self.show(&finding.path))));
        }
        let open = |case: &&Case| case.fate.is_none() && case.finding.may_be_moved();
        let count = || self.found.cases[at..].iter().filter(open).count();
        Ok(Some(person.choose_rest(&count)))
    }

    /// Writes down, before the first move, that what is aside under a case's number is of that case.
    fn announce(&mut self) -> Result<()> {
        if !self.found.moving {
            self.found.moving = true;
            self.found.write(&self.session.directory).tried(writing)?;
        }
        Ok(())
    }

    /// Finds what was moved by somebody who was killed before that was written down. What stands in its
    /// place by now is another, and open.
    fn resume(&mut self) -> io::Result<()> {
        if !self.found.moving {
            return Ok(());
        }
        let aside = Aside::open(&self.session.directory)?;
        let mut again = Vec::new();
        for (at, case) in self.found.cases.iter_mut().enumerate() {
            if case.fate.is_some() {
                continue;
            }
            let Some((number, part)) = moved(&aside, at, case)? else { continue };
            let path = part.as_ref().unwrap_or(&case.finding.path).clone();
            // Where the project has gone nothing stands, and what is aside is all the same.
            if let Ok(mut project) = open(self.record) {
                if aside.has(number)? {
                    if stands(&mut project, &path.0).unwrap_or(true) {
                        again.push(Case { finding: case.finding.clone(), fate: None });
                    }
                } else if let Err(err) = aside.take(&mut project, &path.0, number) {
                    case.fate = Some(Fate::Stays { why: visible(err.to_string()) });
                    continue;
                }
            }
            case.fate = Some(Fate::Aside { number, part });
        }
        self.found.cases.extend(again);
        // What is new here has a number only by its place in the record.
        self.found.write(&self.session.directory)
    }

    fn set_aside(&self, at: usize) -> io::Result<Fate> {
        let mut project = open(self.record)?;
        let aside = Aside::open(&self.session.directory)?;
        let finding = &self.found.cases[at].finding;
        let mut take = |path: &Bytes, number| aside.take(&mut project, &path.0, number);
        let err = match take(&finding.path, whole(at)) {
            Ok(Some(number)) => return Ok(Fate::Aside { number, part: None }),
            Ok(None) => return Ok(Fate::Vanished),
            Err(err) => err,
        };
        if *finding.entry != NESTED {
            return Err(err);
        }
        // A repository may be too large to be copied. Without its HEAD it is none.
        let head = head(&finding.path);
        match take(&head, part(at))? {
            Some(number) => Ok(Fate::Aside { number, part: Some(head) }),
            None => Err(err),
        }
    }

    fn show(&self, path: &Bytes) -> Vec<String> {
        match open(self.record) {
            Ok(mut project) => show::lines(&mut project, path),
            Err(err) => vec![visible(err.to_string())],
        }
    }
}

fn writing() -> &'static str {
    "write down what was set aside"
}

/// The number of a case, by its place in the record: it is known before anything is moved.
fn whole(at: usize) -> u32 {
    u32::try_from(at + 1).unwrap_or(u32::MAX)
}

/// The number of a part of it: from the other end, since both may have been tried.
fn part(at: usize) -> u32 {
    u32::MAX - whole(at)
}

fn head(path: &Bytes) -> Bytes {
    Bytes([path.0.as_slice(), b"/HEAD"].concat())
}

/// The number that a case has if it was moved, wholly or in part.
fn moved(aside: &Aside, at: usize, case: &Case) -> io::Result<Option<(u32, Option<Bytes>)>> {
    let nested = *case.finding.entry == NESTED;
    let parts = nested.then(|| (part(at), Some(head(&case.finding.path))));
    for (number, part) in [(whole(at), None)].into_iter().chain(parts) {
        if aside.has(number)? || aside.has_begun(number)? {
            return Ok(Some((number, part)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::{Duration, Instant};

    use super::super::compare::{Change, Finding, Findings};
    use super::super::known::Known;
    use super::super::settle::keep;
    use super::super::table;
    use super::*;
    use crate::session::id::Id;

    /// A project with a session that is over.
    struct Scene {
        project: tempfile::TempDir,
        _state: tempfile::TempDir,
        session: Session,
        record: Record,
    }

    impl Scene {
        /// With what is found in it, which is there.
        fn new(paths: &[String]) -> (Self, Found) {
            let project = tempfile::tempdir().unwrap();
            let state = tempfile::tempdir().unwrap();
            let record = Record::take(project.path(), HostFiles::Ask, Known::default()).unwrap();
            let session = Session {
                id: Id::parse("4k7xq2ab").unwrap(),
                directory: state.path().join("sessions/4k7xq2ab"),
                runtime: state.path().join("run"),
            };
            fs::create_dir_all(&session.directory).unwrap();
            record.write(&session.directory).unwrap();
            let scene = Self { project, _state: state, session, record };
            for path in paths {
                scene.plant(path, "evil");
            }
            let list = paths.iter().map(|path| {
                let (_, entry) = table::unit(path.as_bytes()).unwrap();
                Finding {
                    path: path.as_bytes().into(),
                    entry,
                    change: Change::New,
                    tracked: false,
                    older: false,
                }
            });
            let found = Found::new(Findings { list: list.collect(), ..Findings::default() });
            found.write(&scene.session.directory).unwrap();
            (scene, found)
        }

        fn plant(&self, path: &str, text: &str) {
            let path = self.project.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn conclusion(&self, found: Found) -> Conclusion<'_> {
            Conclusion::new(&self.session, &self.record, found)
        }

        /// Moves these cases, and is killed.
        fn killed_after(&self, found: Found, cases: &[usize]) {
            let mut conclusion = self.conclusion(found);
            conclusion.announce().unwrap();
            for at in cases {
                conclusion.set_aside(*at).unwrap();
            }
        }

        /// The next run; answers with what is written down then.
        fn resume(&self, person: Option<&mut dyn Person>) -> Found {
            let found = Found::read(&self.session.directory).unwrap().unwrap();
            let mut screen = Screen { out: &mut io::sink(), columns: None };
            self.conclusion(found).all(person, &mut screen).unwrap();
            Found::read(&self.session.directory).unwrap().unwrap()
        }

        /// Brings back what is wanted.
        fn keep(&self, wanted: &dyn Fn(&[u8]) -> bool) {
            let mut screen = Screen { out: &mut io::sink(), columns: None };
            keep(&self.session, wanted, &mut screen).unwrap();
        }

        fn stands(&self, path: &str) -> bool {
            fs::symlink_metadata(self.project.path().join(path)).is_ok()
        }

        fn aside(&self, number: u32) -> Vec<u8> {
            fs::read(self.session.directory.join("aside").join(number.to_string())).unwrap()
        }
    }

    fn paths(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    /// Keeps everything, and counts what is asked.
    #[derive(Default)]
    struct Keeper {
        asked: Vec<Vec<u8>>,
        rest: Option<usize>,
    }

    impl Person for Keeper {
        fn choose(&mut self, finding: &Finding, _: &dyn Fn() -> Vec<String>) -> Choice {
            self.asked.push(finding.path.0.clone());
            Choice::Keep
        }

        fn choose_rest(&mut self, count: &dyn Fn() -> usize) -> Choice {
            self.rest.get_or_insert_with(count);
            Choice::Keep
        }

        fn asks(&self) -> bool {
            self.rest.is_none()
        }
    }

    #[test]
    fn what_a_kill_left_unwritten_is_found() {
        let (scene, found) = Scene::new(&paths(&["a/.envrc", "b/.envrc", "c/.envrc"]));
        scene.killed_after(found, &[0, 2]);
        let mut person = Keeper::default();
        let found = scene.resume(Some(&mut person));
        assert_eq!(person.asked, [b"b/.envrc"], "what was set aside is not asked about again");
        let fates: Vec<_> = found.cases.iter().map(|case| case.fate.clone().unwrap()).collect();
        let aside = |number| Fate::Aside { number, part: None };
        assert_eq!(fates, [aside(1), Fate::Kept, aside(3)]);
        scene.keep(&|_| true);
        assert!(scene.stands("a/.envrc") && scene.stands("c/.envrc"));
    }

    /// The attack: to be killed in the middle, and to have the same name made again.
    #[test]
    fn what_stands_where_something_was_moved_is_not_passed_over() {
        let (scene, found) = Scene::new(&paths(&["a/.envrc", "b/.envrc"]));
        scene.killed_after(found, &[0]);
        scene.plant("a/.envrc", "another");
        let found = scene.resume(None);
        assert!(!scene.stands("a/.envrc") && !scene.stands("b/.envrc"));
        assert_eq!((found.cases.len(), found.aside()), (3, 3));
        assert_eq!((scene.aside(1), scene.aside(3)), (b"evil".to_vec(), b"another".to_vec()));
        // And killed again, behind that.
        assert_eq!(scene.resume(None), found);
    }

    #[test]
    fn a_part_is_found_by_its_own_number() {
        let (scene, found) = Scene::new(&paths(&["n/.git"]));
        fs::remove_file(scene.project.path().join("n/.git")).unwrap();
        scene.plant("n/.git/HEAD", "ref: x");
        let mut conclusion = scene.conclusion(found);
        conclusion.announce().unwrap();
        let head = head(&"n/.git".into());
        let aside = Aside::open(&scene.session.directory).unwrap();
        aside.take(&mut open(&scene.record).unwrap(), &head.0, part(0)).unwrap();
        let found = scene.resume(None);
        assert_eq!(found.cases[0].fate, Some(Fate::Aside { number: part(0), part: Some(head) }));
        assert!(scene.stands("n/.git"));
        scene.keep(&|_| true);
        assert!(scene.stands("n/.git/HEAD"));
    }

    #[test]
    fn what_was_brought_back_before_a_kill_is_back() {
        let (scene, _) = Scene::new(&paths(&["a/.envrc", "b/.envrc"]));
        let before = scene.resume(None);
        scene.keep(&|path| path.starts_with(b"a"));
        before.write(&scene.session.directory).unwrap();
        scene.keep(&|_| true);
        assert!(scene.stands("a/.envrc") && scene.stands("b/.envrc"));
        assert_eq!(Found::read(&scene.session.directory).unwrap().unwrap().aside(), 0);
    }

    #[test]
    fn a_person_is_asked_about_as_many_as_are_listed_and_once_about_the_rest() {
        let (scene, _) = Scene::new(&many(tell::MOST + 7));
        let mut person = Keeper::default();
        scene.resume(Some(&mut person));
        assert_eq!((person.asked.len(), person.rest), (tell::MOST, Some(7)));
    }

    fn many(count: usize) -> Vec<String> {
        (0..count).map(|at| format!("a/{at:05}/.envrc")).collect()
    }

    /// The attack: to keep every command of claudebox waiting by 20,000 files.
    #[test]
    fn twenty_thousand_files_are_seen_to_in_one_go() {
        let (scene, _) = Scene::new(&many(20_000));
        let begun = Instant::now();
        assert_eq!(scene.resume(None).aside(), 20_000);
        scene.keep(&|_| true);
        assert!(scene.stands("a/19999/.envrc") && scene.stands("a/00000/.envrc"));
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    }
}
