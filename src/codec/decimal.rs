//! Exact decimals: two's complement with a scale ↔ JSON numbers, digit by digit, never through a binary float.

use super::plan::Decimal;

/// Why a decimal cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DecimalError {
    /// No bytes at all.
    Empty,
    /// More digits than the schema's precision.
    TooLong,
}

impl DecimalError {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "a decimal without bytes",
            Self::TooLong => "a decimal with more digits than its precision",
        }
    }
}

/// Writes big-endian two's complement as a JSON number with exactly the schema's scale.
pub(super) fn push(bytes: &[u8], decimal: Decimal, out: &mut Vec<u8>) -> Result<(), DecimalError> {
    let unscaled = from_be_bytes(bytes)?;
    let magnitude = unscaled.unsigned_abs();
    if magnitude >= limit(decimal.precision) {
        return Err(DecimalError::TooLong);
    }
    if unscaled < 0 {
        out.push(b'-');
    }
    // 39 digits hold any i128; at least one stands before the point.
    let mut digits = [b'0'; 40];
    let mut rest = magnitude;
    let mut used = 0_usize;
    for place in digits.iter_mut().rev() {
        if rest == 0 {
            break;
        }
        *place = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        used += 1;
    }
    let scale = usize::try_from(decimal.scale).unwrap_or(0);
    let shown = used.max(scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    out.extend_from_slice(whole.get(digits.len() - shown..).unwrap_or_default());
    if scale > 0 {
        out.push(b'.');
        out.extend_from_slice(fraction);
    }
    Ok(())
}

fn from_be_bytes(bytes: &[u8]) -> Result<i128, DecimalError> {
    let first = *bytes.first().ok_or(DecimalError::Empty)?;
    let sign = if first & 0x80 == 0 { 0x00 } else { 0xff };
    let mut wide = [sign; 16];
    match bytes.split_at_checked(bytes.len().saturating_sub(16)) {
        // What is longer than 16 bytes must be sign and nothing else.
        Some((extra, low)) if extra.iter().all(|b| *b == sign) => {
            let start = wide.len() - low.len();
            wide.get_mut(start..).unwrap_or_default().copy_from_slice(low);
        }
        _ => return Err(DecimalError::TooLong),
    }
    let value = i128::from_be_bytes(wide);
    // 16 low bytes whose own sign differs from the extra bytes' are more than an i128 holds.
    if (value < 0) == (sign == 0xff) { Ok(value) } else { Err(DecimalError::TooLong) }
}

/// The first magnitude that has too many digits.
fn limit(precision: u32) -> u128 {
    10_u128.checked_pow(precision).unwrap_or(u128::MAX)
}

/// Reads a JSON number's text as an unscaled integer of that shape. `None` when it has an exponent, more digits after
/// the point than the scale, or more altogether than the precision.
pub(super) fn parse(text: &str, decimal: Decimal) -> Option<i128> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let missing = usize::try_from(decimal.scale).ok()?.checked_sub(fraction.len())?;
    let mut magnitude: i128 = 0;
    for digit in whole.bytes().chain(fraction.bytes()).chain(std::iter::repeat_n(b'0', missing)) {
        if !digit.is_ascii_digit() {
            return None;
        }
        magnitude = magnitude.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    (magnitude.unsigned_abs() < limit(decimal.precision)).then_some(if negative { -magnitude } else { magnitude })
}

/// The shortest two's complement of `value`, big-endian; at least one byte.
pub(super) fn to_be_bytes(value: i128) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let sign = if value < 0 { 0xff } else { 0x00 };
    let redundant = bytes
        .iter()
        .zip(bytes.iter().skip(1))
        .take_while(|(byte, next)| **byte == sign && (**next & 0x80) == (sign & 0x80))
        .count();
    bytes.get(redundant..).unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MONEY: Decimal = Decimal { scale: 2, precision: 18, size: None };

    fn shown(bytes: &[u8], decimal: Decimal) -> Result<String, DecimalError> {
        let mut out = Vec::new();
        push(bytes, decimal, &mut out).map(|()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn digits_are_exactly_those_of_the_record() {
        for (unscaled, text) in
            [(125_050, "1250.50"), (0, "0.00"), (5, "0.05"), (-5, "-0.05"), (-125_050, "-1250.50"), (100, "1.00")]
        {
            assert_eq!(shown(&to_be_bytes(unscaled), MONEY).unwrap(), text);
            assert_eq!(parse(text, MONEY), Some(unscaled));
        }
        let whole = Decimal { scale: 0, precision: 18, size: None };
        assert_eq!(shown(&to_be_bytes(-7), whole).unwrap(), "-7");
        let small = Decimal { scale: 38, precision: 38, size: None };
        assert_eq!(shown(&[1], small).unwrap(), format!("0.{}1", "0".repeat(37)));
    }

    #[test]
    fn padding_by_sign_changes_nothing_and_too_much_is_refused() {
        let padded: Vec<u8> = [0xff; 40].into_iter().chain((-5_i128).to_be_bytes()).collect();
        assert_eq!(shown(&padded, MONEY).unwrap(), "-0.05");
        assert_eq!(shown(&[], MONEY), Err(DecimalError::Empty));
        assert_eq!(shown(&[0x7f; 17], MONEY), Err(DecimalError::TooLong));
        assert_eq!(shown(&[0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], MONEY), Err(DecimalError::TooLong));
        assert_eq!(shown(&to_be_bytes(10_i128.pow(18)), MONEY), Err(DecimalError::TooLong));
        assert_eq!(shown(&to_be_bytes(10_i128.pow(18) - 1), MONEY).unwrap(), "9999999999999999.99");
        assert_eq!(shown(&to_be_bytes(i128::MIN), MONEY), Err(DecimalError::TooLong));
    }

    #[test]
    fn numbers_that_are_no_money_are_not_read() {
        assert_eq!(parse("1250.5", MONEY), Some(125_050));
        for bad in ["1.005", "1e3", "1.2E1", "99999999999999999", "9".repeat(60).as_str()] {
            assert_eq!(parse(bad, MONEY), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_decimal_survives(unscaled in -(10_i128.pow(38) - 1)..10_i128.pow(38), scale in 0_u32..=38) {
            let decimal = Decimal { scale, precision: 38, size: None };
            let text = shown(&to_be_bytes(unscaled), decimal).unwrap();
            prop_assert_eq!(parse(&text, decimal), Some(unscaled));
            // The text is what integer arithmetic says it is.
            let power = 10_u128.pow(scale);
            let magnitude = unscaled.unsigned_abs();
            let sign = if unscaled < 0 { "-" } else { "" };
            let expected = if scale == 0 {
                format!("{sign}{magnitude}")
            } else {
                let width = scale as usize;
                format!("{sign}{}.{:0width$}", magnitude / power, magnitude % power)
            };
            prop_assert_eq!(text, expected);
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40), scale in 0_u32..=18) {
            let _ = shown(&bytes, Decimal { scale, precision: 18, size: None });
        }
    }
}
