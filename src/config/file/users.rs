//! `server.users`: user ids for apps that do not say whom they run as, one for each.

use std::collections::BTreeSet;

#[derive(Debug)]
pub struct Users {
    first: u32,
    count: u32,
    taken: BTreeSet<u32>,
}

impl Users {
    /// `FIRST-LAST`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('-').and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
        match numbers {
            // 0 is root, and the highest number stands for none (chown(2)).
            Some((first, last)) if 0 < first && first <= last && last < u32::MAX => {
                Ok(Self { first, count: last - first + 1, taken: BTreeSet::new() })
            }
            _ => Err(format!("{text}: write FIRST-LAST, user ids such as 200000-200999, without root's")),
        }
    }

    /// The same for the same name, as files may belong to it: unless another name that came before it has that one, and
    /// then the next.
    pub fn take(&mut self, name: &str) -> Option<u32> {
        let count = u64::from(self.count);
        let start = hash(name) % count;
        let user = (0..count)
            .map(|step| self.first + ((start + step) % count) as u32)
            .find(|user| !self.taken.contains(user))?;
        self.taken.insert(user);
        Some(user)
    }
}

/// FNV-1a, which is the same in every version and on every machine.
fn hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_a_user_of_its_own() {
        let mut users = Users::parse("100-109").unwrap();
        let all: BTreeSet<_> = (0..10).filter_map(|n| users.take(&format!("app-{n}"))).collect();
        assert_eq!(all, (100..110).collect());
        assert_eq!(users.take("another"), None);
    }

    #[test]
    fn a_name_keeps_its_user_when_others_come() {
        let alone = Users::parse("100000-165535").unwrap().take("shop");
        let mut users = Users::parse("100000-165535").unwrap();
        let _ = (users.take("blog"), users.take("wiki"));
        assert_eq!(users.take("shop"), alone);
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for wrong in ["", "5", "0-5", "5-4", "a-b", "1-4294967295", "-1-5"] {
            assert!(Users::parse(wrong).is_err(), "{wrong}");
        }
    }
}
