package postgres

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-messaging/parley/message"
	"github.com/parley-messaging/parley/store"
)

const leaseColumns = `l.connector, l.owner, l.token, l.expires_at, greatest(l.expires_at - ` + clock + `, 0)`

func scanLease(r pgx.Rows) (store.Lease, error) {
	var l store.Lease
	var expires, left int64
	err := r.Scan((*id16)(&l.Connector), &l.Owner, &l.Token, &expires, &left)
	l.ExpiresAt, l.TTL = instant(expires), time.Duration(left)*time.Microsecond
	return l, err
}

// sorted gives ids in the order in which rows are locked.
func sorted[K ~[16]byte](list []K) [][]byte {
	out := ids(list)
	slices.SortFunc(out, bytes.Compare)
	return slices.CompactFunc(out, bytes.Equal)
}

// Lease implements store.Leases. The clock is read once, before any waiting for
// a row, so that a lease is never thought longer than it is.
func (s *Store) Lease(ctx context.Context, owner string, connectors []message.ConnectorID, ttl time.Duration) (list []store.Lease, err error) {
	if len(connectors) == 0 {
		return nil, nil
	}
	err = s.tx(ctx, func(tx pgx.Tx) error {
		list = nil
		return find(ctx, tx, func(r pgx.Rows) error {
			l, err := scanLease(r)
			list = append(list, l)
			return err
		}, `WITH t AS MATERIALIZED (SELECT `+clock+` AS now), l AS (
				INSERT INTO leases AS l (connector, owner, token, expires_at)
				SELECT c, $1, 1, t.now + $3 FROM t CROSS JOIN unnest($2::bytea[]) c
				ON CONFLICT (connector) DO UPDATE SET owner = excluded.owner, expires_at = excluded.expires_at,
					token = CASE WHEN l.expires_at > excluded.expires_at - $3 THEN l.token ELSE l.token + 1 END
				WHERE l.owner = excluded.owner OR l.expires_at <= excluded.expires_at - $3
				RETURNING l.*)
			SELECT `+leaseColumns+` FROM l ORDER BY l.connector`, owner, sorted(connectors), ttl.Microseconds())
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// Release implements store.Leases. The row stays: its token must rise.
func (s *Store) Release(ctx context.Context, owner string, connectors []message.ConnectorID) error {
	return s.tx(ctx, func(tx pgx.Tx) error {
		for _, c := range sorted(connectors) {
			if _, err := tx.Exec(ctx, `UPDATE leases SET expires_at = 0 WHERE connector = $1 AND owner = $2`, c, owner); err != nil {
				return err
			}
		}
		return nil
	})
}

// LeaseList implements store.Leases; leases given back are not listed.
func (s *Store) LeaseList(ctx context.Context) (list []store.Lease, err error) {
	err = s.query(ctx, func(r pgx.Rows) error {
		l, err := scanLease(r)
		list = append(list, l)
		return err
	}, `SELECT `+leaseColumns+` FROM leases l WHERE l.expires_at > 0 ORDER BY l.connector`)
	return list, err
}
