//! `server.users`: user ids for apps that do not say whom they run as, one for each.

use super::Apps;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq)]
pub struct Users {
    first: u32,
    count: u32,
}

impl Users {
    /// `FIRST-LAST`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('-').and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
        match numbers {
            // 0 is root, and the highest number stands for none (chown(2)).
            Some((first, last)) if 0 < first && first <= last && last < u32::MAX => {
                Ok(Self { first, count: last - first + 1 })
            }
            _ => Err(format!("{text}: write FIRST-LAST, user ids such as 200000-200999, without root's")),
        }
    }

    /// Gives each app without a user one that no other has; the apps for which there is none.
    pub fn assign(&self, apps: &mut Apps, old: Option<&Apps>) -> Vec<String> {
        let named = apps.values().filter_map(|app| app.settings.identity);
        let mut taken: BTreeSet<u32> = named.map(|identity| identity.user.as_raw()).collect();
        let without: Vec<String> =
            apps.iter().filter(|(_, app)| app.settings.identity.is_none()).map(|(name, _)| name.clone()).collect();
        let before = |name: &String| old.and_then(|old| old.get(name)?.user).filter(|user| self.has(*user));
        let found = self.find(&without, before, &mut taken);
        let lacking = without.into_iter().filter(|name| !found.contains_key(name)).collect();
        for (name, user) in found {
            if let Some(app) = apps.get_mut(&name).filter(|app| app.user != Some(user)) {
                Arc::make_mut(app).user = Some(user);
            }
        }
        lacking
    }

    fn has(&self, user: u32) -> bool {
        user.checked_sub(self.first).is_some_and(|at| at < self.count)
    }

    /// Whoever has one keeps it. Others get the one that their name stands for, as files may belong to it, or if that is
    /// taken the next.
    fn find(
        &self,
        names: &[String],
        before: impl Fn(&String) -> Option<u32>,
        taken: &mut BTreeSet<u32>,
    ) -> BTreeMap<String, u32> {
        let mut found = BTreeMap::new();
        for name in names {
            if let Some(user) = before(name).filter(|user| taken.insert(*user)) {
                found.insert(name.clone(), user);
            }
        }
        // First those that get their own.
        for steps in [1, u64::from(self.count)] {
            for name in names {
                let mut users = self.from(name).take(steps as usize);
                if !found.contains_key(name)
                    && let Some(user) = users.find(|user| !taken.contains(user))
                {
                    taken.insert(user);
                    found.insert(name.clone(), user);
                }
            }
        }
        found
    }

    /// All of them, beginning with the one that the name stands for.
    fn from(&self, name: &str) -> impl Iterator<Item = u32> {
        let (first, count) = (self.first, u64::from(self.count));
        let start = hash(name) % count;
        (0..count).map(move |step| first + ((start + step) % count) as u32)
    }
}

/// FNV-1a, which is the same in every version and on every machine.
fn hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(range: &str, names: &[&str], before: &[(&str, u32)], taken: &[u32]) -> BTreeMap<String, u32> {
        let names: Vec<_> = names.iter().map(|name| name.to_string()).collect();
        let before = |name: &String| before.iter().find(|(other, _)| other == name).map(|(_, user)| *user);
        Users::parse(range).unwrap().find(&names, before, &mut taken.iter().copied().collect())
    }

    #[test]
    fn each_name_has_a_user_of_its_own() {
        let names: Vec<_> = (0..11).map(|n| format!("app-{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let found = find("100-109", &names, &[], &[]);
        assert_eq!(found.values().copied().collect::<BTreeSet<_>>(), (100..110).collect());
        assert_eq!(found.len(), 10, "there is none for the eleventh");
        let found = find("100-109", &names, &[], &[105]);
        assert!(found.values().all(|user| *user != 105), "somebody else's");
    }

    #[test]
    fn a_name_keeps_its_user_when_others_come() {
        let alone = find("100000-165535", &["shop"], &[], &[]);
        let beside = find("100000-165535", &["blog", "shop", "wiki"], &[], &[]);
        assert_eq!(beside["shop"], alone["shop"]);
        let had = find("100-101", &["a", "b"], &[("b", 100)], &[]);
        assert_eq!((had["a"], had["b"]), (101, 100));
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for wrong in ["", "5", "0-5", "5-4", "a-b", "1-4294967295", "-1-5"] {
            assert!(Users::parse(wrong).is_err(), "{wrong}");
        }
    }
}
