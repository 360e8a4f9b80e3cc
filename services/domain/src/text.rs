//! Personal values and free text. Events and documents hold only a [`Ref`]; the value travels beside them as a
//! [`Secret`] into the vault and comes back masked unless a policy says otherwise.

use std::fmt;

use crate::ids::*;

/// Points at a value of the vault.
pub type Ref = VaultId;

/// Whose key seals a value: the person if known, else the record. Erasing a subject makes all its values unreadable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A person, by a keyed hash of the telephone number; never the number itself.
    Person(String),
    /// An alarm.
    Alarm(AlarmId),
    /// An incident with its tasks and photos.
    Incident(IncidentId),
    /// An account's owner.
    Account(AccountId),
    /// A message whose sender is not known.
    Message(MessageId),
    /// A device that logs in to the broker.
    Device(DeviceId),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(key) => write!(f, "person/{key}"),
            Self::Alarm(id) => write!(f, "alarm/{id}"),
            Self::Incident(id) => write!(f, "incident/{id}"),
            Self::Account(id) => write!(f, "account/{id}"),
            Self::Message(id) => write!(f, "message/{id}"),
            Self::Device(id) => write!(f, "device/{id}"),
        }
    }
}

impl Subject {
    /// Reads what `Display` wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, id) = text.split_once('/')?;
        Some(match kind {
            "person" => Self::Person(id.to_owned()),
            "alarm" => Self::Alarm(AlarmId(id.parse().ok()?)),
            "incident" => Self::Incident(IncidentId(id.parse().ok()?)),
            "account" => Self::Account(id.into()),
            "message" => Self::Message(MessageId(id.parse().ok()?)),
            "device" => Self::Device(id.into()),
            _ => return None,
        })
    }
}

/// What a sealed value is; decides how it is masked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretKind {
    /// A person's name: 陈**.
    Name,
    /// A telephone number: 138****2107.
    Phone,
    /// Free text: nothing of it is shown where it is masked.
    Text,
    /// The name of a duty post's holder, which the roster publishes; shown in full.
    Published,
}

/// A value on its way into the vault.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    /// Its place.
    pub id: VaultId,
    /// Whose key.
    pub subject: Subject,
    /// What it is.
    pub kind: SecretKind,
    /// The value.
    pub value: String,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} of {})", self.id, self.subject)
    }
}

impl Secret {
    /// The value as those see it who may not see it in full.
    pub fn masked(&self) -> String {
        match self.kind {
            SecretKind::Name => self.value.chars().next().map_or_else(String::new, |c| format!("{c}**")),
            SecretKind::Phone => mask_phone(&self.value),
            SecretKind::Text => String::new(),
            SecretKind::Published => self.value.clone(),
        }
    }
}

fn mask_phone(value: &str) -> String {
    let digits: Vec<char> = value.chars().filter(char::is_ascii_digit).collect();
    if digits.len() < 8 {
        return "****".to_owned();
    }
    let (head, tail) = (&digits[..3], &digits[digits.len() - 4..]);
    format!("{}****{}", head.iter().collect::<String>(), tail.iter().collect::<String>())
}

/// What somebody said, as a screen shows it that many people see: numbers of seven digits or more are starred, and so is
/// the name that follows 我叫, 名叫 or 姓名.
pub fn starred(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    let mut number = String::new();
    let close = |number: &mut String, out: &mut String| {
        let long = number.chars().filter(|c| c.is_numeric()).count() >= 7;
        let tail: String = number.chars().rev().take_while(|c| !c.is_numeric()).collect();
        out.push_str(if long { "****" } else { number });
        if long {
            out.extend(tail.chars().rev());
        }
        number.clear();
    };
    for c in words.chars() {
        if c.is_numeric() || (!number.is_empty() && (c == '-' || c == ' ')) {
            number.push(c);
        } else {
            close(&mut number, &mut out);
            out.push(c);
        }
    }
    close(&mut number, &mut out);
    ["我叫", "名叫", "姓名"].iter().fold(out, |text, mark| star_name(&text, mark))
}

fn star_name(text: &str, mark: &str) -> String {
    let mut parts = text.split(mark);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let lead: String = part.chars().take_while(|c| matches!(c, '：' | ':' | ' ')).collect();
        let name: String =
            part.chars().skip(lead.chars().count()).take_while(|c| ('一'..='鿿').contains(c)).take(3).collect();
        out.push_str(mark);
        out.push_str(&lead);
        out.extend(name.chars().take(1));
        out.push_str(if name.is_empty() { "" } else { "**" });
        out.extend(part.chars().skip(lead.chars().count() + name.chars().count()));
    }
    out
}

/// A telephone number as it is compared: digits only, without the country code; `None` for what is no number.
pub fn national_number(phone: &str) -> Option<String> {
    let digits: String = phone.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.strip_prefix("0086").map_or_else(|| digits.clone(), |rest| format!("86{rest}"));
    let national = digits.strip_prefix("86").filter(|rest| rest.len() == 11).unwrap_or(&digits);
    (5..=20).contains(&national.len()).then(|| national.to_owned())
}

/// Whether an answer to this sender reaches a person: a mobile number, ours or foreign. Short codes, service numbers,
/// fixed lines and names get none, for a machine would answer the answer.
pub fn receives_answers(sender: &str) -> bool {
    let Some(number) = national_number(sender) else { return false };
    let named = sender.chars().any(char::is_alphabetic);
    let mobile =
        number.len() == 11 && number.starts_with('1') && !number.starts_with("10") && !number.starts_with("12");
    let foreign = sender.trim_start().starts_with('+') && !sender.trim_start().starts_with("+86") && number.len() >= 8;
    !named && (mobile || foreign)
}

/// Longest free text taken, characters.
pub const MAX_TEXT: usize = 2_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(kind: SecretKind, value: &str) -> Secret {
        Secret { id: VaultId(1), subject: Subject::Incident(IncidentId(1)), kind, value: value.to_owned() }
    }

    #[test]
    fn masks_by_kind() {
        assert_eq!(secret(SecretKind::Name, "陈某某").masked(), "陈**");
        assert_eq!(secret(SecretKind::Phone, "199 0000 2107").masked(), "199****2107");
        assert_eq!(secret(SecretKind::Phone, "110").masked(), "****");
        assert_eq!(secret(SecretKind::Text, "楼道有烟").masked(), "");
        assert!(!format!("{:?}", secret(SecretKind::Text, "楼道有烟")).contains("烟"));
    }

    #[test]
    fn what_many_people_see_has_neither_numbers_nor_names() {
        assert_eq!(starred("12栋2单元602着火"), "12栋2单元602着火");
        assert_eq!(starred("请打138-0000 2107 找我"), "请打**** 找我");
        assert_eq!(starred("身份证530621199001011234，我叫陈小明在12栋"), "身份证****，我叫陈**在12栋");
        assert_eq!(starred("姓名：陈某"), "姓名：陈**");
        assert_eq!(starred(""), "");
    }

    #[test]
    fn numbers_compare_without_the_country_code() {
        assert_eq!(national_number("+86 199-0000-2107"), national_number("19900002107"));
        assert_eq!(national_number("110"), None);
        assert_eq!(national_number("008619900002107"), national_number("19900002107"));
    }

    #[test]
    fn only_telephones_of_people_are_answered() {
        for person in ["19900002107", "+8619900002107", "008613900000001", "+95912345678"] {
            assert!(receives_answers(person), "{person}");
        }
        for machine in [
            "10690000",
            "106575251108",
            "96885",
            "95588",
            "12345",
            "10086",
            "08701234567",
            "卯家湾通知",
            "",
            "卯家湾13900000001",
        ] {
            assert!(!receives_answers(machine), "{machine}");
        }
    }

    #[test]
    fn subjects_read_back() {
        let named = [Subject::Account("duty".into()), Subject::Device("smoke-1".into())];
        for subject in [Subject::Person("ab".into()), Subject::Alarm(AlarmId(3))].into_iter().chain(named) {
            assert_eq!(Subject::parse(&subject.to_string()), Some(subject));
        }
        assert_eq!(Subject::parse("ghost/1"), None);
    }
}
