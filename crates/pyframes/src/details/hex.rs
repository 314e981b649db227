//! Addresses as hexadecimal strings of 16 digits, which every reader of JSON keeps whole.

use serde::de::{Deserialize as _, Deserializer, Error as _};

fn text(address: u64) -> String {
    format!("{address:#018x}")
}

fn parse(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

fn parsed<'de, D: Deserializer<'de>>(text: &str) -> Result<u64, D::Error> {
    parse(text).ok_or_else(|| D::Error::custom("an address is not a hexadecimal string"))
}

/// One address.
pub(super) mod address {
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(address: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::text(*address))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        super::parsed::<D>(&String::deserialize(deserializer)?)
    }
}

/// One that may be missing.
pub(super) mod optional {
    use serde::{Deserializer, Serializer};

    pub fn serialize<S: Serializer>(
        address: &Option<u64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match address {
            Some(address) => serializer.serialize_str(&super::text(*address)),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<u64>, D::Error> {
        super::optional_text(deserializer)?.map(|text| super::parsed::<D>(&text)).transpose()
    }
}

fn optional_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::<String>::deserialize(deserializer)
}

/// Several.
pub(super) mod list {
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(addresses: &[u64], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(addresses.iter().map(|address| super::text(*address)))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u64>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| super::parsed::<D>(text)).collect()
    }
}
