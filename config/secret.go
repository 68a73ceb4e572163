package config

import (
	"fmt"
	"net/url"
)

// hidden stands for a secret that is set.
const hidden = "***"

// Secret is a value that no print, log or dump shows: every form it can be
// written in says *** when it is set, and nothing when it is not.
type Secret struct{ value string }

// NewSecret returns a secret of this value.
func NewSecret(value string) Secret { return Secret{value: value} }

// Reveal returns the value itself.
func (s Secret) Reveal() string { return s.value }

// String returns ***, or nothing when the secret is not set.
func (s Secret) String() string {
	if s.value == "" {
		return ""
	}
	return hidden
}

// Format writes String for every verb, those included that would otherwise look
// into the struct.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// MarshalText is String; JSON, YAML and zerolog write it.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText takes the value as it stands.
func (s *Secret) UnmarshalText(text []byte) error {
	s.value = string(text)
	return nil
}

// URL is an address that may hold a secret: a password, or a key in its path or
// query. Whatever prints it shows scheme and host alone.
type URL struct{ value string }

// NewURL returns the URL of this text, which is not parsed.
func NewURL(text string) URL { return URL{value: text} }

// Reveal returns the whole URL, or "" when none is set.
func (u URL) Reveal() string { return u.value }

// String returns scheme and host, followed by /*** when there is more to the URL.
func (u URL) String() string {
	if u.value == "" {
		return ""
	}
	parsed, err := url.Parse(u.value)
	if err != nil || parsed.Host == "" {
		return hidden
	}
	shown := parsed.Scheme + "://" + parsed.Host
	if u.value != shown && u.value != shown+"/" {
		shown += "/" + hidden
	}
	return shown
}

// Format writes String for every verb.
func (u URL) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(u.String())) }

// MarshalText is String; JSON, YAML and zerolog write it.
func (u URL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// UnmarshalText takes the text as it stands; Load parses it.
func (u *URL) UnmarshalText(text []byte) error {
	u.value = string(text)
	return nil
}
