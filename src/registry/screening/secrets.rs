use super::{
    super::keys::is_api_key,
    assignment,
    bytes::{at, before, class_changes, is_base64url, is_word, part, run_end},
    found::Found,
    jwt, private_keys,
    screening_kind::ScreeningKind,
    secret_forms, url_credentials,
};

/// The shortest text that contains a secret, in bytes: `pwd=abcd`.
const MIN_LENGTH: usize = 8;
/// The shortest beginning of a private key, in bytes.
const MIN_PRIVATE_KEY: usize = "-----BEGIN PRIVATE KEY-----".len();

/// Finds keys, tokens, and passwords.
///
/// `may_have_user` is `false` if the text has no URL with a user.
pub(super) fn find(text: &str, may_have_user: bool, found: &mut impl FnMut(Found)) {
    if text.len() < MIN_LENGTH {
        return;
    }
    if text.len() >= MIN_PRIVATE_KEY {
        private_keys::find(text, found);
    }
    if may_have_user {
        url_credentials::find(text, found);
    }
    let bytes = text.as_bytes();
    let mut position = 0;
    while position < bytes.len() {
        if !is_base64url(at(bytes, position)) {
            position += 1;
            continue;
        }
        let end = run_end(bytes, position, is_base64url);
        position = match in_word(text, position, end) {
            Some((start, end)) => {
                found(Found { start, end, kind: ScreeningKind::Secrets });
                end
            }
            None => end,
        };
    }
}

/// Returns the first secret that starts in a word, or that the word names.
fn in_word(text: &str, start: usize, end: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    // A percent-encoded character may precede the word: `key%3Dsk-…`.
    let is_encoded = before(bytes, start) == b'%';
    let start = if is_encoded { end.min(start + 2) } else { start };
    if is_api_key(part(text, start, end)) {
        return Some((start, end));
    }
    let is_start = |position: usize| position == start || !is_word(before(bytes, position));
    let with_form = (start..end).filter(|position| is_start(*position)).find_map(|position| {
        let end = secret_forms::end(bytes, position).or_else(|| jwt::end(bytes, position))?;
        Some((position, end))
    });
    with_form.or_else(|| without_prefix(text, start, end)).or_else(|| assignment::value_after(text, start, end))
}

/// Returns the secret of a provider whose secrets have another mark than a prefix.
fn without_prefix(text: &str, start: usize, end: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    telegram_end(bytes, start, end)
        .or_else(|| azure_client_end(bytes, end).map(|end| (start, end)))
        .or_else(|| discord_end(text, start, end).map(|end| (start, end)))
        .or_else(|| is_azure_key(part(text, start, end)).then_some((start, end)))
        .or_else(|| is_mailchimp_key(part(text, start, end)).then_some((start, end)))
        .or_else(|| aws_secret_end(bytes, start).map(|end| (start, end)))
        .or_else(|| webhook(text, start, end))
}

/// Telegram: `<id of the bot>:<35 characters>`, where the characters start with `AA`.
fn telegram_end(bytes: &[u8], start: usize, end: usize) -> Option<(usize, usize)> {
    if at(bytes, end) != b':' || at(bytes, end + 1) != b'A' {
        return None;
    }
    let id = run_end(bytes, start, |byte| !byte.is_ascii_digit());
    let is_id = id <= end && (8..=10).contains(&(end - id)) && run_end(bytes, id, |byte| byte.is_ascii_digit()) == end;
    let token_end = run_end(bytes, end + 1, is_base64url);
    (is_id && (33..=36).contains(&(token_end - end - 1))).then_some((id, token_end))
}

/// Client secrets of Microsoft Entra: three characters, a digit, `Q~`, and 31 to 34 characters.
fn azure_client_end(bytes: &[u8], end: usize) -> Option<usize> {
    if at(bytes, end) != b'~' || before(bytes, end) != b'Q' {
        return None;
    }
    let secret_end = run_end(bytes, end + 1, |byte| is_base64url(byte) || matches!(byte, b'~' | b'.'));
    (31..=35).contains(&(secret_end - end - 1)).then_some(secret_end)
}

/// Tokens of Discord bots: the id in Base64, a time of six characters, and 27 or more characters.
fn discord_end(text: &str, start: usize, end: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    if !(23..=28).contains(&(end - start)) || at(bytes, end) != b'.' || !matches!(at(bytes, start), b'M' | b'N' | b'O')
    {
        return None;
    }
    let time_end = run_end(bytes, end + 1, is_base64url);
    let token_end = run_end(bytes, time_end + 1, is_base64url);
    let is_token =
        time_end - end == 7 && at(bytes, time_end) == b'.' && (27..=40).contains(&(token_end - time_end - 1));
    is_token.then_some(token_end)
}

/// Keys of Azure AI services: 84 letters and digits with the mark `JQQJ99`.
fn is_azure_key(word: &str) -> bool {
    word.len() == 84 && word.contains("JQQJ99")
}

/// Secret access keys of AWS: 40 characters of Base64 without a mark.
fn aws_secret_end(bytes: &[u8], start: usize) -> Option<usize> {
    const LENGTH: usize = 40;
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let secret = bytes.get(start..start + LENGTH)?;
    let is_alone = !is_base64(before(bytes, start)) && !is_base64url(at(bytes, start + LENGTH));
    let is_alone = is_alone && !matches!(at(bytes, start + LENGTH), b'+' | b'/' | b'=' | b'.');
    if !is_alone || !secret.iter().all(|byte| is_base64(*byte)) {
        return None;
    }
    let has = |is_part: fn(&u8) -> bool| secret.iter().any(is_part);
    let is_random = has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_lowercase)
        && has(u8::is_ascii_digit)
        // Words and paths have fewer.
        && class_changes(secret) >= 12;
    is_random.then_some(start + LENGTH)
}

/// API keys of Mailchimp: 32 hexadecimal digits and a data center, such as `-us12`.
fn is_mailchimp_key(word: &str) -> bool {
    (36..=37).contains(&word.len())
        && word.split_once("-us").is_some_and(|(key, center)| {
            key.len() == 32
                && key.bytes().all(|byte| byte.is_ascii_hexdigit())
                && (1..=2).contains(&center.len())
                && center.bytes().all(|byte| byte.is_ascii_digit())
        })
}

/// URLs that allow everyone to post: `hooks.slack.com/services/…`, `discord.com/api/webhooks/…`.
fn webhook(text: &str, start: usize, end: usize) -> Option<(usize, usize)> {
    if at(text.as_bytes(), end) != b'.' {
        return None;
    }
    let rest = match part(text, start, end) {
        "hooks" => part(text, end, text.len()).strip_prefix(".slack.com/services/")?,
        "discord" | "discordapp" => part(text, end, text.len()).strip_prefix(".com/api/webhooks/")?,
        _ => return None,
    };
    let secret = text.len() - rest.len();
    let secret_end = run_end(text.as_bytes(), secret, |byte| is_base64url(byte) || byte == b'/');
    (secret_end - secret >= 20).then_some((secret, secret_end))
}
