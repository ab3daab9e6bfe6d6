package workspace

import (
	"time"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
	"github.com/parley-messaging/parley/vault"
)

// stagedMark stands before the bytes of a key that is not yet used for
// writing. No wrapped key begins with it (vault's first byte is a format).
const stagedMark = 0x00

// kindHead is a row of the installation that is no key: the head of a node's
// erasure journal. Its key bytes are a line number and a MAC.
const kindHead = "journal_head:"

func toRows(keys []vault.WrappedKey, now time.Time) []store.WrappedKey {
	out := make([]store.WrappedKey, 0, len(keys)+2)
	for _, k := range keys {
		out = append(out, toRow(k, now))
	}
	return out
}

func toRow(k vault.WrappedKey, now time.Time) store.WrappedKey {
	bytes := k.Bytes
	if k.Staged {
		bytes = append([]byte{stagedMark}, bytes...)
	}
	return store.WrappedKey{
		Workspace: message.WorkspaceID(k.Workspace), Kind: string(k.Kind), Version: int32(k.Version),
		Master: k.MasterID, Bytes: bytes, CreatedAt: now,
	}
}

func fromRow(row store.WrappedKey) vault.WrappedKey {
	k := vault.WrappedKey{
		Workspace: row.Workspace, Kind: vault.Kind(row.Kind), Version: uint8(row.Version),
		MasterID: row.Master, Bytes: row.Bytes,
	}
	if len(k.Bytes) > 0 && k.Bytes[0] == stagedMark {
		k.Staged, k.Bytes = true, k.Bytes[1:]
	}
	return k
}

// masterKeys picks what the master key wraps.
func masterKeys(rows []store.WrappedKey) []vault.WrappedKey {
	out := make([]vault.WrappedKey, 0, len(rows))
	for _, row := range rows {
		switch vault.Kind(row.Kind) {
		case vault.KindKEK, vault.KindIndex, vault.KindSigning, vault.KindPepper, vault.KindJournal:
			out = append(out, fromRow(row))
		}
	}
	return out
}

func dayRow(d vault.WrappedDay, now time.Time) store.WrappedKey {
	return store.WrappedKey{
		Workspace: message.WorkspaceID(d.Workspace), Kind: string(vault.KindDay), Version: int32(d.Day),
		Bytes: d.Bytes, CreatedAt: now,
	}
}

func dayKeys(rows []store.WrappedKey) []vault.WrappedDay {
	var out []vault.WrappedDay
	for _, row := range rows {
		if row.Kind == string(vault.KindDay) {
			out = append(out, vault.WrappedDay{Workspace: row.Workspace, Day: vault.Day(row.Version), Bytes: row.Bytes})
		}
	}
	return out
}

func hasKind(rows []store.WrappedKey, kind vault.Kind) bool {
	for _, row := range rows {
		if row.Kind == string(kind) {
			return true
		}
	}
	return false
}
