package config

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSecretIsNeverPrinted(t *testing.T) {
	t.Parallel()
	secret, address := NewSecret("hunter2"), NewURL("https://u:hunter2@node.example/hunter2?key=hunter2")
	require.Equal(t, "hunter2", secret.Reveal())
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%08b"} {
		holder := struct {
			S  Secret
			U  URL
			P  *Secret
			Us []URL
		}{secret, address, &secret, []URL{address}}
		for _, value := range []any{secret, address, &secret, holder, &holder} {
			text := fmt.Sprintf(verb, value)
			require.NotContains(t, text, "hunter2", verb)
			require.NotContains(t, text, "68756e74657232", verb)
		}
		require.Equal(t, "***", fmt.Sprintf(verb, secret))
	}
	text, err := json.Marshal(map[string]any{"secret": secret, "none": Secret{}, "url": address})
	require.NoError(t, err)
	require.JSONEq(t, `{"secret":"***","none":"","url":"https://node.example/***"}`, string(text))
}

func TestURLShowsSchemeAndHost(t *testing.T) {
	t.Parallel()
	for whole, shown := range map[string]string{
		"":                              "",
		"http://127.0.0.1:8332":         "http://127.0.0.1:8332",
		"http://127.0.0.1:8332/":        "http://127.0.0.1:8332",
		"https://node.example/v3/key":   "https://node.example/***",
		"https://node.example?key=1":    "https://node.example/***",
		"postgres:///tallyd?password=1": "***",
		"hunter2":                       "***",
		"http://%zz:hunter2@h":          "***",
	} {
		require.Equal(t, shown, NewURL(whole).String())
	}
}
