//! The forms of the secrets of providers: a fixed prefix and a random rest.

use super::bytes::{at, is_base64url, is_random, is_uuid, run_end};

/// A prefix, the characters after it, and their minimum number.
#[derive(Debug)]
struct Form(&'static str, Rest, usize);

/// The characters after a prefix.
#[derive(Clone, Copy, Debug)]
enum Rest {
    /// Letters and digits.
    Letters,
    /// Letters, digits, hyphens, and underscores, with a digit. For prefixes that no word has.
    Any,
    /// Letters, digits, hyphens, and underscores that look random.
    Url,
    /// Like `Any`, and dots.
    Dotted,
    /// Exactly this many lowercase hexadecimal digits.
    Hex,
    /// Exactly this many capital letters and digits.
    Capitals,
    /// Base64 with `+`, `/`, and `=`.
    Base64,
}

use Rest::{Any, Base64, Capitals, Dotted, Hex, Letters, Url};

/// Returns the forms whose prefix starts with a byte. More specific prefixes come first.
///
/// The forms are those that the providers document, or publish for the scanning of secrets in repositories
/// (<https://docs.github.com/en/code-security/reference/secret-security/supported-secret-scanning-patterns>).
#[rustfmt::skip]
const fn forms(first: u8) -> &'static [Form] {
    match first {
        b'A' => &[
            // AWS access keys, long-term and temporary, and keys of Bedrock.
            Form("AKIA", Capitals, 16), Form("ASIA", Capitals, 16), Form("ABIA", Capitals, 16), Form("ACCA", Capitals, 16),
            Form("ABSK", Base64, 60),
            // Google: API keys. Atlassian. Age.
            Form("AIza", Any, 33), Form("AQ.Ab", Any, 30),
            Form("ATATT3", Any, 60), Form("ATCTT3", Any, 60), Form("ATBB", Letters, 28), Form("AGE-SECRET-KEY-1", Capitals, 58),
            // Artifactory.
            Form("AKCp", Letters, 60),
        ],
        b'C' => &[Form("CFPAT-", Any, 40)],
        b'E' => &[Form("EAACEdEose0cBA", Letters, 20), Form("EAAA", Url, 56), Form("EZAK", Letters, 54), Form("EZTK", Letters, 54)],
        b'F' => &[Form("FLWSECK_TEST-", Hex, 32), Form("FLWSECK-", Hex, 32)],
        b'G' => &[Form("GOCSPX-", Any, 24), Form("GR1348941", Any, 20)],
        b'H' => &[Form("HRKU-", Any, 30)],
        b'L' => &[Form("LTAI", Letters, 16)],
        b'N' => &[Form("NRAK-", Capitals, 27), Form("NRAA-", Hex, 27)],
        b'P' => &[Form("PMAK-", Any, 50)],
        b'S' => &[Form("SG.", Dotted, 60), Form("SK", Hex, 32)],
        b'Y' => &[Form("YCAJE", Url, 20), Form("YCN", Url, 35)],
        b'a' => &[Form("aio_", Letters, 28), Form("ak_", Letters, 32), Form("api_org_", Letters, 30), Form("apify_api_", Letters, 30)],
        b'b' => &[Form("bkua_", Letters, 30), Form("bedrock-api-key-", Base64, 60), Form("bb_live_", Url, 20)],
        b'c' => &[
            Form("csk-", Letters, 40), Form("cfut_", Any, 40), Form("cfat_", Any, 40), Form("cio", Letters, 32),
        ],
        b'd' => &[
            Form("dapi", Hex, 32), Form("dop_v1_", Letters, 60), Form("doo_v1_", Letters, 60), Form("dor_v1_", Letters, 60),
            Form("dckr_pat_", Any, 24), Form("dckr_oat_", Any, 24), Form("dp.pt.", Letters, 40), Form("dp.st.", Dotted, 40),
            Form("dt0c01.", Dotted, 80), Form("dt0s01.", Dotted, 80), Form("duffel_live_", Any, 40),
        ],
        b'e' => &[Form("e2b_", Letters, 36), Form("esecret_", Letters, 20)],
        b'f' => &[
            Form("figd_", Any, 36), Form("fio-u-", Any, 60), Form("fc-", Hex, 32), Form("fw_", Letters, 22), Form("fo1_", Any, 40),
            Form("fm2_", Base64, 60),
        ],
        b'g' => &[
            Form("ghp_", Letters, 30), Form("gho_", Letters, 30), Form("ghu_", Letters, 30), Form("ghs_", Letters, 30),
            Form("ghr_", Letters, 30), Form("github_pat_", Any, 40), Form("gsk_", Letters, 40), Form("glsa_", Any, 36),
            Form("glc_", Base64, 40), Form("glpat-", Dotted, 20), Form("gldt-", Dotted, 20), Form("glrt-", Dotted, 20),
            Form("glptt-", Dotted, 20), Form("glsoat-", Dotted, 20), Form("glcbt-", Dotted, 20), Form("glft-", Dotted, 20),
            Form("glimt-", Dotted, 20), Form("glagent-", Dotted, 40), Form("gloas-", Dotted, 40), Form("glffct-", Dotted, 20),
        ],
        b'h' => &[Form("hf_", Letters, 30), Form("hvs.", Any, 20), Form("hvb.", Any, 20), Form("hvr.", Any, 20)],
        b'j' => &[Form("jina_", Any, 40)],
        b'l' => &[Form("lin_api_", Letters, 36), Form("lin_oauth_", Letters, 36), Form("lsv2_pt_", Any, 32), Form("lsv2_sk_", Any, 32)],
        b'm' => &[Form("m0-", Letters, 36), Form("mdb_sa_sk_", Any, 36)],
        b'n' => &[
            Form("npm_", Letters, 30), Form("nvapi-", Any, 40), Form("ntn_", Letters, 40), Form("napi_", Letters, 40), Form("nfp_", Letters, 34),
        ],
        b'o' => &[Form("ops_eyJ", Any, 60), Form("oy2", Letters, 43)],
        b'p' => &[
            Form("pplx-", Letters, 30), Form("pypi-", Any, 50), Form("pcsk_", Any, 40), Form("pul-", Hex, 40), Form("pnu_", Letters, 34),
            Form("pscale_tkn_", Dotted, 30), Form("pscale_pw_", Dotted, 30), Form("pscale_oauth_", Dotted, 30), Form("pat", Dotted, 70),
            Form("phx_", Letters, 36), Form("pa-", Url, 40),
        ],
        b'r' => &[
            Form("r8_", Letters, 30), Form("rk_live_", Letters, 20), Form("rk_test_", Letters, 20), Form("rubygems_", Hex, 48),
            Form("rdme_", Letters, 60), Form("rnd_", Letters, 26), Form("rpa_", Letters, 40), Form("re_", Url, 32),
        ],
        b's' => &[
            Form("sk-ant-", Any, 20), Form("sk-proj-", Any, 20), Form("sk-svcacct-", Any, 20), Form("sk-admin-", Any, 20),
            Form("sk-or-v1-", Any, 20), Form("sk-lf-", Any, 36), Form("sk-", Url, 16), Form("sk_live_", Letters, 16), Form("sk_test_", Letters, 16),
            Form("sk_", Letters, 40), Form("shpat_", Hex, 32), Form("shpca_", Hex, 32), Form("shppa_", Hex, 32), Form("shpss_", Hex, 32),
            Form("sq0atp-", Any, 20), Form("sq0csp-", Any, 36), Form("sbp_", Hex, 40), Form("sb_secret_", Any, 20),
            Form("sntrys_", Base64, 60), Form("sntryu_", Hex, 64), Form("sgp_", Any, 36), Form("secret_", Letters, 24),
            Form("syt_", Url, 30), Form("sm_", Letters, 40),
        ],
        b't' => &[Form("tvly-", Any, 28), Form("tgp_v1_", Any, 36), Form("tfp_", Any, 40), Form("tskey-", Url, 24)],
        b'v' => &[Form("vck_", Letters, 40), Form("vcp_", Letters, 40), Form("v1.0-", Any, 140)],
        b'w' => &[Form("whsec_", Base64, 24), Form("wandb_v1_", Any, 40)],
        b'x' => &[
            Form("xoxb-", Any, 16), Form("xoxp-", Any, 16), Form("xoxa-", Any, 16), Form("xoxr-", Any, 16), Form("xoxs-", Any, 16),
            Form("xoxe-", Any, 16), Form("xoxe.xoxp-", Any, 40), Form("xoxc-", Any, 16), Form("xoxd-", Base64, 40), Form("xapp-", Any, 40),
            Form("xai-", Letters, 40), Form("xkeysib-", Any, 64), Form("xsmtpsib-", Any, 64),
        ],
        b'y' => &[Form("ya29.", Any, 20)],
        b'1' => &[Form("1//0", Any, 30)],
        _ => &[],
    }
}

/// The maximum length of the part of a secret that is examined. The secret may be longer.
const MAX_EXAMINED: usize = 256;

/// Returns the end of the secret with a known prefix that starts at a position.
pub(super) fn end(bytes: &[u8], start: usize) -> Option<usize> {
    let rest = bytes.get(start..)?;
    let second = rest.get(1);
    let mut forms = forms(*rest.first()?).iter().filter(|form| form.0.as_bytes().get(1) == second);
    forms.find_map(|Form(prefix, characters, min)| {
        let rest = rest.strip_prefix(prefix.as_bytes())?;
        let examined = rest.get(..MAX_EXAMINED).unwrap_or(rest);
        let examined = examined.get(..run_end(examined, 0, |byte| characters.contain(byte))).unwrap_or_default();
        characters.are_secret(examined, *min).then(|| {
            let end = run_end(bytes, start + prefix.len(), |byte| characters.contain(byte));
            // A dot that ends a sentence is not part of the secret.
            end - usize::from(at(bytes, end - 1) == b'.')
        })
    })
}

impl Rest {
    fn contain(self, byte: u8) -> bool {
        match self {
            Letters | Hex | Capitals => byte.is_ascii_alphanumeric(),
            Any | Url => is_base64url(byte),
            Dotted => is_base64url(byte) || byte == b'.',
            Base64 => byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_' | b'%'),
        }
    }

    fn are_secret(self, rest: &[u8], min: usize) -> bool {
        let has = |is_part: fn(&u8) -> bool| rest.iter().any(is_part);
        rest.len() >= min
            && match self {
                Letters => {
                    has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic)
                        || has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase)
                }
                Any | Dotted => has(u8::is_ascii_digit),
                Url | Base64 => is_random(rest) || rest.get(..36).is_some_and(is_uuid) || has_long_run(rest),
                Hex => rest.len() == min && rest.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')),
                Capitals => rest.len() == min && !has(u8::is_ascii_lowercase),
            }
    }
}

/// Returns `true` if there are more letters and digits in a row than in words.
fn has_long_run(rest: &[u8]) -> bool {
    rest.split(|byte| !byte.is_ascii_alphanumeric()).any(|run| run.len() >= 20)
}

#[cfg(test)]
mod tests {
    use super::{end, forms};

    #[test]
    fn each_form_is_listed_under_its_first_byte() {
        for first in 0..=u8::MAX {
            assert!(forms(first).iter().all(|form| form.0.as_bytes()[0] == first), "{first}");
        }
    }

    #[test]
    fn slugs_with_a_prefix_are_not_secrets() {
        for text in [
            "sk-learn-pipeline-production-2024",
            "pa-system-announcements-in-the-main-building-2024",
            "re_",
            "sk-",
            "xoxb-",
        ] {
            assert_eq!(end(text.as_bytes(), 0), None, "{text}");
        }
    }
}
