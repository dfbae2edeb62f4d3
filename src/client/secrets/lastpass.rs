//! LastPass: `lpass show --json`, a list with one entry. What a form-like note holds (server, database, SSH key) is
//! in the text of its note, a line `Name:value` each; those names are keys, too.
//!
//! A value may span lines, and a line of a key or certificate may look like a field. So a form that LastPass knows
//! has the fields that LastPass gives it and no others; what a form of a user's own has, only its author knows.

use super::document::{self, Contents, Value};
use super::error::Unreadable;
use crate::secret::Secret;

const FIELDS: [&str; 6] = ["username", "password", "url", "note", "name", "id"];

pub fn read(output: &[u8]) -> Result<Contents, Unreadable> {
    let list = document::json(output)?;
    let [entry] = list.items().unwrap_or_default() else { return Err(Unreadable::Shape("a list of exactly one entry")) };
    let fields = FIELDS.into_iter().filter_map(|name| Some((name.to_owned(), entry.named(name)?.clone())));
    let note = entry.text_of("note").map(form).unwrap_or_default();
    Ok(Contents::keys(fields.chain(note).collect()))
}

/// LastPass' forms and the fields of each.
const FORMS: [(&str, &str); 16] = [
    (
        "Address",
        "Title, First Name, Middle Name, Last Name, Username, Gender, Birthday, Company, Address 1, Address 2, Address 3, \
         City / Town, County, State, Zip / Postal Code, Country, Timezone, Email Address, Phone, Evening Phone, Mobile Phone, \
         Fax",
    ),
    ("Bank Account", "Bank Name, Account Type, Routing Number, Account Number, SWIFT Code, IBAN Number, Pin, Branch Address, Branch Phone"),
    ("Credit Card", "Name on Card, Type, Number, Security Code, Start Date, Expiration Date"),
    ("Database", "Type, Hostname, Port, Database, Username, Password, SID, Alias"),
    (
        "Driver's License",
        "Number, Expiration Date, License Class, Name, Address, City / Town, State, ZIP / Postal Code, Country, Date of Birth, \
         Sex, Height",
    ),
    ("Email Account", "Username, Password, Server, Port, Type, SMTP Server, SMTP Port"),
    (
        "Health Insurance",
        "Company, Company Phone, Policy Type, Policy Number, Group ID, Member Name, Member ID, Physician Name, Physician Phone, \
         Physician Address, Co-pay",
    ),
    ("Instant Messenger", "Type, Username, Password, Server, Port"),
    ("Insurance", "Company, Policy Type, Policy Number, Expiration, Agent Name, Agent Phone, URL"),
    ("Membership", "Organization, Membership Number, Member Name, Start Date, Expiration Date, Website, Telephone, Password"),
    ("Passport", "Type, Name, Country, Number, Sex, Nationality, Issuing Authority, Date of Birth, Issued Date, Expiration Date"),
    ("Server", "Hostname, Username, Password"),
    ("Social Security", "Name, Number"),
    (
        "Software License",
        "License Key, Licensee, Version, Publisher, Support Email, Website, Price, Purchase Date, Order Number, \
         Number of Licenses, Order Total",
    ),
    ("SSH Key", "Bit Strength, Format, Passphrase, Private Key, Public Key, Hostname, Date"),
    (
        "Wi-Fi Password",
        "SSID, Password, Connection Type, Connection Mode, Authentication, Encryption, Use 802.1X, FIPS Mode, Key Type, \
         Protected, Key Index",
    ),
];
/// Those of all forms.
const COMMON: [&str; 3] = ["NoteType", "Language", "Notes"];

/// The fields of a note that is a form: it begins with its kind. `Notes` is the last field.
fn form(note: &Secret) -> Vec<(String, Value)> {
    let Some(kind) = note.expose().lines().next().and_then(|line| line.strip_prefix("NoteType:")) else { return Vec::new() };
    let names = FORMS.iter().find(|(form, _)| *form == kind.trim()).map(|(_, names)| *names);
    let is_name = |word: &str| names.is_none_or(|names| COMMON.contains(&word) || names.split(", ").any(|name| name == word));
    let mut fields: Vec<(String, Secret)> = Vec::new();
    for line in note.expose().lines() {
        let in_notes = fields.last().is_some_and(|(name, _)| name == "Notes");
        let field = line.split_once(':').filter(|(name, _)| !in_notes && is_name(name));
        match (field, fields.last_mut()) {
            (Some((name, value)), _) => fields.push((name.to_owned(), Secret::new(value))),
            (None, Some((_, value))) => *value = Secret::new(format!("{}\n{line}", value.expose())),
            (None, None) => {}
        }
    }
    fields.into_iter().map(|(name, value)| (name, Value::Text(value))).collect()
}
