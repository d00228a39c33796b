//! Pages: limits and opaque cursors.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use proto_msgs::{
    ConfigId,
    api::{PAGE_DEFAULT, PAGE_MAX, Page},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::failure::Failure;

/// What a client asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paging {
    pub limit: Option<u32>,
    pub cursor: Option<String>,
}

impl Paging {
    pub fn limit(&self) -> Result<u32, Failure> {
        match self.limit.unwrap_or(PAGE_DEFAULT) {
            limit if (1..=PAGE_MAX).contains(&limit) => Ok(limit),
            limit => Err(Failure::invalid(format!("limit is {limit}"), format!("give 1 to {PAGE_MAX}"))),
        }
    }

    /// Where the page before ended.
    pub fn after<T: DeserializeOwned>(&self) -> Result<Option<T>, Failure> {
        self.cursor.as_deref().map(decode).transpose()
    }
}

/// The place of a list that belongs to something: a cursor of another one's is refused.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Of<O, K> {
    pub of: O,
    pub after: K,
}

impl Paging {
    /// Where the page before ended, in the list of `owner`.
    pub fn after_in<O, K>(&self, owner: &O) -> Result<Option<K>, Failure>
    where
        O: PartialEq + DeserializeOwned,
        K: DeserializeOwned,
    {
        match self.after::<Of<O, K>>()? {
            Some(place) if place.of != *owner => Err(stranger()),
            place => Ok(place.map(|place| place.after)),
        }
    }
}

/// The owner of a config's list of that name: its other lists have the same keys.
pub fn of_config(list: &str, config: ConfigId) -> (String, ConfigId) {
    (list.to_owned(), config)
}

pub fn encode<T: Serialize>(place: &T) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::json!(place).to_string())
}

fn decode<T: DeserializeOwned>(cursor: &str) -> Result<T, Failure> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
    let place = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    place.ok_or_else(stranger)
}

fn stranger() -> Failure {
    Failure::invalid("the cursor is not one of this list", "pass `next` of the page before, or no cursor")
}

/// Takes a page out of a whole list, in the order of the keys.
pub fn cut<T, K>(mut items: Vec<T>, paging: &Paging, key: impl Fn(&T) -> K) -> Result<Page<T>, Failure>
where
    K: Ord + Serialize + DeserializeOwned,
{
    let (limit, after) = (paging.limit()? as usize, paging.after::<K>()?);
    let total = items.len() as u64;
    items.sort_by_key(&key);
    if let Some(after) = after {
        items.retain(|item| key(item) > after);
    }
    let has_more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| has_more).map(|last| encode(&key(last)));
    Ok(Page { items, next, total: Some(total), hash: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paging(limit: u32, cursor: Option<String>) -> Paging {
        Paging { limit: Some(limit), cursor }
    }

    #[test]
    fn pages_follow_each_other_without_gap_or_repeat() {
        let list = || vec![3, 1, 2, 5, 4];
        let first = cut(list(), &paging(2, None), |n| *n).unwrap();
        assert_eq!((first.items, first.total), (vec![1, 2], Some(5)));
        let second = cut(list(), &paging(2, first.next), |n| *n).unwrap();
        assert_eq!(second.items, [3, 4]);
        let last = cut(list(), &paging(2, second.next), |n| *n).unwrap();
        assert_eq!((last.items, last.next), (vec![5], None));
    }

    #[test]
    fn a_cursor_holds_where_its_entry_has_left_the_list() {
        use std::cmp::Reverse;
        let newest_first = cut(vec![5, 4, 3], &paging(1, None), |n| Reverse(*n)).unwrap();
        let rest = cut(vec![6, 4, 3], &paging(9, newest_first.next), |n| Reverse(*n)).unwrap();
        assert_eq!((newest_first.items, rest.items), (vec![5], vec![4, 3]));
    }

    #[test]
    fn a_cursor_of_another_owners_list_is_refused() {
        let cursor = encode(&Of { of: 1, after: "a" });
        let after = |owner| paging(1, Some(cursor.clone())).after_in::<u32, String>(&owner);
        assert_eq!(after(1).unwrap().as_deref(), Some("a"));
        assert!(after(2).is_err());
    }

    #[test]
    fn limits_and_cursors_that_mean_nothing_are_refused() {
        assert!(paging(0, None).limit().is_err() && paging(PAGE_MAX + 1, None).limit().is_err());
        assert!(paging(1, Some("%".to_owned())).after::<u32>().is_err());
        assert!(paging(1, Some("bm9uZQ".to_owned())).after::<u32>().is_err());
    }
}
