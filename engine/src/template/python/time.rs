//! Python's `datetime` and `timedelta`, as far as templates use them: `now()`, `to_datetime`, and what lies between two times.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use jiff::civil;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::TimeZone;
use minijinja::value::{DynObject, Object, ObjectRepr, Value};
use minijinja::{Error, ErrorKind, State};

use super::super::call::fail;

/// A time without a zone.
#[derive(Debug)]
pub(crate) struct DateTime(pub civil::DateTime);

/// The difference of two times, in microseconds.
#[derive(Debug)]
pub(crate) struct Delta(pub i64);

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

impl DateTime {
    /// Reads a time in a format of `strptime`.
    pub(crate) fn parse(text: &str, format: &str) -> Result<Self, Error> {
        let bad = |e: jiff::Error| fail(format!("time data '{text}' does not match format '{format}': {e}"));
        let parts = BrokenDownTime::parse(format, text).map_err(bad)?;
        let date =
            parts.to_date().or_else(|e| if format.contains("%d") { Err(e) } else { Ok(civil::date(1900, 1, 1)) });
        let time = parts.to_time().unwrap_or_else(|_| civil::Time::midnight());
        Ok(Self(date.map_err(bad)?.to_datetime(time)))
    }

    pub(crate) fn strftime(&self, format: &str) -> Result<String, Error> {
        let known = self.fill_in(format);
        BrokenDownTime::from(self.0).to_string(&known).map_err(|e| fail(format!("'{format}': {e}")))
    }

    /// What Python prints of a time that has no zone: it is the machine's own where a number of seconds is asked for, and no
    /// name; and microseconds have six digits.
    fn fill_in(&self, format: &str) -> String {
        let mut out = String::new();
        let mut letters = format.chars();
        while let Some(letter) = letters.next() {
            let directive = if letter == '%' { letters.next() } else { None };
            match directive {
                Some('f') => out.push_str(&format!("{:06}", self.0.subsec_nanosecond() / 1000)),
                Some('s') => {
                    let seconds = self.0.to_zoned(TimeZone::system()).map(|zoned| zoned.timestamp().as_second());
                    out.extend(seconds.map(|seconds| seconds.to_string()));
                }
                Some('z' | 'Z') => {}
                Some(other) => out.extend(['%', other]),
                None => out.push(letter),
            }
        }
        out
    }

    pub(crate) fn isoformat(&self, separator: &str) -> String {
        let text =
            format!("{}{separator}{:02}:{:02}:{:02}", self.0.date(), self.0.hour(), self.0.minute(), self.0.second());
        match self.0.subsec_nanosecond() / 1000 {
            0 => text,
            micro => format!("{text}.{micro:06}"),
        }
    }

    fn micros(&self) -> i64 {
        self.0.to_zoned(TimeZone::UTC).map_or(0, |z| z.timestamp().as_microsecond())
    }
}

/// `a - b` where either is a time; `None` where neither is.
pub(crate) fn minus(a: &Value, b: &Value) -> Option<Result<Value, Error>> {
    let delta = |micros| Ok(Value::from_object(Delta(micros)));
    match (a.downcast_object_ref::<DateTime>(), b.downcast_object_ref::<DateTime>()) {
        (Some(a), Some(b)) => return Some(delta(a.micros() - b.micros())),
        (Some(a), None) => {
            let b = b.downcast_object_ref::<Delta>()?;
            let moved = a.0.checked_sub(jiff::SignedDuration::from_micros(b.0));
            return Some(moved.map(|t| Value::from_object(DateTime(t))).map_err(|e| fail(e.to_string())));
        }
        _ => {}
    }
    let (a, b) = (a.downcast_object_ref::<Delta>()?, b.downcast_object_ref::<Delta>()?);
    Some(delta(a.0 - b.0))
}

impl Object for DateTime {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        Some(Value::from(match key {
            "year" => i32::from(self.0.year()),
            "month" => self.0.month().into(),
            "day" => self.0.day().into(),
            "hour" => self.0.hour().into(),
            "minute" => self.0.minute().into(),
            "second" => self.0.second().into(),
            "microsecond" => self.0.subsec_nanosecond() / 1000,
            _ => return None,
        }))
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, name: &str, args: &[Value]) -> Result<Value, Error> {
        let first = args.first().and_then(Value::as_str);
        Ok(match name {
            "strftime" => Value::from(self.strftime(first.unwrap_or_default())?),
            "isoformat" => Value::from(self.isoformat(first.unwrap_or("T"))),
            "timestamp" => {
                let zoned = self.0.to_zoned(TimeZone::system()).map_err(|e| fail(e.to_string()))?;
                Value::from(zoned.timestamp().as_microsecond() as f64 / SECOND as f64)
            }
            "weekday" => Value::from(self.0.weekday().to_monday_zero_offset()),
            "isoweekday" => Value::from(self.0.weekday().to_monday_one_offset()),
            "date" => Value::from(self.0.date().to_string()),
            "time" => Value::from(self.isoformat(" ").split_once(' ').map_or("", |(_, time)| time)),
            _ => return Err(ErrorKind::UnknownMethod.into()),
        })
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        other.downcast_ref::<Self>().map(|other| self.0.cmp(&other.0))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.isoformat(" "))
    }
}

impl Object for Delta {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        Some(Value::from(match key {
            "days" => self.0.div_euclid(DAY),
            "seconds" => self.0.rem_euclid(DAY) / SECOND,
            "microseconds" => self.0.rem_euclid(SECOND),
            _ => return None,
        }))
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn is_true(self: &Arc<Self>) -> bool {
        self.0 != 0
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, name: &str, _: &[Value]) -> Result<Value, Error> {
        match name {
            "total_seconds" => Ok(Value::from(self.0 as f64 / SECOND as f64)),
            _ => Err(ErrorKind::UnknownMethod.into()),
        }
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        other.downcast_ref::<Self>().map(|other| self.0.cmp(&other.0))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, rest) = (self.0.div_euclid(DAY), self.0.rem_euclid(DAY));
        if days != 0 {
            write!(f, "{days} day{}, ", if days.abs() == 1 { "" } else { "s" })?;
        }
        let seconds = rest / SECOND;
        write!(f, "{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)?;
        match rest % SECOND {
            0 => Ok(()),
            micro => write!(f, ".{micro:06}"),
        }
    }
}
