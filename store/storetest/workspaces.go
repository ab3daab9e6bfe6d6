package storetest

import (
	"errors"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

func workspacesTests() []test {
	return []test{
		{"a workspace is made once, with its keys", func(k *kit) {
			w := &store.Workspace{ID: k.id(), Name: "Marque", CreatedAt: k.now}
			key := store.WrappedKey{Workspace: w.ID, Kind: "kek", Version: 1, Master: "m1", Bytes: []byte("wrapped"), CreatedAt: k.now}
			k.ok(k.s.CreateWorkspace(k.ctx, w, []store.WrappedKey{key}))
			if err := k.s.CreateWorkspace(k.ctx, w, nil); !errors.Is(err, store.ErrExists) {
				k.Errorf("twice: %v", err)
			}
			list, err := k.s.WorkspaceList(k.ctx)
			k.ok(err)
			if len(list) != 2 {
				k.Fatalf("%d workspaces", len(list))
			}
			k.same("workspace", list[1], w)
			keys, err := k.s.Keys(k.ctx, w.ID)
			k.ok(err)
			k.same("keys", keys, []store.WrappedKey{key})
		}},
		{"keys are replaced by version, and days destroyed", func(k *kit) {
			put := func(ws message.WorkspaceID, kind string, version int32, bytes string) {
				k.Helper()
				k.ok(k.s.PutKeys(k.ctx, []store.WrappedKey{{Workspace: ws, Kind: kind, Version: version, Master: "m", Bytes: []byte(bytes), CreatedAt: k.now}}))
			}
			put(message.WorkspaceID{}, "pepper", 1, "installation")
			put(k.ws, "kek", 1, "a")
			put(k.ws, "kek", 1, "b")
			put(k.ws, "kek", 2, "c")
			for day := range int32(4) {
				put(k.ws, "day", 20000+day, "d")
			}
			n, err := k.s.DeleteDays(k.ctx, 20002)
			k.ok(err)
			k.same("destroyed", n, 2)
			keys, err := k.s.Keys(k.ctx, k.ws)
			k.ok(err)
			got := make(map[string]string)
			for _, x := range keys {
				got[x.Kind] += string(x.Bytes)
			}
			k.same("keys", got, map[string]string{"kek": "bc", "day": "dd"})
			keys, err = k.s.Keys(k.ctx, message.WorkspaceID{})
			k.ok(err)
			if len(keys) != 1 || string(keys[0].Bytes) != "installation" {
				k.Errorf("keys of the installation: %+v", keys)
			}
		}},
		{"an API key is found by hash until it is revoked", func(k *kit) {
			key := &store.APIKey{ID: k.id(), Workspace: k.ws, Name: "shop", Hash: [32]byte{1, 2, 3}, Hint: "abcd", Scopes: []string{"send", "read"}, CreatedAt: k.now}
			k.ok(k.s.CreateAPIKey(k.ctx, key))
			found, err := k.s.APIKeyByHash(k.ctx, key.Hash)
			k.ok(err)
			k.same("found", found, key)
			if _, err := k.s.APIKeyByHash(k.ctx, [32]byte{9}); !errors.Is(err, store.ErrNotFound) {
				k.Errorf("unknown hash: %v", err)
			}
			k.ok(k.s.RevokeAPIKey(k.ctx, k.ws, key.ID, k.now))
			if _, err := k.s.APIKeyByHash(k.ctx, key.Hash); !errors.Is(err, store.ErrNotFound) {
				k.Errorf("revoked: %v", err)
			}
			list, err := k.s.APIKeys(k.ctx, k.ws)
			k.ok(err)
			key.RevokedAt = k.now
			k.same("listed", list, []*store.APIKey{key})
			if err := k.s.RevokeAPIKey(k.ctx, k.ws, k.id(), k.now); !errors.Is(err, store.ErrNotFound) {
				k.Errorf("revoke of nothing: %v", err)
			}
		}},
	}
}
