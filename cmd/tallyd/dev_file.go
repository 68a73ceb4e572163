package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"tallyd/api/access"
	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/store/secret"
)

const (
	devFileName    = "dev.json"
	secretFileName = "secrets.json"
)

// devFile is what tallyd dev tells programs that want to use it.
type devFile struct {
	URL       string              `json:"url"`
	MasterKey string              `json:"master_key"`
	APIKey    string              `json:"api_key"`
	Chains    map[string]devChain `json:"chains"`
}

// devChain is how to reach one local chain.
type devChain struct {
	RPC      string `json:"rpc"`
	User     string `json:"user,omitempty"`
	Password string `json:"password,omitempty"`
}

// devSecrets are made at the first start and kept, so that keys given out go on
// working.
type devSecrets struct {
	MasterKey string     `json:"master_key"`
	Pepper    string     `json:"pepper"`
	Seed      string     `json:"seed"`
	Keyset    string     `json:"keyset"`
	APIKey    string     `json:"api_key"`
	Key       access.Key `json:"key"`
}

// loadSecrets reads the secrets of a data folder, or makes them.
func loadSecrets(data string) (devSecrets, error) {
	path := filepath.Join(data, secretFileName)
	var s devSecrets
	text, err := os.ReadFile(path)
	switch {
	case err == nil:
		if err := json.Unmarshal(text, &s); err != nil {
			return s, fmt.Errorf("read %s: %w", path, err)
		}
		if s.Keyset != "" {
			return s, nil
		}
		// The folder is of a version that sealed nothing.
		if s.Keyset, err = secret.New(); err != nil {
			return s, fmt.Errorf("make a keyset: %w", err)
		}
		return s, writeJSON(path, s)
	case !errors.Is(err, fs.ErrNotExist):
		return s, fmt.Errorf("read the secrets: %w", err)
	}
	s = devSecrets{MasterKey: "master_" + rand.Text(), Pepper: rand.Text(), Seed: base64.StdEncoding.EncodeToString(random32())}
	if s.Keyset, err = secret.New(); err != nil {
		return s, fmt.Errorf("make a keyset: %w", err)
	}
	request := access.Request{
		Realm: indexer.Realm{Tenant: access.DefaultTenant, Environment: chains.Test},
		Owner: "dev", Name: "tallyd dev", Scopes: []string{"*:*"},
	}
	if s.Key, s.APIKey, err = access.NewKey(access.Pepper(s.Pepper), request, time.Now().UTC()); err != nil {
		return s, fmt.Errorf("make an API key: %w", err)
	}
	return s, writeJSON(path, s)
}

func random32() []byte {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return b
}

// storeKey makes the API key known to the ledger, which may be new.
func (s devSecrets) storeKey(ctx context.Context, d *daemon) error {
	_, err := d.store.KeyByID(ctx, s.Key.ID)
	if errors.Is(err, indexer.ErrNotFound) {
		err = d.store.CreateKey(ctx, s.Key)
	}
	if err != nil {
		return fmt.Errorf("store the API key: %w", err)
	}
	return nil
}

// writeJSON writes a file that only its owner can read, whole or not at all.
func writeJSON(path string, content any) error {
	text, err := json.MarshalIndent(content, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	temporary := path + ".new"
	if err := os.WriteFile(temporary, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
