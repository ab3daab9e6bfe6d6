package vault

import (
	"slices"
	"sync"
)

// A Keyring holds the opened keys of all workspaces in memory. The application
// fills it from the store at start, adds keys as they are made, and refills it
// when a *MissingKeyError says that another node made one. It is safe for
// concurrent use.
type Keyring struct {
	hidden
	masters *Masters
	mu      sync.RWMutex
	rooms   map[[16]byte]*Workspace
}

// NewKeyring gives an empty ring that opens with these master keys.
func NewKeyring(m *Masters) *Keyring {
	return &Keyring{masters: m, rooms: make(map[[16]byte]*Workspace)}
}

// NewWorkspace makes the first keys of a workspace: a KEK and an index key,
// both version 1. It does not hold them: the caller commits them with the
// workspace's row and then calls Add, so that nothing is ever sealed under a
// key that was lost.
func (r *Keyring) NewWorkspace(id [16]byte) ([]WrappedKey, error) {
	return newKeys(r.masters, id, KindKEK, KindIndex)
}

func newKeys(m *Masters, workspace [16]byte, kinds ...Kind) ([]WrappedKey, error) {
	out := make([]WrappedKey, 0, len(kinds))
	for _, kind := range kinds {
		key := newKey()
		w, err := m.wrapKey(workspace, kind, 1, key)
		clear(key[:])
		if err != nil {
			return nil, err
		}
		out = append(out, w)
	}
	return out, nil
}

// Next makes the next version of a workspace's KindKEK or KindIndex key,
// staged. The way to rotate: store it, Add it on every node, store it with
// Staged false, Add it again everywhere; then rewrap contact keys
// (Workspace.Rewrap) or recompute indexes in batches, and Retire the old
// version when no row needs it. An index key that suppression records were
// written with is never retired: their values are gone and cannot be
// recomputed.
func (r *Keyring) Next(workspace [16]byte, kind Kind) (WrappedKey, error) {
	w, err := r.Workspace(workspace)
	if err != nil {
		return WrappedKey{}, err
	}
	last, err := w.keys.Load().last(kind)
	if err != nil {
		return WrappedKey{}, err
	}
	if last == 255 {
		return WrappedKey{}, ErrVersions
	}
	key := newKey()
	defer clear(key[:])
	out, err := r.masters.wrapKey(workspace, kind, last+1, key)
	out.Staged = true
	return out, err
}

// Add opens keys of any workspaces and holds them. Adding a version that is
// held changes only whether it is staged; its key stays. Keys of the
// installation are refused with ErrFormat. On an error nothing was added.
func (r *Keyring) Add(wrapped ...WrappedKey) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := make(map[[16]byte]*workspaceKeys)
	for _, w := range wrapped {
		if w.Version == 0 || w.Kind != KindKEK && w.Kind != KindIndex {
			return ErrFormat
		}
		keys := next[w.Workspace]
		if keys == nil {
			keys = new(workspaceKeys)
			if room := r.rooms[w.Workspace]; room != nil {
				// Only Add takes several of these locks, and under r.mu.
				room.mu.Lock()
				defer room.mu.Unlock()
				keys = room.keys.Load().clone()
			}
			next[w.Workspace] = keys
		}
		if keys.restage(w) {
			continue
		}
		key, err := r.masters.unwrap(w)
		if err != nil {
			return err
		}
		err = keys.add(w, key)
		clear(key[:])
		if err != nil {
			return err
		}
	}
	for id, keys := range next {
		if err := keys.choose(id); err != nil {
			return err
		}
	}
	for id, keys := range next {
		room := r.rooms[id]
		if room == nil {
			room = &Workspace{id: id}
			r.rooms[id] = room
		}
		room.keys.Store(keys)
	}
	return nil
}

// Workspace gives the opened keys of a workspace, or a *MissingKeyError when
// they were not added. The pointer stays good: it sees keys added later.
func (r *Keyring) Workspace(id [16]byte) (*Workspace, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if w := r.rooms[id]; w != nil {
		return w, nil
	}
	return nil, &MissingKeyError{Workspace: id, Kind: KindKEK}
}

// Drop forgets a workspace that was deleted. Whoever still holds its
// *Workspace can use it until they let go.
func (r *Keyring) Drop(id [16]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.rooms, id)
}

// workspaceKeys is what a Workspace holds at one moment; it is never changed
// once published, so readers take no lock.
type workspaceKeys struct {
	keks    []*kek     // newest first
	indexes []*indexer // newest first
	kek     *kek       // the newest that is not staged
	index   *indexer   // the newest that is not staged
	days    map[Day]*Sealer
}

func (k *workspaceKeys) clone() *workspaceKeys {
	out := *k
	out.keks = slices.Clone(k.keks)
	out.indexes = slices.Clone(k.indexes)
	return &out
}

func (k *workspaceKeys) last(kind Kind) (uint8, error) {
	switch {
	case kind == KindKEK:
		return k.keks[0].version, nil
	case kind == KindIndex:
		return k.indexes[0].version, nil
	}
	return 0, ErrFormat
}

// restage notes whether a version that is held is staged, and reports whether
// it is held.
func (k *workspaceKeys) restage(w WrappedKey) bool {
	for i, old := range k.keks {
		if w.Kind == KindKEK && old.version == w.Version {
			k.keks[i] = &kek{version: old.version, staged: w.Staged, wrap: old.wrap, seal: old.seal}
			return true
		}
	}
	for i, old := range k.indexes {
		if w.Kind == KindIndex && old.version == w.Version {
			k.indexes[i] = &indexer{version: old.version, staged: w.Staged, pool: old.pool}
			return true
		}
	}
	return false
}

func (k *workspaceKeys) add(w WrappedKey, key *[keySize]byte) error {
	if w.Kind == KindIndex {
		k.indexes = append(k.indexes, newIndexer(w.Version, w.Staged, key))
		slices.SortFunc(k.indexes, func(a, b *indexer) int { return int(b.version) - int(a.version) })
		return nil
	}
	one, err := newKEK(w.Version, w.Staged, key)
	if err != nil {
		return err
	}
	k.keks = append(k.keks, one)
	slices.SortFunc(k.keks, func(a, b *kek) int { return int(b.version) - int(a.version) })
	return nil
}

// choose picks the versions that write. A workspace without both is refused:
// its methods could not keep their promises.
func (k *workspaceKeys) choose(workspace [16]byte) error {
	k.kek, k.index = nil, nil
	for _, one := range k.keks {
		if !one.staged && k.kek == nil {
			k.kek = one
		}
	}
	for _, one := range k.indexes {
		if !one.staged && k.index == nil {
			k.index = one
		}
	}
	if k.kek == nil {
		return &MissingKeyError{Workspace: workspace, Kind: KindKEK}
	}
	if k.index == nil {
		return &MissingKeyError{Workspace: workspace, Kind: KindIndex}
	}
	return nil
}
