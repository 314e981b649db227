//! Secrets are taken out before anything is written: environment, command line and texts. Which
//! names are those of secrets is told by `lastwords_pyframes::SECRET_WORDS`.

use lastwords_pyframes::is_secret_name;

/// Variables whose values help to understand a crash and identify nobody.
const KEPT: &[&str] = &[
    "CONDA_DEFAULT_ENV",
    "CUDA_VISIBLE_DEVICES",
    "DESKTOP_SESSION",
    "GOMP_CPU_AFFINITY",
    "LANG",
    "LANGUAGE",
    "LD_PRELOAD",
    "MALLOC_ARENA_MAX",
    "MKL_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "TERM",
    "TZ",
    "XDG_SESSION_TYPE",
];
/// Families of such variables.
const KEPT_PREFIXES: &[&str] = &["LC_", "PYTHON"];
/// What stands for a value that was taken out.
const SCRUBBED: &[u8] = b"[scrubbed]";

fn is_kept(name: &str) -> bool {
    let is_listed =
        KEPT.contains(&name) || KEPT_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    is_listed && !is_secret_name(name)
}

/// Whether this is what an environment variable is called. A program that writes its title over
/// its environment leaves ends of values there, which are none.
fn is_variable_name(name: &[u8]) -> bool {
    let is_first = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_';
    name.first().is_some_and(is_first)
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_.-%()".contains(byte))
}

/// `environ` as in `/proc/PID/environ`: names stay, values only of harmless variables.
pub(crate) fn environment(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    for entry in raw.split(|byte| *byte == 0).filter(|entry| !entry.is_empty()) {
        let mut halves = entry.splitn(2, |byte| *byte == b'=');
        let name = halves.next().unwrap_or(&[]);
        let Some(value) = halves.next().filter(|_| is_variable_name(name)) else {
            out.extend_from_slice(SCRUBBED);
            out.push(0);
            continue;
        };
        let keep = std::str::from_utf8(name).is_ok_and(is_kept);
        out.extend_from_slice(name);
        out.push(b'=');
        out.extend_from_slice(if keep || value.is_empty() { value } else { SCRUBBED });
        out.push(0);
    }
    out
}

/// `cmdline` as in `/proc/PID/cmdline`: `--password=x`, `--token x` and URLs with a user part
/// lose the secret.
pub(crate) fn command_line(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut is_secret = false;
    for argument in raw.split(|byte| *byte == 0) {
        let text = String::from_utf8_lossy(argument);
        let (name, value) = text.split_once('=').map_or((&*text, None), |(n, v)| (n, Some(v)));
        if is_secret && !argument.is_empty() {
            out.extend_from_slice(SCRUBBED);
        } else if value.is_some() && is_secret_name(name) {
            out.extend_from_slice(name.as_bytes());
            out.push(b'=');
            out.extend_from_slice(SCRUBBED);
        } else {
            out.extend_from_slice(without_userinfo(&text).as_bytes());
        }
        out.push(0);
        is_secret = value.is_none() && name.starts_with('-') && is_secret_name(name);
    }
    out.pop();
    out
}

/// Free text: values behind names of secrets (`token=x`), and passwords in addresses.
pub(crate) fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_inclusive(char::is_whitespace) {
        let bare = word.trim_end_matches(char::is_whitespace);
        match bare.split_once('=').filter(|(name, value)| is_secret_name(name) && !value.is_empty())
        {
            Some((name, _)) => {
                out.push_str(name);
                out.push_str("=[scrubbed]");
            }
            None => out.push_str(&without_userinfo(bare)),
        }
        out.push_str(word.get(bare.len()..).unwrap_or(""));
    }
    out
}

/// `scheme://user:password@host` becomes `scheme://[scrubbed]@host`, as often as it stands there.
fn without_userinfo(text: &str) -> String {
    let mut parts = text.split("://");
    let mut out = parts.next().unwrap_or("").to_owned();
    for rest in parts {
        let authority_end = rest.find(['/', '?', '#', ',', ' ']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(authority_end).unwrap_or((rest, ""));
        out.push_str("://");
        match authority.rsplit_once('@') {
            Some((_, host)) => {
                out.push_str("[scrubbed]@");
                out.push_str(host);
            }
            None => out.push_str(authority),
        }
        out.push_str(path);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmless_variables_keep_their_values() {
        let raw = b"LANG=C.UTF-8\0AWS_SECRET_ACCESS_KEY=abc\0HOME=/home/ann\0PYTHONPATH=/x\0\
                    PYTHON_TOKEN=t\0";
        let scrubbed = environment(raw);
        let text = String::from_utf8(scrubbed).unwrap();
        assert_eq!(
            text,
            "LANG=C.UTF-8\0AWS_SECRET_ACCESS_KEY=[scrubbed]\0HOME=[scrubbed]\0PYTHONPATH=/x\0\
             PYTHON_TOKEN=[scrubbed]\0"
        );
    }

    #[test]
    fn what_is_no_variable_is_taken_out_wholly() {
        let raw = b"python: worker\0end-of-a-secret\0+/x9==\0EMPTY=\0BASH_FUNC_x%%=() { :; }\0";
        assert_eq!(
            String::from_utf8(environment(raw)).unwrap(),
            "[scrubbed]\0[scrubbed]\0[scrubbed]\0EMPTY=\0BASH_FUNC_x%%=[scrubbed]\0"
        );
    }

    #[test]
    fn free_text_keeps_its_form_and_loses_its_secrets() {
        let raw = "left == right\n  db_password=hunter2, at https://a:b@host/x\n a=b";
        let scrubbed = "left == right\n  db_password=[scrubbed] at https://[scrubbed]@host/x\n a=b";
        assert_eq!(text(raw), scrubbed);
    }

    #[test]
    fn every_address_of_an_argument_loses_its_password() {
        let raw = b"db=a://u:p@one,b://v:q@two/x?y=1\0--private-key\0-abc\0--aws_access_key=z\0";
        assert_eq!(
            String::from_utf8(command_line(raw)).unwrap(),
            "db=a://[scrubbed]@one,b://[scrubbed]@two/x?y=1\0--private-key\0[scrubbed]\0\
             --aws_access_key=[scrubbed]\0"
        );
    }

    #[test]
    fn secrets_on_the_command_line_are_taken_out() {
        let raw = b"app\0--password=hunter2\0--token\0abc\0-v\0https://ann:pw@host/path\0file=1\0";
        assert_eq!(
            String::from_utf8(command_line(raw)).unwrap(),
            "app\0--password=[scrubbed]\0--token\0[scrubbed]\0-v\0https://[scrubbed]@host/path\0\
             file=1\0"
        );
    }
}
