//! Takes out of paths and texts what tells who the user is.

use crate::snapshot::Personal;

/// What stands for what was taken out.
pub(crate) const SCRUBBED: &str = "[scrubbed]";

/// Folders whose subfolders are homes, and root's own.
const HOMES: &[&str] = &["/home/", "/Users/", "/var/home/", "/export/home/"];
const ROOT_HOME: &str = "/root";
/// From here on a path says what library it is, not whose.
const LIBRARIES: &[&str] = &["/site-packages/", "/dist-packages/"];
/// Shorter names are in too many words.
const SHORTEST_NAME: usize = 3;

/// Knows the user of one process.
#[derive(Debug, Default)]
pub(crate) struct PathScrubber {
    home: Option<String>,
    names: Vec<String>,
}

impl PathScrubber {
    pub(crate) fn new(personal: Personal) -> Self {
        let home = personal.home.map(|home| home.trim_end_matches('/').to_owned());
        let mut names = personal.names;
        let of_home = home.as_deref().and_then(|home| home.rsplit('/').next());
        names.extend(of_home.map(str::to_owned));
        names.retain(|name| name.len() >= SHORTEST_NAME && name != "root" && name != "home");
        Self { home: home.filter(|home| !home.is_empty()), names }
    }

    /// A path below a home directory, or with the user's name in it, keeps its file name only, or
    /// what follows `site-packages`. Others stay.
    pub(crate) fn path(&self, path: &str) -> String {
        if !self.is_personal(path) {
            return path.to_owned();
        }
        let library =
            LIBRARIES.iter().find_map(|folder| Some(path.rfind(folder)?.saturating_add(1)));
        let file = || path.rfind('/').map_or(0, |slash| slash.saturating_add(1));
        let kept = path.get(library.unwrap_or_else(file)..).unwrap_or("");
        format!("{SCRUBBED}/{}", self.text(kept))
    }

    /// Replaces the user's name wherever it stands as a word, and the home directory.
    pub(crate) fn text(&self, text: &str) -> String {
        let text = match &self.home {
            Some(home) if home.len() > 1 => text.replace(home.as_str(), SCRUBBED),
            _ => text.to_owned(),
        };
        let mut out = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some(start) = rest.find(char::is_alphanumeric) {
            let (before, tail) = rest.split_at_checked(start).unwrap_or((rest, ""));
            let end = tail.find(|c: char| !c.is_alphanumeric()).unwrap_or(tail.len());
            let (word, tail) = tail.split_at_checked(end).unwrap_or((tail, ""));
            out.push_str(before);
            out.push_str(if self.is_name(word) { SCRUBBED } else { word });
            rest = tail;
        }
        out.push_str(rest);
        out
    }

    /// The `maps` file of a process: its paths.
    pub(crate) fn maps(&self, bytes: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(bytes);
        let mut out = String::with_capacity(text.len());
        for line in text.split_inclusive('\n') {
            let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
            let path = line.find('/').unwrap_or(line.len());
            let (before, path) = line.split_at_checked(path).unwrap_or((line, ""));
            out.push_str(before);
            out.push_str(&self.path(path));
            out.push_str(end);
        }
        out.into_bytes()
    }

    fn is_personal(&self, path: &str) -> bool {
        let is_below = |home: &str| {
            path.strip_prefix(home).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        HOMES.iter().any(|homes| path.starts_with(homes))
            || is_below(ROOT_HOME)
            || self.home.as_deref().is_some_and(is_below)
            || path.split(|c: char| !c.is_alphanumeric()).any(|word| self.is_name(word))
    }

    fn is_name(&self, word: &str) -> bool {
        self.names.iter().any(|name| name.eq_ignore_ascii_case(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_ann() -> PathScrubber {
        PathScrubber::new(Personal {
            home: Some("/data/people/ann/".to_owned()),
            names: vec!["annika".to_owned(), "x".to_owned()],
        })
    }

    #[test]
    fn a_path_of_a_person_keeps_its_file_name_only() {
        let scrubber = of_ann();
        for (path, expected) in [
            ("/usr/lib/libc.so.6", "/usr/lib/libc.so.6"),
            ("/opt/x/app", "/opt/x/app"),
            ("/home/bob/secret-project/mod.so", "[scrubbed]/mod.so"),
            ("/root/thing", "[scrubbed]/thing"),
            ("/rooted/thing", "/rooted/thing"),
            ("/data/people/ann/a.py", "[scrubbed]/a.py"),
            ("/data/people/annette/a.py", "/data/people/annette/a.py"),
            ("/tmp/pytest-of-Annika/a.py", "[scrubbed]/a.py"),
            ("/srv/annika.so", "[scrubbed]/[scrubbed].so"),
            (
                "/home/bob/v/lib/python3.12/site-packages/numpy/core.so",
                "[scrubbed]/site-packages/numpy/core.so",
            ),
            ("[heap]", "[heap]"),
            ("", ""),
        ] {
            assert_eq!(scrubber.path(path), expected, "{path}");
        }
    }

    #[test]
    fn text_loses_the_name_and_the_home() {
        let told = of_ann().text("opened /data/people/ann/x by ANNIKA, not by annikas");
        assert_eq!(told, "opened [scrubbed]/x by [scrubbed], not by annikas");
    }

    #[test]
    fn maps_lose_paths_and_nothing_else() {
        let maps =
            b"1000-2000 r-xp 00000000 08:01 12   /home/bob/a b.so\n2000-3000 rw-p 0 00:00 0\n";
        let told = String::from_utf8(of_ann().maps(maps)).unwrap();
        assert_eq!(
            told,
            "1000-2000 r-xp 00000000 08:01 12   [scrubbed]/a b.so\n2000-3000 rw-p 0 00:00 0\n"
        );
    }

    #[test]
    fn nobody_known_means_the_usual_homes_only() {
        let nobody = PathScrubber::new(Personal { home: Some("/".to_owned()), names: Vec::new() });
        assert_eq!(nobody.path("/usr/bin/env"), "/usr/bin/env");
        assert_eq!(nobody.text("a / b"), "a / b");
    }
}
