//! Secrets are taken out before anything is written: environment and command line.

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
/// Words in a name that make its value a secret, whatever else it is.
const SECRET_WORDS: &[&str] = &[
    "password",
    "passwd",
    "secret",
    "token",
    "apikey",
    "api_key",
    "api-key",
    "credential",
    "auth",
];
/// What stands for a value that was taken out.
const SCRUBBED: &[u8] = b"[scrubbed]";

fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

fn is_kept(name: &str) -> bool {
    let is_listed =
        KEPT.contains(&name) || KEPT_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    is_listed && !is_secret_name(name)
}

/// `environ` as in `/proc/PID/environ`: names stay, values only of harmless variables.
pub(crate) fn environment(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    for entry in raw.split(|byte| *byte == 0).filter(|entry| !entry.is_empty()) {
        let mut halves = entry.splitn(2, |byte| *byte == b'=');
        let name = halves.next().unwrap_or(&[]);
        let value = halves.next().unwrap_or(&[]);
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
        if is_secret && !argument.starts_with(b"-") {
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

/// `scheme://user:password@host` becomes `scheme://[scrubbed]@host`.
fn without_userinfo(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let authority_end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(authority_end).unwrap_or((rest, ""));
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://[scrubbed]@{host}{path}"),
        None => text.to_owned(),
    }
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
    fn secrets_on_the_command_line_are_taken_out() {
        let raw = b"app\0--password=hunter2\0--token\0abc\0-v\0https://ann:pw@host/path\0file=1\0";
        assert_eq!(
            String::from_utf8(command_line(raw)).unwrap(),
            "app\0--password=[scrubbed]\0--token\0[scrubbed]\0-v\0https://[scrubbed]@host/path\0\
             file=1\0"
        );
    }
}
