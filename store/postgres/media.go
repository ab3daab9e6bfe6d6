package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

const mediaColumns = `m.id, m.workspace, m.contact, m.message, m.connector, m.type, m.mime, m.size, m.state, m.tries, m.next_at, m.created_at, m.expires_at, m.sealed`

func scanMedia(r pgx.Rows) (*store.MediaFile, error) {
	m := &store.MediaFile{}
	var state int16
	var tries int32
	var next, created, expires int64
	err := r.Scan((*id16)(&m.ID), (*id16)(&m.Workspace), (*id16)(&m.Contact), (*id16)(&m.Message), (*id16)(&m.Connector),
		(*string)(&m.Type), &m.MIME, &m.Size, &state, &tries, &next, &created, &expires, &m.Sealed)
	m.State, m.Tries = store.MediaState(state), int(tries)
	m.NextAt, m.CreatedAt, m.ExpiresAt = instant(next), instant(created), instant(expires)
	return m, err
}

const insertMediaSQL = `INSERT INTO media (workspace, id, contact, message, connector, type, mime, size, state, tries, next_at, created_at, expires_at, sealed)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`

func mediaArgs(m *store.MediaFile) []any {
	return []any{
		m.Workspace[:], m.ID[:], none((*[16]byte)(&m.Contact)), none((*[16]byte)(&m.Message)), none((*[16]byte)(&m.Connector)),
		string(m.Type), m.MIME, m.Size, int16(m.State), int32(m.Tries), micros(m.NextAt), micros(m.CreatedAt), micros(m.ExpiresAt), m.Sealed,
	}
}

// PutMedia implements store.Media.
func (s *Store) PutMedia(ctx context.Context, m *store.MediaFile) error {
	return s.tx(ctx, func(tx pgx.Tx) error {
		if !m.Contact.IsZero() {
			// An erasure waits until the file is there to be erased.
			var there int
			err := tx.QueryRow(ctx, `SELECT 1 FROM contacts WHERE workspace = $1 AND id = $2 AND erased_at = 0 FOR SHARE`, m.Workspace[:], m.Contact[:]).Scan(&there)
			if err != nil {
				return unavailable(err)
			}
		}
		tag, err := tx.Exec(ctx, insertMediaSQL+` ON CONFLICT DO NOTHING`, mediaArgs(m)...)
		if err == nil && tag.RowsAffected() == 0 {
			return store.ErrExists
		}
		return err
	})
}

// PutChunks implements store.Media.
func (s *Store) PutChunks(ctx context.Context, ws message.WorkspaceID, id message.MediaID, first int, chunks [][]byte) error {
	return s.tx(ctx, func(tx pgx.Tx) error {
		var there int
		if err := tx.QueryRow(ctx, `SELECT 1 FROM media WHERE workspace = $1 AND id = $2 FOR SHARE`, ws[:], id[:]).Scan(&there); err != nil {
			return unavailable(err)
		}
		_, err := tx.Exec(ctx, `INSERT INTO media_chunks (workspace, media, n, sealed)
			SELECT $1, $2, $3::int + (c.n - 1)::int, c.sealed FROM unnest($4::bytea[]) WITH ORDINALITY c(sealed, n)
			ON CONFLICT (workspace, media, n) DO UPDATE SET sealed = excluded.sealed`, ws[:], id[:], first, chunks)
		return err
	})
}

// SetMedia implements store.Media.
func (s *Store) SetMedia(ctx context.Context, m *store.MediaFile, events []store.Event) error {
	return s.logging(ctx, events, func(tx pgx.Tx) error {
		return one(tx.Exec(ctx, `UPDATE media SET type = $3, mime = $4, size = $5, state = $6, tries = $7, next_at = $8, expires_at = $9, sealed = $10
			WHERE workspace = $1 AND id = $2`,
			m.Workspace[:], m.ID[:], string(m.Type), m.MIME, m.Size, int16(m.State), int32(m.Tries), micros(m.NextAt), micros(m.ExpiresAt), m.Sealed))
	})
}

func (s *Store) mediaRows(ctx context.Context, sql string, args ...any) (list []*store.MediaFile, err error) {
	err = s.query(ctx, func(r pgx.Rows) error {
		m, err := scanMedia(r)
		list = append(list, m)
		return err
	}, `SELECT `+mediaColumns+` FROM media m WHERE `+sql, args...)
	return list, err
}

// MediaFile implements store.Media.
func (s *Store) MediaFile(ctx context.Context, ws message.WorkspaceID, id message.MediaID) (*store.MediaFile, error) {
	list, err := s.mediaRows(ctx, `m.workspace = $1 AND m.id = $2`, ws[:], id[:])
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, store.ErrNotFound
	}
	return list[0], nil
}

// MediaList implements store.Media.
func (s *Store) MediaList(ctx context.Context, ws message.WorkspaceID, contact message.ContactID, before message.MediaID, limit int) ([]*store.MediaFile, error) {
	if before.IsZero() {
		for i := range before {
			before[i] = 0xff
		}
	}
	const page = ` AND m.id < $2 ORDER BY m.id DESC LIMIT $3`
	if contact.IsZero() {
		return s.mediaRows(ctx, `m.workspace = $1 AND m.contact IS NULL`+page, ws[:], before[:], limit)
	}
	return s.mediaRows(ctx, `m.workspace = $1 AND m.contact = $4`+page, ws[:], before[:], limit, contact[:])
}

// Chunks implements store.Media.
func (s *Store) Chunks(ctx context.Context, ws message.WorkspaceID, id message.MediaID, first, limit int) (list [][]byte, err error) {
	err = s.query(ctx, func(r pgx.Rows) error {
		var sealed []byte
		err := r.Scan(&sealed)
		list = append(list, sealed)
		return err
	}, `SELECT sealed FROM media_chunks WHERE workspace = $1 AND media = $2 AND n >= $3 ORDER BY n LIMIT $4`, ws[:], id[:], first, limit)
	return list, err
}

// mediaRest is what goes with a file.
var mediaRest = [...]string{
	`DELETE FROM media_chunks WHERE workspace = $1 AND media = $2`,
	`DELETE FROM media_copies WHERE workspace = $1 AND media = $2`,
}

// DeleteMedia implements store.Media.
func (s *Store) DeleteMedia(ctx context.Context, ws message.WorkspaceID, id message.MediaID) error {
	return s.tx(ctx, func(tx pgx.Tx) error {
		if err := one(tx.Exec(ctx, `DELETE FROM media WHERE workspace = $1 AND id = $2`, ws[:], id[:])); err != nil {
			return err
		}
		b := &pgx.Batch{}
		for _, sql := range mediaRest {
			b.Queue(sql, ws[:], id[:])
		}
		return tx.SendBatch(ctx, b).Close()
	})
}

// ClaimMedia implements store.Media.
func (s *Store) ClaimMedia(ctx context.Context, now, until time.Time, limit int) (list []*store.MediaFile, err error) {
	err = s.tx(ctx, func(tx pgx.Tx) error {
		list = nil
		return find(ctx, tx, func(r pgx.Rows) error {
			m, err := scanMedia(r)
			list = append(list, m)
			return err
		}, `UPDATE media m SET tries = m.tries + 1, next_at = $2 WHERE m.ctid = ANY(ARRAY(SELECT x.ctid FROM media x
				WHERE x.state = 2 AND x.next_at <= $1 ORDER BY x.next_at LIMIT $3 FOR UPDATE SKIP LOCKED))
			RETURNING `+mediaColumns, micros(now), micros(until), limit)
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// PutCopy implements store.Media.
func (s *Store) PutCopy(ctx context.Context, c *store.MediaCopy) error {
	return s.tx(ctx, func(tx pgx.Tx) error {
		return one(tx.Exec(ctx, `INSERT INTO media_copies (workspace, media, connector, expires_at, sealed)
			SELECT m.workspace, m.id, $3, $4, $5 FROM media m WHERE m.workspace = $1 AND m.id = $2 FOR SHARE
			ON CONFLICT (workspace, media, connector) DO UPDATE SET expires_at = excluded.expires_at, sealed = excluded.sealed`,
			c.Workspace[:], c.Media[:], c.Connector[:], micros(c.ExpiresAt), c.Sealed))
	})
}

// MediaCopy implements store.Media.
func (s *Store) MediaCopy(ctx context.Context, ws message.WorkspaceID, id message.MediaID, connector message.ConnectorID) (*store.MediaCopy, error) {
	c := &store.MediaCopy{Workspace: ws, Media: id, Connector: connector}
	var expires int64
	err := s.row(ctx, []any{&expires, &c.Sealed}, `SELECT expires_at, sealed FROM media_copies WHERE workspace = $1 AND media = $2 AND connector = $3`, ws[:], id[:], connector[:])
	if err != nil {
		return nil, err
	}
	c.ExpiresAt = instant(expires)
	return c, nil
}

// PutLink implements store.Media.
func (s *Store) PutLink(ctx context.Context, l *store.Link) error {
	return s.exec(ctx, `INSERT INTO links (key, workspace, contact, message, media, created_at, expires_at, opened_at, opens)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0) ON CONFLICT (key) DO UPDATE SET expires_at = excluded.expires_at`,
		l.Key[:], l.Workspace[:], none((*[16]byte)(&l.Contact)), none((*[16]byte)(&l.Message)), l.Media[:], micros(l.CreatedAt), micros(l.ExpiresAt))
}

// Link implements store.Media.
func (s *Store) Link(ctx context.Context, key [16]byte) (*store.Link, error) {
	l := &store.Link{Key: key}
	var created, expires, opened int64
	err := s.row(ctx, []any{(*id16)(&l.Workspace), (*id16)(&l.Contact), (*id16)(&l.Message), (*id16)(&l.Media), &created, &expires, &opened, &l.Opens},
		`SELECT workspace, contact, message, media, created_at, expires_at, opened_at, opens FROM links WHERE key = $1`, key[:])
	if err != nil {
		return nil, err
	}
	l.CreatedAt, l.ExpiresAt, l.OpenedAt = instant(created), instant(expires), instant(opened)
	return l, nil
}

// OpenLink implements store.Media.
func (s *Store) OpenLink(ctx context.Context, key [16]byte, at time.Time, events []store.Event) (first bool, err error) {
	err = s.tx(ctx, func(tx pgx.Tx) error {
		var opens int64
		err := tx.QueryRow(ctx, `UPDATE links SET opens = opens + 1, opened_at = CASE opens WHEN 0 THEN $2 ELSE opened_at END WHERE key = $1 RETURNING opens`, key[:], micros(at)).Scan(&opens)
		if err != nil {
			return unavailable(err)
		}
		if first = opens == 1; first {
			return appendEvents(ctx, tx, s.epoch(), events)
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	s.hub.committed(first && len(events) > 0)
	return first, nil
}

// Append implements store.Log.
func (s *Store) Append(ctx context.Context, events []store.Event) error {
	return s.logging(ctx, events, func(pgx.Tx) error { return nil })
}

// writeMedia queues the files that receptions bring.
func (g *group) writeMedia(b *pgx.Batch) {
	for _, r := range g.receptions {
		if r.result != store.Done {
			continue
		}
		for _, m := range r.Media {
			b.Queue(insertMediaSQL, mediaArgs(m)...)
		}
	}
}

// purgeMedia deletes files that expired with what goes with them; few at once,
// because each may have 1,600 chunks.
const purgeMedia = `WITH f AS (DELETE FROM media m WHERE m.ctid = ANY(ARRAY(SELECT x.ctid FROM media x
		WHERE x.expires_at > 0 AND x.expires_at < $1 LIMIT least($2::int, 20) FOR UPDATE SKIP LOCKED)) RETURNING m.workspace, m.id),
	c AS (DELETE FROM media_chunks c USING f WHERE c.workspace = f.workspace AND c.media = f.id),
	p AS (DELETE FROM media_copies p USING f WHERE p.workspace = f.workspace AND p.media = f.id)
	SELECT count(*) FROM f`
