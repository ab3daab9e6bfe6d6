package postgres

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

type commandTag = pgconn.CommandTag

// errRolledBack: the server answered COMMIT with ROLLBACK.
var errRolledBack = errors.New("postgres: the server rolled the transaction back")

// errChange: a change of the group does not fit what is stored.
var errChange = errors.New("postgres: a change does not fit what is stored")

// An id16 scans 16 bytes; NULL is the zero value.
type id16 [16]byte

// ScanBytes implements pgtype.BytesScanner: the driver's buffer is copied, not
// kept.
func (i *id16) ScanBytes(b []byte) error {
	switch len(b) {
	case 0:
		*i = id16{}
	case 16:
		copy(i[:], b)
	default:
		return fmt.Errorf("postgres: %d bytes where an id of 16 should be", len(b))
	}
	return nil
}

// none gives NULL for the zero value.
func none(id *[16]byte) []byte {
	if *id == [16]byte{} {
		return nil
	}
	return id[:]
}
