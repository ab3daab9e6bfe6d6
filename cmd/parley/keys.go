package main

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/vault"
)

type keysCmd struct {
	Init   keysInit   `cmd:"" help:"Make the master key of a new installation."`
	Show   keysShow   `cmd:"" help:"Which keys there are, by id and fingerprint: no secret is shown."`
	Rotate keysRotate `cmd:"" help:"Change the master key, or a workspace's key."`
	API    keysAPI    `cmd:"" name:"api" help:"API keys: make, list, revoke."`
	Verify keysVerify `cmd:"" name:"verify-receipt" help:"Check that an erasure receipt is genuine."`
}

type keysInit struct {
	databaseFlags
	JSON bool `name:"json" help:"Print JSON."`
}

// Run makes the master key file; it writes over nothing.
func (c *keysInit) Run() error {
	o := c.options()
	if o.MasterKey != "" {
		return errors.New("the master key is given by PARLEY_MASTER_KEY: there is no file to make")
	}
	if err := os.MkdirAll(filepath.Dir(o.MasterKeyFile), 0o700); err != nil {
		return err
	}
	m, err := vault.CreateMaster(o.MasterKeyFile)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s is there already: it is kept; parley keys rotate master changes the key", o.MasterKeyFile)
	}
	if err != nil {
		return err
	}
	defer m.Close()
	if c.JSON {
		return printJSON(map[string]string{"file": o.MasterKeyFile, "id": m.CurrentID()})
	}
	fmt.Printf("%s holds a new master key (%s). Keep a copy in a safe place apart from the database: without it nothing personal can be read.\n", o.MasterKeyFile, m.CurrentID())
	return nil
}

type keysShow struct {
	databaseFlags
	JSON bool `name:"json" help:"Print JSON."`
}

// keyInfo is a key as it may be shown.
type keyInfo struct {
	Workspace string `json:"workspace,omitempty"`
	Name      string `json:"workspace_name,omitempty"`
	Kind      string `json:"kind"`
	Versions  []int  `json:"versions"`
	Masters   string `json:"wrapped_by"`
	Print     string `json:"fingerprint"` // of the wrapped key: tells copies apart, tells nothing of the key
}

// Run lists keys.
func (c *keysShow) Run(ctx context.Context) (err error) {
	a, err := openNode(ctx, c.options())
	if err != nil {
		return stopFirst(err)
	}
	defer stopNode(ctx, a, &err)
	keys, err := a.Store.Keys(ctx, message.WorkspaceID{})
	if err != nil {
		return err
	}
	list := keyInfos("", "", keys)
	rooms, err := a.Workspaces.List(ctx)
	if err != nil {
		return err
	}
	for _, w := range rooms {
		if keys, err = a.Store.Keys(ctx, w.ID); err != nil {
			return err
		}
		list = append(list, keyInfos(w.ID.String(), w.Name, keys)...)
	}
	public := base64.StdEncoding.EncodeToString(a.Workspaces.Installation().PublicKey())
	if c.JSON {
		return printJSON(map[string]any{"keys": list, "receipts_public_key": public})
	}
	rows := [][]string{{"WORKSPACE", "KIND", "VERSIONS", "WRAPPED BY MASTER", "FINGERPRINT"}}
	for _, k := range list {
		rows = append(rows, []string{or(k.Name, "(installation)"), k.Kind, versions(k.Versions), k.Masters, k.Print})
	}
	if err := table(os.Stdout, rows); err != nil {
		return err
	}
	fmt.Printf("\nErasure receipts are verified with the public key %s\n", public)
	return nil
}

// versions shows versions as "1", or "1–3".
func versions(v []int) string {
	switch len(v) {
	case 0:
		return ""
	case 1:
		return fmt.Sprint(v[0])
	}
	return fmt.Sprintf("%d–%d", v[0], v[len(v)-1])
}

// keyInfos gathers the versions of each kind; daily keys make one line.
func keyInfos(ws, name string, keys []store.WrappedKey) []keyInfo {
	var out []keyInfo
	at := map[string]int{}
	for _, k := range keys {
		i, there := at[k.Kind]
		if !there {
			i = len(out)
			at[k.Kind] = i
			out = append(out, keyInfo{Workspace: ws, Name: name, Kind: k.Kind, Masters: k.Master})
		}
		out[i].Versions = append(out[i].Versions, int(k.Version))
		if k.Master != "" && !strings.Contains(out[i].Masters, k.Master) {
			out[i].Masters = strings.TrimPrefix(out[i].Masters+" "+k.Master, " ")
		}
		sum := sha256.Sum256(k.Bytes)
		out[i].Print = hex.EncodeToString(sum[:6])
	}
	return out
}

// stopFirst says what to do where a running server holds the database.
func stopFirst(err error) error {
	if held(err) {
		return fmt.Errorf("%w; stop the server for this", err)
	}
	return err
}

type keysVerify struct {
	databaseFlags
	File      string `arg:"" help:"The receipt, as the server gave it." type:"existingfile"`
	PublicKey string `help:"The installation's public key, base64 (parley keys show); left out: that of the database."`
	JSON      bool   `name:"json" help:"Print the receipt as JSON."`
}

// Run checks a receipt; the exit status is 1 where it is not genuine.
func (c *keysVerify) Run(ctx context.Context) (err error) {
	document, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	public, err := base64.StdEncoding.DecodeString(c.PublicKey)
	if err != nil || c.PublicKey != "" && len(public) != ed25519.PublicKeySize {
		return errors.New("--public-key is not 32 bytes in base64")
	}
	if c.PublicKey == "" {
		a, err := openNode(ctx, c.options())
		if err != nil {
			return fmt.Errorf("%w; or give --public-key", stopFirst(err))
		}
		public = append(public, a.Workspaces.Installation().PublicKey()...)
		if err := a.Stop(context.WithoutCancel(ctx)); err != nil {
			return err
		}
	}
	r, err := vault.VerifyReceipt(public, document)
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	if c.JSON {
		return printJSON(r)
	}
	raw, err := json.Marshal(r.Erased)
	if err != nil {
		return err
	}
	fmt.Printf("genuine: contact %s of workspace %s was erased at %s, complete by %s\nerased: %s\n",
		r.Contact, r.Workspace, r.ErasedAt.Format("2006-01-02 15:04:05 MST"), r.CompleteAt.Format("2006-01-02 15:04:05 MST"), raw)
	return nil
}
