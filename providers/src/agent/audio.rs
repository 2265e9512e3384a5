//! How audio is encoded between us and an agent.

use std::fmt;

/// Encoding of raw mono audio.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AudioFormat {
    /// Mu-law, 8 bits a sample: what carriers speak.
    Ulaw { sample_rate_hz: u32 },
    /// Signed 16 bits, little-endian.
    Pcm { sample_rate_hz: u32 },
    /// A format this version does not know, by its name.
    Other(String),
}

impl AudioFormat {
    pub const ULAW_8000: AudioFormat = AudioFormat::Ulaw { sample_rate_hz: 8_000 };

    /// Reads names such as `ulaw_8000` and `pcm_16000`.
    pub fn from_name(name: &str) -> Self {
        let known = name.split_once('_').and_then(|(codec, digits)| {
            let sample_rate_hz = digits.parse().ok().filter(|rate| (1_000..=384_000).contains(rate))?;
            match codec {
                "ulaw" => Some(AudioFormat::Ulaw { sample_rate_hz }),
                "pcm" => Some(AudioFormat::Pcm { sample_rate_hz }),
                _ => None,
            }
        });
        known.unwrap_or_else(|| AudioFormat::Other(name.chars().take(32).collect()))
    }

    /// Whether a carrier's audio can be passed on as it is.
    pub fn is_carrier_format(&self) -> bool {
        *self == AudioFormat::ULAW_8000
    }
}

impl fmt::Display for AudioFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AudioFormat::Ulaw { sample_rate_hz } => write!(f, "ulaw_{sample_rate_hz}"),
            AudioFormat::Pcm { sample_rate_hz } => write!(f, "pcm_{sample_rate_hz}"),
            AudioFormat::Other(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        for name in ["ulaw_8000", "pcm_8000", "pcm_16000", "pcm_48000", "mp3_44100", "ulaw", "pcm_x", "pcm_0"]
        {
            assert_eq!(AudioFormat::from_name(name).to_string(), name);
        }
        assert!(AudioFormat::from_name("ulaw_8000").is_carrier_format());
        assert_eq!(AudioFormat::from_name("pcm_16000"), AudioFormat::Pcm { sample_rate_hz: 16_000 });
        for name in ["pcm_8000", "ulaw_16000", "pcm_99999999999", ""] {
            assert!(!AudioFormat::from_name(name).is_carrier_format(), "{name}");
        }
    }
}
