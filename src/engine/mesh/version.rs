//! Versions of Istio and Kubernetes: read from what programs, images and nodes say of themselves.

use std::fmt;

/// A version of major 1, as both Istio and Kubernetes have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// `27` of `1.27.3`.
    pub minor: u32,
    /// `3` of `1.27.3`; `None` where it is not told.
    pub patch: Option<u32>,
}

impl Version {
    /// Reads `1.27.3`, `v1.33.1+k3s1`, `1.28.0-solo`, `1.29-alpha.a1b2`.
    pub fn read(text: &str) -> Option<Version> {
        let (minor, rest) = number(text.trim().trim_start_matches('v').strip_prefix("1.")?)?;
        let patch = rest.strip_prefix('.').and_then(number).map(|(patch, _)| patch);
        let ends = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphanumeric());
        ends(rest).then_some(Version { minor, patch })
    }

    /// Reads the tag of an image: `docker.io/istio/pilot:1.27.3-distroless@sha256:…`.
    pub fn of_image(image: &str) -> Option<Version> {
        let (_, tag) = image.split('@').next()?.rsplit_once(':')?;
        Version::read(tag)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.patch {
            Some(patch) => write!(f, "1.{}.{patch}", self.minor),
            None => write!(f, "1.{}", self.minor),
        }
    }
}

fn number(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end)?;
    Some((digits.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_programs_images_and_nodes_write_them() {
        let read = |text: &str| Version::read(text).map(|version| version.to_string());
        assert_eq!(read("1.27.3").as_deref(), Some("1.27.3"));
        assert_eq!(read("v1.33.1+k3s1").as_deref(), Some("1.33.1"));
        assert_eq!(read("1.29-alpha.a1b2").as_deref(), Some("1.29"));
        assert_eq!(read("1.28.3-solo-f2807f9-Clean").as_deref(), Some("1.28.3"));
        assert_eq!((read("latest"), read("1.x"), read("")), (None, None, None));
        let image = |text: &str| Version::of_image(text).map(|version| version.to_string());
        assert_eq!(image("docker.io/istio/pilot:1.27.3-distroless").as_deref(), Some("1.27.3"));
        assert_eq!(image("localhost:5000/pilot@sha256:1.2"), None);
        assert_eq!(image("localhost:5000/pilot:1.30.0@sha256:ab").as_deref(), Some("1.30.0"));
        assert_eq!(image("pilot"), None);
    }
}
